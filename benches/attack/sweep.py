#!/usr/bin/env python3
"""Gives `bex` numbers at their ends, empty values and odd texts, everywhere where it takes something from outside.

    benches/attack/sweep.py target/release/bex            # all, some minutes
    benches/attack/sweep.py target/release/bex --small    # a few values for each place
    benches/attack/sweep.py target/release/bex --only args,files,agent,templates,config,environment

A panic, exit code 101, a signal, or more than 20 seconds is a failure; it is printed with what repeats it, and the
exit code is then 1. What `bex` says to a value is not judged.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

LIMIT = 20

NUMBERS = [
    "0", "-1", "1", "-0", "00", "+1", "1.5", ".5", "5.", "1e-400", "1e19", "1e308", "1e309", "NaN", "nan", "inf", "-inf",
    "infinity", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "18446744073709551615", "18446744073709551616", "213503982334601d", "213503982334602d", "18446744073709551615s",
    "18446744073709552000s", "18446744073709551616ms", "5124095576030431h", "0.0000000001s", "1s1s1s", "9" * 400,
    "9" * 400 + "d", "0." + "0" * 400 + "1", "0x10", "1_000", "٣", "１", "", " ", "\t1", "1 ", "-", "e", "1e", "ms",
]
TEXTS = [
    "", " ", "-", "--", ".", "..", "/", "a\nb", "a\rb", "\x01\x1b[31m", "\u2028", "é", "e\u0301", "{{", "}}", "{{}}", "{{ }}",
    "{{ tasks.a.result }}", "{{ tasks..result }}", "{{ params.x }}", "{}", "{.}", "{//}", "'", '"', "\\", "\\\"", "$(", "`", "%s",
    "b", "b0", "b1", "b4294967295", "b4294967296", "b1.0", "b1.4294967296", "b1.1", "c", "c000000", "cffffff", "c1000000",
    "[", "]", "null", "[]", "{\"a\":", "(" * 5000, "!" * 5000, "x" * 100_000, "-" * 5000, "a=b", "=", "=b", "a=", ":", "a:", "::",
    "::1", "[::1]:0", "127.0.0.1:65536", "task:0", "time>", "time>1e400", "time>213503982334602d", "retries>-9223372036854775809",
    "exit_code:99999999999999999999", "task:b1.0", "name:\"", "name:~", "status:", "status:,", "flaky:", "!", "cause:c", "tag:" + "a," * 5000,
    "name:\"\\", b"\xff\xfe", b"a\xc3", b"\xed\xa0\x80", ".json", "x.json", "x/.json", "/dev/null", "/proc/self/mem",
]
# As they stand in a JSON text.
RAW = NUMBERS[:0] + [
    "0", "-1", "-0", "1", "1.5", "1e-400", "1e-999999999999999999999", "1e19", "1e308", "1e309", "-1e308", "4294967296", "9223372036854775808",
    "-9223372036854775808", "18446744073709551615", "18446744073709551616", "9" * 400, "NaN", "true", "false", "null", "[]", "{}", "[[]]", "[null]",
    "[{}]", '{"":""}', '{"":0}', '{"a":null}', '{"a":[]}', '[""]', '["\\u0000"]', '"\\u0000"', '"\\ud800"', '{"\\ud800":1}', '"\\ud83d\\ude00"',
    "[1,2]", "[1e308]", "[" * 10_000, "[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 120 + "]" * 120, "",
    '{"base64":""}', '{"base64":"!"}', '{"base64":"/w=="}', '{"base64":"AA=="}', '{"base64":1}',
    '"{{ tasks.a.result }}"', '"{{ tasks.self.result }}"',
] + [json.dumps(text) for text in NUMBERS + [text for text in TEXTS if isinstance(text, str)]]


class Place:
    """A folder with a state folder in which one batch is done and one is queued."""

    def __init__(self, bex, folder, number):
        self.bex = bex
        self.folder = os.path.join(folder, f"place-{number}")
        self.clean()

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.write("t.json", '[{"shell": "echo {{ params.x }}"}]'.replace("[", '{"params": {"x": {"default": "1"}}, "tasks": [', 1).replace("]", "]}", 1))
        self.write("rows.csv", "x,y\n1,2\n")
        self.write("row.json", '{"command": ["echo", "{{ row.x }}"]}')
        self.write("w.json", '[{"id": "a", "shell": "true"}]')
        for args in (["run", "--progress", "none", "--shell", "test {} = a", ":::", "a", "b"], ["template", "save", "t", "t.json"], ["add", "--new", "--id", "q", "--", "true"]):
            self.run(args)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))

    def run(self, args, stdin=b"", more=None, limit=LIMIT, may_last=False):
        """What is wrong with a run, if anything is."""
        environment = {**os.environb, b"BEX_HOME": os.fsencode(self.folder) + b"/home", b"XDG_CONFIG_HOME": os.fsencode(self.folder) + b"/config"}
        environment.update(more or {})
        child = subprocess.Popen(
            [self.bex, *args], cwd=self.folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, err = child.communicate(stdin, timeout=1 if may_last else limit)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGTERM)
            try:
                child.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
                return "does not end when told to"
            return None if may_last else f"takes more than {limit} s"
        text = (out + err).decode(errors="replace")
        if "panicked at" in text:
            return text[text.index("panicked at") :][:300]
        if child.returncode == 101 or child.returncode < 0:
            return f"exit code {child.returncode}: {text[-300:]}"
        if child.returncode > 128 and not may_last:
            return f"exit code {child.returncode}: {text[-300:]}"
        return None


def shown(value):
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}… ({len(text)} characters)"


def of_arguments(place):
    """Each option of each verb, and each name of a task."""
    verbs = re.findall(r"^  ([a-z]+) ", place_help(place, []), re.M)
    for verb in [*verbs, "template save", "template show", "template rm"]:
        if verb in ("help", "man", "completions", "template"):
            continue
        words = verb.split()
        usage = place_help(place, words)
        for option in sorted(set(re.findall(r"(?:^|\s)(--[a-z-]+)[ =\[]+<", usage))):
            for value in NUMBERS + TEXTS:
                yield words, option, value
        if re.search(r"Usage:.*<?\[?(TASK|ID|NAME|FILE)", usage) and verb not in ("run", "add"):
            for value in NUMBERS + TEXTS:
                yield words, None, value


def place_help(place, words):
    return subprocess.run([place.bex, *words, "--help"], capture_output=True, text=True).stdout


def try_argument(place, case):
    words, option, value = case
    verb = words[0]
    args = [*words]
    if option:
        args += [os.fsencode(option) + b"=" + (value if isinstance(value, bytes) else os.fsencode(value))]
    if verb in ("run", "add") and option not in ("--shell", "--function", "--file"):
        if verb == "run" and option in ("--param", "--rows"):
            args += ["--template", "t"]
        elif option == "--params":
            args += ["--function", "http"]
        elif verb == "run" and option in ("--resume", "--input", "--template"):
            args += ["rows.csv"] if option == "--template" else ["w.json"]
        elif verb == "run":
            args += ["--", "true"]
        elif option in ("--input", "--template"):
            args += ["--file", "rows.csv"]
        else:
            args += ["--", "true"]
    if verb in ("show", "why", "logs") and option:
        args += ["1"]
    if verb == "rm":
        args += ["b9"] if option else []
    if verb == "export" and option != "--output":
        args += ["-o", "out.json"]
    if words == ["template", "save"] and option:
        args += ["t2", "t.json"]
    if option is None:
        args += ["--", value, "t.json"] if words == ["template", "save"] else ["--", value]
    stdin = b"a\n"
    if verb == "tool":
        stdin = b'{"tool": "bex_run", "arguments": {"shell": "true", "wait_s": 0.2}}\n'
    lasts = verb == "mcp" or verb == "watch" or verb == "prune"
    return place.run(args, stdin, may_last=lasts), args


TASK = {
    "id": None, "name": None, "command": None, "shell": None, "python": None, "node": None, "http": None, "function": None, "params": None,
    "stdin": '"shell":"true"', "depends_on": '"shell":"true"', "priority": '"shell":"true"', "max_retries": '"shell":"false"', "timeout": '"shell":"true"',
    "retry": '"shell":"false"', "tags": '"shell":"true"', "cwd": '"shell":"true"', "env": '"shell":"true"', "limit": '"shell":"true"',
    "grace": '"shell":"true"', "on_interrupt": '"shell":"true"', "tasks": None, "": '"shell":"true"',
}
RETRY = ["backoff", "initial", "factor", "max", "jitter", "on", "give_up_on"]
PARAMS = {
    "command": ["argv", "cwd", "env", "stdin"], "shell": ["script", "shell", "cwd", "env", "stdin"], "code_execution": ["runtime", "code", "stdin"],
    "custom_function": ["code", "args"], "http": ["url", "method", "headers", "body", "timeout"], "simulate": ["fail"],
    "tool": ["server", "tool", "args"],
}
NEEDED = {"command": '"argv":["true"]', "shell": '"script":"true"', "code_execution": '"runtime":"terminal","code":"true"',
          "custom_function": '"code":"def process(**args): pass"', "http": '"url":"http://127.0.0.1:1/"', "simulate": "", "tool": '"server":"s","tool":"t"'}
SETTINGS = ["name", "key", "max_concurrent", "batch_timeout", "limits", "fail_fast", "defaults", "tasks", "tool_name", "action", "params", "description"]


def of_files(_):
    """Each field of a task file, in JSON and in YAML, which takes JSON."""
    for raw in RAW:
        for field, beside in TASK.items():
            yield "[{" + ",".join(filter(None, [f'"{field}":{raw}', beside])) + "}]"
        for field in RETRY:
            yield f'[{{"shell":"false","max_retries":1,"retry":{{"initial":0.01,"{field}":{raw}}}}}]'
            yield f'[{{"shell":"kill -9 $$","max_retries":1,"retry":{{"backoff":"exponential","{field}":{raw}}}}}]'
        for function, fields in PARAMS.items():
            for field in fields:
                others = "" if f'"{field}":' in NEEDED[function] else NEEDED[function] + ","
                yield f'[{{"function":"{function}","max_retries":0,"params":{{{others}"{field}":{raw}}}}}]'
        for field in SETTINGS:
            yield f'{{"{field}":{raw},"tasks":[{{"shell":"true"}}]}}'
        for field in TASK:
            yield f'{{"defaults":{{"{field}":{raw}}},"tasks":[{{"shell":"true"}}]}}'
        yield raw
        yield f'{{"limits":{{"a":{raw}}},"tasks":[{{"shell":"true","limit":"a"}}]}}'
        yield f'[{{"id":"a","python":"print(1)"}},{{"shell":"true {{{{ tasks.a.result.stdout }}}}","depends_on":{raw}}}]'


def try_file(place, text):
    form = random.Random(text).choice(["json", "json", "yaml", "jsonl"])
    place.write(f"f.{form}", text)
    # Ends what a value makes last.
    args = ["run", "--store", "f.db", "--progress", "none", "--batch-timeout", "0.3", f"f.{form}"]
    wrong = place.run(args)
    for name in os.listdir(place.folder):
        if name.startswith("f.db"):
            path = os.path.join(place.folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    return wrong, [*args[-1:], text]


def of_agent(place):
    """Each argument of each tool of an agent."""
    asked = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"s","version":"1"}}}\n'
    asked += b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n'
    answers = subprocess.run([place.bex, "mcp"], input=asked, capture_output=True, env={**os.environb, b"BEX_HOME": os.fsencode(place.folder) + b"/home"}).stdout
    tools = next(answer["result"]["tools"] for answer in map(json.loads, answers.splitlines()) if answer.get("id") == 2)
    for tool in tools:
        for field in [*tool["inputSchema"]["properties"], ""]:
            others = {
                "bex_run": '"shell":"true","wait_s":0', "bex_wait": '"timeout_s":0.1', "bex_results": '"batch":"b1"', "bex_control": '"action":"set","batch":"b2"',
                "bex_status": "", "batch_executor": '"action":"status"',
            }.get(tool["name"], "")
            lines = []
            for raw in RAW:
                kept = [part for part in re.findall(r'"[a-z_]+":(?:"[^"]*"|[0-9.]+)', others) if not part.startswith(f'"{field}"')]
                arguments = ",".join([f'"{field}":{raw}', *kept])
                lines.append(f'{{"tool":"{tool["name"]}","arguments":{{{arguments}}}}}')
            # Waits of up to 45 seconds are asked for by what asks for them.
            if field in ("wait_s", "timeout_s"):
                lines = [line for line in lines if not re.search(r"(wait_s|timeout_s)\":\"?(1e|[3-9]|[1-9]\d|in|٣|5)", line)]
            yield from (lines[at : at + 25] for at in range(0, len(lines), 25))
    for raw in RAW:
        yield [f'{{"tool":{raw}}}', f'{{"tool":"bex_status","arguments":{raw},"id":{raw}}}', f'{{"tool_name":"batch_executor","tool_args":{{"action":{raw}}}}}', raw]
    for action in ("add_batch", "add", "status", "results", "export", "clear", "cancel", "retry", "pause", "resume", "set", "stop", "start", "wait", "list"):
        for field in ("tasks", "batch", "batch_id", "task_id", "path", "priority", "max_concurrent", "limit", "offset", "timeout", "n", "name"):
            lines = [f'{{"tool_name":"batch_executor","tool_args":{{"action":"{action}","{field}":{raw}}}}}' for raw in RAW]
            if (action, field) != ("wait", "timeout"):
                yield lines


def try_agent(place, lines):
    stdin = "\n".join(line.replace("\n", " ") for line in lines).encode("utf-8", "surrogatepass") + b"\n"
    # A started batch may take a moment; many calls share one process.
    return place.run(["tool"], stdin, limit=LIMIT * 6), ["tool", *lines]


def of_templates(_):
    for raw in RAW:
        for kind in ("text", "integer", "number", "boolean", "list", "json"):
            for field in ("default", "choices", "description", "type"):
                others = "" if field == "type" else f'"type":"{kind}",'
                yield f'{{"params":{{"x":{{{others}"{field}":{raw}}}}},"tasks":[{{"shell":"true {{{{ params.x }}}}"}}]}}', None
        yield f'{{"params":{raw},"tasks":[{{"shell":"true"}}]}}', None
        yield f'{{"params":{{"x":{{"type":"json"}}}},"tasks":[{{"shell":"true {{{{ params.x }}}}"}}]}}', raw
    for value in NUMBERS + TEXTS:
        if isinstance(value, str):
            for kind in ("text", "integer", "number", "boolean", "list", "json"):
                yield f'{{"params":{{"x":{{"type":"{kind}"}}}},"tasks":[{{"shell":"true {{{{ params.x }}}}","tags":["{{{{ params.x }}}}"]}}]}}', value


def try_template(place, case):
    text, value = case
    place.write("s.json", text)
    wrong = place.run(["template", "save", "s", "s.json"])
    args = ["run", "--dry-run", "--template", "s"]
    if value is not None:
        args += [f"--param=x={value}"]
        place.write("s.csv", "x\n" + json.dumps(value) + "\n")
        wrong = wrong or place.run([*args[:-1], "--rows", "s.csv"])
    return wrong or place.run(args), [text, *args]


def of_config(_):
    values = [*RAW, *(json.dumps(number) for number in NUMBERS)]
    for raw in values:
        for field in ("command", "args", "env", "cwd", "url", "headers", "timeout", "start_timeout", "max_concurrent", "tools"):
            yield f'[mcp_servers.s]\n{"" if field in ("command", "url") else "command = %s" % json.dumps("false")}\n{field} = {raw}\n'.encode("utf-8", "surrogatepass")
        yield f"[functions]\nf = {raw}\n".encode("utf-8", "surrogatepass")
        yield f"functions = {raw}\nmcp_servers = {raw}\n".encode("utf-8", "surrogatepass")
    yield from (b"\xff\xfe", b"\0", b"[" * 10_000, b"a." * 10_000 + b"b = 1")


def try_config(place, text):
    place.write("c.toml", text)
    place.write("tool.json", '[{"function":"tool","params":{"server":"s","tool":"t"},"max_retries":0}]')
    more = {b"BEX_CONFIG": os.fsencode(place.folder) + b"/c.toml"}
    wrong = place.run(["run", "--durability", "none", "tool.json"], more=more)
    return wrong or place.run(["run", "--durability", "none", "--", "true", ":::", "a"], more=more), [text]


def of_environment(_):
    for name in ("BEX_HOME", "BEX_CONFIG", "BEX_MCP_TOKEN", "BEX_RUN", "BEX_TASK_ID", "BEX_ALLOW_NETWORK_FS", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME",
                 "PATH", "TMPDIR", "TERM", "COLUMNS", "LINES", "LANG", "NO_COLOR", "SHELL", "TZ"):
        for value in NUMBERS + TEXTS:
            yield name, value


def try_environment(place, case):
    name, value = case
    value = value if isinstance(value, bytes) else os.fsencode(value)
    more = {os.fsencode(name): value}
    if name != "BEX_HOME":
        wrong = place.run(["run", "--progress", "plain", "--", "true", ":::", "a"], more=more)
    else:
        wrong = place.run(["run", "--durability", "none", "--", "true", ":::", "a"], more=more) or place.run(["list"], more=more)
    return wrong or place.run(["mcp", "--http", "127.0.0.1:0"], more=more, may_last=True) if name == "BEX_MCP_TOKEN" else wrong, [name, value]


SWEEPS = {
    "args": (of_arguments, try_argument),
    "files": (of_files, try_file),
    "agent": (of_agent, try_agent),
    "templates": (of_templates, try_template),
    "config": (of_config, try_config),
    "environment": (of_environment, try_environment),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bex")
    parser.add_argument("--small", action="store_true", help="one case in thirty")
    parser.add_argument("--only", default=",".join(SWEEPS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    bex = os.path.abspath(options.bex)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="bex-sweep-") as folder:
        places = [Place(bex, folder, number) for number in range(options.jobs)]
        for name in options.only.split(","):
            make, attempt = SWEEPS[name]
            cases = list(make(places[0]))
            if options.small:
                cases = random.Random(7).sample(cases, max(1, len(cases) // 30))
            shares = [(place, cases[number :: len(places)]) for number, place in enumerate(places)]

            def work(share):
                place, cases = share
                found = []
                for number, case in enumerate(cases):
                    try:
                        wrong, told = attempt(place, case)
                    except (ValueError, OSError) as error:
                        # Not every value can be an argument.
                        if "null byte" not in str(error) and "too long" not in str(error):
                            found.append((str(error), [case]))
                        continue
                    if wrong:
                        found.append((wrong, told))
                    if number % 500 == 499:
                        place.clean()
                return found

            with ThreadPoolExecutor(len(places)) as pool:
                found = [one for share in pool.map(work, shares) for one in share]
            print(f"{name}: {len(cases)} cases, {len(found)} failures", flush=True)
            for wrong, told in found[:50]:
                print(f"  {wrong.strip()}\n    {' '.join(shown(part) for part in told[:40])}", flush=True)
            failures += len(found)
            for place in places:
                place.run(["stop", "--kill"])
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
