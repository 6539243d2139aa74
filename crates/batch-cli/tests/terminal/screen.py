"""Runs a command on a terminal of its own and prints what a person sees there in the end, as JSON,
with all that was sent.

The argument: {"command": [..], "columns": 80, "rows": 24, "reflow": true, "cues": [[TEXT, {..}], ..]}. When TEXT has come
since the last cue, a cue writes a line to the pipe "gate", sets other "columns", types "keys", or is to
"kill" the executor.
"""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios

asked = json.loads(sys.argv[1])
CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Screen:
    """Rows from the first ever printed on. A row says whether the terminal went on in the next by itself."""

    def __init__(self, columns, rows):
        self.columns, self.height = columns, rows
        self.rows, self.wrapped = [[]], [False]
        self.y = self.x = 0

    def top(self):
        return max(0, len(self.rows) - self.height)

    def feed(self, text):
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = CONTROL.match(text, at)
                if not found:
                    return text[at:]
                self.control(found[1], found[2])
                at = found.end()
            else:
                self.put(text[at])
                at += 1
        return ""

    def control(self, number, what):
        if what == "A":
            self.y = max(self.top(), self.y - int(number or 1))
        elif what in "JK":
            del self.rows[self.y][self.x :]
            self.wrapped[self.y] = False
            for y in range(self.y + 1, len(self.rows) if what == "J" else 0):
                self.rows[y], self.wrapped[y] = [], False
        elif what != "m":
            raise ValueError(f"unknown: {number}{what}")

    def down(self):
        self.y += 1
        if self.y == len(self.rows):
            self.rows.append([])
            self.wrapped.append(False)

    def put(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            self.down()
        else:
            if self.x >= self.columns:
                self.wrapped[self.y] = True
                self.down()
                self.x = 0
            row = self.rows[self.y]
            row.extend(" " * (self.x + 1 - len(row)))
            row[self.x] = c
            self.x += 1

    def resize(self, columns, reflow):
        if not reflow:
            self.rows = [row[:columns] for row in self.rows]
            self.columns, self.x = columns, min(self.x, columns)
            return
        rows, wrapped, cursor, line, start = [], [], None, [], 0
        for y, row in enumerate(self.rows):
            if y == self.y:
                cursor = (len(rows), len(line) + self.x)
            line = line + row
            if self.wrapped[y]:
                continue
            parts = [line[at : at + columns] for at in range(0, max(1, len(line)), columns)]
            rows.extend(parts)
            wrapped.extend([True] * (len(parts) - 1) + [False])
            line = []
        self.rows, self.wrapped, self.columns = rows, wrapped, columns
        self.y, self.x = cursor[0] + cursor[1] // columns, cursor[1] % columns


def set_size(terminal, columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


columns, rows = asked.get("columns", 80), asked.get("rows", 24)
pid, terminal = pty.fork()
if pid == 0:
    set_size(0, columns, rows)
    os.execvp(asked["command"][0], asked["command"])
screen = Screen(columns, rows)
# Open at both ends: no line is lost, and no reader meets an end.
gate = os.open("gate", os.O_RDWR)
cues, seen, rest, raw = asked.get("cues", []), "", "", ""
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    text = piece.decode("utf-8", "surrogateescape")
    rest = screen.feed(rest + text)
    seen += text
    raw += text
    if cues and cues[0][0] in seen:
        todo = cues.pop(0)[1]
        seen = ""
        if "columns" in todo:
            set_size(terminal, todo["columns"], rows)
            screen.resize(todo["columns"], asked.get("reflow", True))
        if "keys" in todo:
            os.write(terminal, todo["keys"].encode())
        if "kill" in todo:
            with open(f"/proc/{pid}/task/{pid}/children") as children:
                os.kill(int(children.read().split()[0]), signal.SIGKILL)
        if "gate" in todo:
            os.write(gate, b"\n" * todo["gate"])
status = os.waitpid(pid, 0)[1]
lines = ["".join(row).rstrip() for row in screen.rows]
code = os.waitstatus_to_exitcode(status)
print(json.dumps({"lines": lines, "code": code, "left": [cue[0] for cue in cues], "raw": raw}))
