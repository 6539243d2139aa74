#!/usr/bin/env python3
"""A small server on the loopback interface for the examples `fetch` and `scrape`.

usage: server.py [PORT]    the default is 8765; 0 takes a free one. The first line printed is the port.

    POST /login         {"user": …, "password": …} gives {"token": …}
    GET  /items/N       an item as JSON, for those who send the token
    GET  /busy/NAME     503 the first two times, then 200
    GET  /pages/NAME    the HTML pages of the example `scrape`
"""

import collections
import http.server
import json
import pathlib
import sys
import threading

PAGES = pathlib.Path(__file__).resolve().parent.parent / "scrape" / "pages"
TOKEN = "open-sesame"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together
    visits = collections.Counter()
    lock = threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/login":
            return self.reply(404, {"error": "no such page"})
        try:
            login = json.loads(body)
            known = login["user"] == "ada" and login["password"] == "lovelace"
        except (ValueError, TypeError, KeyError):
            return self.reply(400, {"error": "send user and password as JSON"})
        if not known:
            return self.reply(403, {"error": "wrong user or password"})
        return self.reply(200, {"user": "ada", "token": TOKEN})

    def do_GET(self):
        folder, _, name = self.path.strip("/").partition("/")
        answer = {"items": self.item, "busy": self.busy, "pages": self.page}.get(folder)
        if answer is None:
            return self.reply(404, {"error": "no such page"})
        return answer(name)

    def item(self, name):
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "log in first"})
        if not name.isdigit():
            return self.reply(404, {"error": "no such item"})
        return self.reply(200, {"id": int(name), "price": int(name) * 7 % 50 + 1})

    def busy(self, name):
        with self.lock:
            self.visits[name] += 1
            visit = self.visits[name]
        if visit <= 2:
            return self.reply(503, {"error": "busy, try again"})
        return self.reply(200, {"name": name, "visit": visit})

    def page(self, name):
        path = PAGES / name
        if path.parent != PAGES or not path.is_file():
            return self.reply(404, {"error": "no such page"})
        return self.send(200, "text/html; charset=utf-8", path.read_bytes())

    def reply(self, status, value):
        self.send(status, "application/json", json.dumps(value).encode())

    def send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8765
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
