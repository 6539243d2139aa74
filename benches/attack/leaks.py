"""What tasks leave behind: shapes of processes x ways to end them x foreground and background.

Every process of a task sleeps for a number of seconds that nothing else on the machine has, and is found by it, whatever
became of its environment, session and parents.
"""
import itertools
import json
import random
import signal
import sys
import time

from place import QUIET, Place, each, kill, parent, until

FORKER = """
import os, sys
generations, own_session = int(sys.argv[1]), sys.argv[2] == "session"
for _ in range(generations):
    if os.fork():
        os._exit(0)
    if own_session:
        os.setsid()
os.execvp("sleep", ["sleep", sys.argv[3]])
"""
DAEMON = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.closerange(0, 64)
os.execve("/bin/sleep", ["sleep", sys.argv[1]], {})
"""
SHAPES = {
    "plain": "sleep {t}",
    "child": "sleep {t} & wait",
    "orphan": "(sleep {t} &); sleep {t}",
    "nohup": "(nohup sleep {t} >/dev/null 2>&1 &); sleep {t}",
    "session": "(setsid sleep {t} &); sleep {t}",
    "bare session": '(env -i setsid sh -c "sleep {t} & exit" &); sleep {t}',
    "bare, closed": "(env -i setsid sleep {t} </dev/null >/dev/null 2>&1 &); sleep {t}",
    "daemon": "{python} {folder}/daemon.py {t}; sleep {t}",
    "ignores TERM": "trap '' TERM HUP INT; sleep {t} & wait; sleep {t}",
    "session ignores TERM": "(trap '' TERM HUP INT; exec setsid sh -c 'sleep {t}; sleep {t}' &); sleep {t}",
    "stopped": "sleep {t} & kill -STOP $!; sleep {t}",
    "many": "for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep {t} & sleep {t} & wait' & done; wait",
    "own group": "set -m; sleep {t} & sleep {t} & wait",
    "forks on": "{python} {folder}/forker.py 2000 group {t}; sleep {t}",
    "forks on, sessions": "env -i {python} {folder}/forker.py 2000 session {t}; sleep {t}",
}
LEAVES_BEHIND = [name for name in SHAPES if name not in ("plain", "child", "many", "own group", "stopped", "ignores TERM")]
ENDS = [
    "timeout", "cancel", "INT twice", "TERM", "HUP", "stop --now", "stop --kill", "batch timeout", "fail fast",
    "kill executor", "kill guardian", "kill both",
]


def run(bex, tries, rng):
    plans = list(itertools.product(SHAPES, ENDS, ["run", "start"]))
    plans += list(itertools.product(LEAVES_BEHIND, ["ends by itself"], ["run", "start"]))
    rng.shuffle(plans)
    rounds = [(n, *plan) for n, plan in enumerate(itertools.islice(itertools.cycle(plans), tries))]

    def one(item, tally):
        with Place(bex) as place:
            try:
                combination(place, tally, *item)
            finally:
                kill([pid for token in tokens(item[0]) for pid, _ in place.processes(token)])

    return each(rounds, one, workers=4)


def tokens(n):
    return f"86{n:05}.5", f"87{n:05}.5"


def combination(place, tally, n, shape, end, mode):
    what = f"{shape}, {end}, {mode}"
    token, other = tokens(n)
    (place.folder / "forker.py").write_text(FORKER)
    (place.folder / "daemon.py").write_text(DAEMON)
    script = SHAPES[shape].format(t=token, folder=place.folder, python=sys.executable)
    if end == "ends by itself":
        script = script.removesuffix(f"; sleep {token}")
    first = {"shell": f"echo begun >> {place.folder}/begun; {script}", "grace": 0.3}
    settings = {"defaults": {"max_retries": 0}}
    if end == "timeout":
        first["timeout"] = 0.7
    if end == "batch timeout":
        settings["batch_timeout"] = 1.2
    if end == "fail fast":
        settings["fail_fast"] = True
    second = {"shell": f"sleep {other}", "grace": 0.3}
    tasks = [first, second]
    if end == "fail fast":
        tasks.append({"shell": f"until test -e {place.folder}/begun; do sleep 0.05; done; sleep 0.5; exit 1"})
    if end == "ends by itself":
        tasks = [first, {"shell": "sleep 1"}]
    file = place.folder / "tasks.json"
    file.write_text(json.dumps({**settings, "tasks": tasks}))
    popen = None
    if mode == "run":
        popen = place.start("run", "-j", "4", *QUIET, file)
    else:
        add = place.run("add", "--new", "--file", file)
        assert add.returncode == 0, add.stderr
        start = place.run("start", "-b", "b1", "-j", "4")
        assert start.returncode == 0, start.stderr
    if not until((place.folder / "begun").exists):
        raise AssertionError("the task did not begin")
    time.sleep(0.4)
    if end in ("timeout", "cancel"):
        return while_it_runs(place, tally, what, end, token)
    bring_to_end(place, end, popen)
    if popen and not until(lambda: popen.poll() is not None):
        tally.fault("stuck", f"{what}: bex does not end")
        return
    if not until(lambda: not place.of_bex()):
        tally.fault("stuck", f"{what}: bex does not end: {place.processes()[:3]}")
        return
    found = lambda: [*place.processes(token), *place.processes(other)]
    gone = until(lambda: not found(), 2, 0.1)
    if not gone and end == "kill both":
        # Documented: what a task started itself lives until the next command on its batch. The tasks themselves don't.
        leaders = [command for _, command in place.processes() if "begun" in command]
        if leaders:
            tally.fault("alive", f"{what}: a task's own process: {leaders[:3]}", len(leaders))
        place.run("pause", "-b", "b1")
        gone = until(lambda: not found(), 2, 0.1)
    if not gone:
        tally.fault("alive", f"{what}: {found()[:3]}", len(found()))


def while_it_runs(place, tally, what, end, token):
    """The rest of the batch goes on; what the ended task left must be gone all the same."""
    if end == "cancel":
        cancelled = place.run("cancel", "b1.1")
        if cancelled.returncode != 0:
            tally.fault("other", f"{what}: cancel ends with {cancelled.returncode}: {cancelled.stderr[:200]}")
    ended = until(
        lambda: place.rows("SELECT count(*) FROM tasks WHERE task = 1 AND status IN ('failed', 'cancelled')") == [(1,)]
    )
    if not ended:
        tally.fault("stuck", f"{what}: the task does not end")
    if not until(lambda: not place.processes(token), 2, 0.1):
        left = place.processes(token)
        tally.fault("alive", f"{what}: {left[:3]}", len(left))
    if not place.of_bex():
        tally.fault("other", f"{what}: the run ended with the task")
    place.run("stop", "-b", "b1", "--kill")


def bring_to_end(place, end, popen):
    halves = place.of_bex()
    executor = [pid for pid in halves if parent(pid) in halves]
    guardian = [pid for pid in halves if pid not in executor]
    numbers = {"TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "INT twice": signal.SIGINT}
    if end in numbers:
        kill(guardian, numbers[end])
        if end == "INT twice":
            time.sleep(0.3)
            kill(guardian, numbers[end])
    elif end.startswith("stop"):
        place.run("stop", "-b", "b1", end.split()[1])
    elif end == "kill executor":
        kill(executor or guardian)
    elif end == "kill guardian":
        kill(guardian)
    elif end == "kill both":
        both = [*executor, *guardian]
        random.shuffle(both)
        kill(both)
