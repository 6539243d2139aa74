#!/usr/bin/env python3
"""Tries to make data run as code, through the built binary.

    benches/attack/inject.py [--small] [--seed N] [--jobs N] BEX

Combines forms (items, cells, parameters, results of tasks), places (code arguments behind wrappers, contexts of shell
scripts and what can stand around them) and payloads. Each payload makes a file when it runs. Prints one line at the
end, and before it each case in which a payload ran or bex ended in an unexpected way. Exit code 1 then.
"""

import argparse
import concurrent.futures
import csv
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

PAYLOADS = [
    "$(touch PWN)", "`touch PWN`", "; touch PWN", "| touch PWN", "& touch PWN &", "\ntouch PWN\n", "touch PWN", "touch PWN|",
    "'; touch PWN; '", '"; touch PWN; "', "'$(touch PWN)'", "\\'; touch PWN #", "x'$(touch PWN)'x", "${x:-$(touch PWN)}",
    "a[$(touch PWN)]", "PATH[$(touch PWN)]", "x[$(touch PWN)]=1", "1+a[$(touch PWN)]", "a[$(touch${IFS}PWN)]", "$((a[$(touch PWN)]))",
    "-c touch${IFS}PWN", "-ctouch PWN", "-exec touch PWN", "--eval=touch PWN", "-e system('touch PWN')", "-esystem('touch PWN')",
    "__import__('os').system('touch PWN')", "'+__import__('os').system('touch PWN')+'", "-cimport os;os.system('touch PWN')",
    "require('child_process').execSync('touch PWN')", "--eval=require('child_process').execSync('touch PWN')",
    "`+require('child_process').execSync('touch PWN')+`", "'+require('child_process').execSync('touch PWN')+'",
    "\";system('touch PWN');\"", "';system('touch PWN');'", "system(\"touch PWN\")", "BEGIN{system(\"touch PWN\")}", "1e touch PWN",
    "x/;e touch PWN;s/x/x", "@{[system('touch PWN')]}", "#{system('touch PWN')}", "-oProxyCommand=touch PWN",
    "--checkpoint-action=exec=touch PWN", "--use-compress-program=touch PWN", "BASH_ENV=$(touch PWN)", "X=$(shell touch PWN)",
    "([0]=$(touch PWN))", "() { :; }; touch PWN", "{{ tasks.a.result }}$(touch PWN)", "\\$(touch PWN)", "!touch PWN", "eval touch PWN",
]

# `@` is where the data goes.
CODES = {
    "sh": ["sh -c|@", "sh -c|echo @", "sh -c|echo '@'", 'sh -c|echo "@"', "sh -ec|: @", "sh -c|--|@", "sh +e -c|echo @", "sh|@", "sh @ x"],
    "bash": ["bash -c|@", "bash -lc|echo @", "bash -exc|echo @", "bash -o pipefail -c|echo @", "bash --norc -c|x[@]=1", "bash -c -x|(( @ ))",
             "bash -c|[[ @ -eq 1 ]]", "/bin/bash -c|echo $(echo @)", "bash @ x", "bash -@ x"],
    "python3": ["python3 -c|@", "python3 -c|print('@')", "python3 -Ic|print(@)", "python3 -uc|print(\"@\")", "python3 -W ignore -c|@", "python3|@"],
    "perl": ["perl -e|@", "perl -e|print '@'", 'perl -ne|print "@"', "perl -lane|@", "perl -M@ -e 1", "perl -ne print|@", "perl|@"],
    "node": ["node -e|@", "node -e|console.log('@')", "node -p|`@`", "node -pe|@", "node --eval=@", "node --print|@", "node|@"],
    "awk": ["awk|@", "awk|BEGIN { print \"@\" }", "awk -v x=1|@"],
    "sed": ["sed|@|tasks.json", "sed -n|s/x/@/|tasks.json", "sed -e p -e|@|tasks.json"],
    "make": ["make|@", "make|X=@|x", "make --eval=@"],
    "find": ["find . -maxdepth 0 -exec sh -c|@|;", "find . -maxdepth 0 -exec sh -c|echo @|_|+", "find|@"],
    "tar": ["tar -cf x.tar|@|tasks.json", "tar -cf x.tar --to-command=@ tasks.json"],
    "xargs": ["xargs sh -c|@", "xargs -I% sh -c|echo %@"],
    "ssh": ["ssh|@|true", "ssh -o|@|localhost", "ssh -oProxyCommand=@ localhost"],
}
WRAPPERS = ["", "env ", "env -i PATH=/usr/bin:/bin ", "/usr/bin/env A=1 ", "nice -n 5 ", "timeout 5 ", "timeout -k 1 5 ", "nohup ", "setsid -w ", "stdbuf -oL ",
            "env -S ", "nice timeout 5 env "]
# Arguments that are no code: they must run, and give back what came in.
SAFE = ["printf %s|@", "sh -c|printf %s \"$1\"|_|@", "bash script.sh -c|@", "python3 -c|import sys; sys.stdout.write(sys.argv[1])|@",
        "env X=1 sh -c|printf %s \"$1\"|_|@", "timeout 5 bash script.sh -c|@", "perl script.pl -e|@"]
SCRIPTS = [
    "echo @", "echo a@b", "echo @@", "x=@; echo \"$x\"", "x=@; echo $x", "x=@; $x", "\"$x\" @", "$(echo @)", "case @ in @) echo @;; esac", "[ @ = b ]",
    "[[ @ = b ]]", "[[ @ == @ ]]", "[[ -n @ ]]", "[[ -n a && @ -eq 1 ]]", "[ @ -eq 1 ]", "test 1 -lt @", "[ -v @ ]", "test -n @ -a 1 = 1", "echo $((@))",
    "echo $(( 1 + @ ))", "((@))", "(( x = @ ))", "echo $[@]", "echo $[ 1 + @ ]", "x[@]=1", "x[1+@]=1", "x=([@]=1)", "x=(@)", "x+=(@)", "declare x=@",
    "declare -i x=@", "declare -a x=@", "declare -A x; x[@]=1", "declare @", "typeset -i x; x=@", "export x=@", "export @", "readonly x=@", "local x=@",
    "let x=@", "let @", "read @ < /dev/null", "read -r x <<< @; echo $((x))", "printf -v @ x", "printf @", "printf %d @", "unset @", "unset x[@]", "eval @",
    "eval echo @", "eval \"x=@\"", "trap @ EXIT", "trap @ 0", "alias x=@", "sh -c @", "sh -c 'echo '@", "sh -c \"$(echo @)\"", "bash -c 'echo $1' _ @",
    "bash -c 'echo $(( $1 ))' _ @", "echo @ | sh", "echo @ | bash -s", "printf '%s\\n' @ | tee x | sh", "sh <<< @", "sh < <(echo @)", "bash <(echo @)", "source <(echo @)",
    ". /dev/stdin <<< @", "cat <<< @", "cat <<E\n@\nE", "cat <<'E'\n@\nE", "x=@; cat <<E\n$x\nE", "x=@; sh <<E\n$x\nE", "echo @ | xargs sh -c", "echo @ | xargs -I% sh -c 'echo %'",
    "echo @ | xargs -0 echo", "x=@; eval \"$x\"", "x=@; y=$x; eval $y", "x=@; sh -c \"echo $x\"", "x=@; sh -c \"$x\"", "x=@; echo $((x))", "x=@; echo $(($x))", "x=@; ((x > 1))",
    "x=@; [[ $x -gt 1 ]]", "x=@; echo ${y[x]}", "x=@; echo ${y[$x]}", "x=@; echo ${PATH:x}", "x=@; echo ${PATH:$x:1}", "x=@; echo ${!x}", "x=@; echo ${x@P}", "x=@; let y=x",
    "x=@; y=`eval $x`", "echo `echo @`", "x=`echo @`; eval $x", "for i in @; do echo $((i)); done", "for i in @; do eval \"$i\"; done", "for i in @; do echo \"$i\"; done",
    "for ((i=@; i<1; i++)); do :; done", "select x in @; do break; done", "f() { eval \"$1\"; }; f @", "f() { echo $(( $1 )); }; f @", "f() { echo \"$1\"; }; f @",
    "function f { sh -c \"$1\"; }; f @", "set -- @; eval $1", "set -- @; echo \"$@\"", "echo @ | while read x; do eval $x; done", "echo @ | while read x; do echo $x; done",
    "while read x; do sh -c \"$x\"; done <<< @", "BASH_ENV=@ bash -c :", "ENV=@ sh -c :", "PS4=@; set -x; :", "PS4=@ bash -xc :", "IFS=@; echo $PATH", "PATH=@; x", "SECONDS=@", "RANDOM=@",
    "coproc sh -c @", "exec sh -c @", "command sh -c @", "command eval @", "builtin eval @", "time sh -c @", "! sh -c @", "{ sh -c @; }", "(sh -c @)", "sh 2>&1 -c @", "sh >x -c @",
    ">x sh -c @", "sh 3<&0 -c @", "s\\h -c @", "'sh' -c @", "$'sh' -c @", "X=1 sh -c @", "if sh -c @; then :; fi", "while sh -c @; do break; done", "case x in x) sh -c @;; esac",
    "awk @ /dev/null", "awk 'BEGIN { print ARGV[1] }' @", "sed @ tasks.json", "sed -n s/x/@/ tasks.json", "python3 -c @", "python3 script.py @", "perl -e @", "perl -ne 'print' @",
    "perl @", "python3 @", "node -e @", "node @", "find . -maxdepth 0 -exec sh -c @ \\;", "find @ -maxdepth 0", "tar cf x.tar @", "make @", "make X=@ x", "ssh @ true", "echo $'a'@", "echo \\@",
    "echo $@", "echo ${x:-@}", "echo \"${x:-@}\"", "echo ${x#@}", "echo ${x/@/@}", "echo {a,@}", "echo @ # @", "# @", "echo a#@", "echo \"@\"", "echo '@'", "echo \"'@'\"", "echo '\"'@'\"'",
    "mapfile -t x <<< @; echo \"${x[0]}\"", "mapfile -C @ -c 1 x <<< a", "getopts a @", "compgen -W @", "declare -n r=@; echo $r", "hash @", "type @", "cd @", "exit @", "return @", "shift @",
    "kill -0 @", "wait @", "umask @", "ulimit -n @", "dd if=@", "env @", "env A=@ true", "xargs -a @ echo", "nohup sh -c @", "busybox sh -c @", "dash -c @", "zsh -c @",
]
AROUND = ["@", "( @ )", "{ @\n}", "if true; then @\nfi", "for z in 1; do @\ndone", "echo \"$( @ )\"", "z=$( @ )", "true && @", "true | @", "case z in z) @\n;; esac", "g() { @\n}; g"]
SHELLS = [shell for shell in ["bash", "dash", "zsh", "ksh", "mksh", "yash"] if shutil.which(shell)]


class Case:
    """A way to bring payloads in, and what came of it."""

    def __init__(self, name, make, safe=False):
        self.name, self.make, self.safe = name, make, safe

    def run(self, bex, payloads):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            write(folder, "tasks.json", "x\n")
            write(folder, "script.sh", "shift; printf %s \"$1\"")
            write(folder, "script.pl", "print $ARGV[1]")
            write(folder, "script.py", "import sys; print(sys.argv[1:])")
            arguments = self.make(folder, payloads)
            environment = dict(os.environ, BEX_HOME=os.path.join(folder, "home"), XDG_CONFIG_HOME=folder)
            command = [bex, "run", "--durability", "none", "--timeout", "10", "--progress", "none", *arguments]
            ended = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
            if os.path.exists(os.path.join(folder, "PWN")):
                return "ran"
            # 5: a later item was refused after the first ones had run.
            if ended.returncode not in (0, 1, 2, 5) or b"panicked" in ended.stderr:
                return f"ended with {ended.returncode}: {ended.stderr[-300:]!r}"
            if self.safe and ended.returncode != 0 and b"becomes code" not in ended.stderr:
                return f"is no code and was not taken: {ended.stderr[-300:]!r}"
            return "refused" if ended.returncode == 2 or ended.returncode == 5 else "data"


def write(folder, name, text):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)


def argv_of(line, data):
    """Words, apart by spaces up to the first `|`, and by `|` from there on."""
    words, *rest = line.split("|")
    return [word.replace("@", data) for word in [*words.split(), *rest]]


def items(arguments):
    return lambda folder, payloads: [*arguments, ":::", *payloads]


def rows(task):
    def make(folder, payloads):
        write(folder, "task.json", json.dumps(task))
        table = io.StringIO()
        csv.writer(table).writerows([["x", "y"], *([payload, "sh"] for payload in payloads)])
        write(folder, "rows.csv", table.getvalue())
        return ["rows.csv", "--template", "task.json"]

    return make


def saved(task):
    def make(folder, payloads):
        os.makedirs(os.path.join(folder, "home", "templates"))
        text = {"params": {"x": {"type": "text"}}, "tasks": [task]}
        write(folder, "home/templates/t.json", json.dumps(text).replace("row.x", "params.x"))
        table = io.StringIO()
        csv.writer(table).writerows([["x"], *([payload] for payload in payloads)])
        write(folder, "rows.csv", table.getvalue())
        return ["--template", "t", "--rows", "rows.csv"]

    return make


def results(task):
    def make(folder, payloads):
        tasks = []
        for index, payload in enumerate(payloads):
            tasks.append({"id": f"a{index}", "command": ["printf", "%s", payload.replace("{{", "{ {")], "max_retries": 0})
            text = json.dumps(dict(task, max_retries=0)).replace("row.x", f"tasks.a{index}.result.stdout")
            tasks.append(json.loads(text))
        write(folder, "tasks.json", json.dumps(tasks))
        return ["tasks.json"]

    return make


def cases(small, chance):
    data = "{{ row.x }}"
    sources = [("rows", rows), ("saved", saved), ("results", results)]
    codes = [code for group in CODES.values() for code in group]
    for wrapper, code in itertools.product(WRAPPERS, codes):
        if wrapper == "env -S ":
            words, *rest = code.split("|")
            line = f"env -S|{words}|" + "|".join(rest)
        else:
            line = wrapper + code
        yield Case(f"command: {line}", items(["--", *argv_of(line, "{}")]))
        for name, source in sources:
            if not small or chance.random() < 0.2:
                yield Case(f"{name}: {line}", source({"command": argv_of(line, data)}))
    for line in SAFE:
        yield Case(f"safe: {line}", items(["--", *argv_of(line, "{}")]), safe=True)
        for name, source in sources:
            yield Case(f"safe {name}: {line}", source({"command": argv_of(line, data)}), safe=True)
    for around, script in itertools.product(AROUND, SCRIPTS):
        if around != "@" and small and chance.random() < 0.8:
            continue
        script = around.replace("@", script)
        yield Case(f"--shell {script!r}", items(["--shell", script.replace("@", "{}")]))
        for shell in SHELLS if not small else chance.sample(SHELLS, min(2, len(SHELLS))):
            params = json.dumps({"script": script.replace("@", "{}"), "shell": shell})
            yield Case(f"{shell} {script!r}", items(["--function", "shell", "--params", params]))
        for name, source in sources:
            if not small or chance.random() < 0.2:
                task = {"function": "shell", "params": {"script": script.replace("@", data), "shell": "bash"}}
                yield Case(f"{name} {script!r}", source(task))
    for task in [
        {"command": ["sh"], "stdin": data}, {"command": ["bash", "-s"], "stdin": f"echo {data}"}, {"command": ["python3", "-"], "stdin": data},
        {"command": ["xargs", "sh", "-c"], "stdin": data}, {"command": ["bash", "-c", ":"], "env": {"BASH_ENV": data}},
        {"command": [data, "-c", data]}, {"command": ["{{ row.y }}", "-c", data]}, {"command": ["bash", data, data]},
        {"python": f"print({data})"}, {"python": f"print('{data}')"}, {"node": f"console.log({data})"}, {"node": f"console.log(`{data}`)"},
        {"function": "custom_function", "params": {"code": f"def process():\n    return {data}"}},
        {"function": "code_execution", "params": {"runtime": "terminal", "code": f"echo {data}; x[{data}]=1"}},
        {"function": "shell", "params": {"script": f"echo {data}", "shell": "fish"}},
    ]:
        for name, source in sources:
            if "row.y" not in json.dumps(task) or name == "rows":
                yield Case(f"{name}: {json.dumps(task)}", source(task))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bex")
    parser.add_argument("--small", action="store_true", help="a part of the cases, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    bex, chance = os.path.abspath(args.bex), random.Random(args.seed)
    counts, bad = {"data": 0, "refused": 0}, 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for outcome in pool.map(lambda case: attack(bex, case), cases(args.small, chance)):
            for name, weight, ended in outcome:
                if ended in counts:
                    counts[ended] += weight
                else:
                    bad += 1
                    print(f"{name}: {ended}", flush=True)
    total = sum(counts.values()) + bad
    print(f"{total} injections: {counts['refused']} refused, {counts['data']} stayed data, {bad} wrong (seed {args.seed})")
    return 1 if bad else 0


def attack(bex, case):
    """Tries all payloads at once, and one by one where one of them would keep the others from being tried."""
    ended = case.run(bex, PAYLOADS)
    if ended != "refused" and (ended != "data" or not case.safe):
        return [(case.name, len(PAYLOADS), ended)]
    if ended == "refused" and case.run(bex, ["x"]) == "refused":
        return [(case.name, len(PAYLOADS), ended)]
    return [(f"{case.name} {payload!r}", 1, case.run(bex, [payload])) for payload in PAYLOADS]


def run(bex, tries, rng):
    """As one of the attacks of benches/attack.py: each try is a case with all payloads."""
    from place import each

    bex = os.path.abspath(bex)
    all_cases = list(cases(False, rng))

    def one(case, tally):
        for name, _, ended in attack(bex, case):
            if ended not in ("data", "refused"):
                tally.fault("other", f"{name}: {ended}")

    return each(rng.sample(all_cases, min(tries, len(all_cases))), one)


if __name__ == "__main__":
    sys.exit(main())
