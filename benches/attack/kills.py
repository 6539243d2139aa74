"""`kill -9` at random moments: of the executor, the guardian, both, a stopped executor, the whole group; while a batch
runs in the foreground or the background, is created, added to, cleared, retried, exported or removed."""
import itertools
import json
import signal
import subprocess
import time

from place import QUIET, Place, each, kill, until

RUNNING = ["run", "resume", "start", "items"]
CHANGING = ["create", "add", "clear", "retry", "export", "rm", "pause", "key"]
VICTIMS = ["executor", "guardian", "both", "stopped", "group"]
ALIVE_AFTER = 2.0


def run(bex, tries, rng):
    plans = [("run", verb, victim) for verb, victim in itertools.product(RUNNING, VICTIMS)]
    plans += [("change", verb, None) for verb in CHANGING]
    rng.shuffle(plans)
    chosen = list(itertools.islice(itertools.cycle(plans), tries))
    rounds = [(n, *plan, rng.randrange(1 << 30)) for n, plan in enumerate(chosen)]

    def one(item, tally):
        import random

        n, kind, verb, victim, seed = item
        with Place(bex) as place:
            (while_running if kind == "run" else while_changing)(place, tally, verb, victim, random.Random(seed))

    return each(rounds, one)


def while_running(place, tally, verb, victim, rng):
    count, what = 60, f"kill of {victim} in {verb}"
    file = place.tasks(count, rng)
    popen = None
    if verb == "run":
        popen = place.start("run", "-j", "6", *QUIET, file)
    elif verb == "items":
        scripts = [json.loads(line)["shell"] for line in file.read_text().splitlines()]
        (place.folder / "scripts").mkdir()
        for n, script in enumerate(scripts):
            (place.folder / "scripts" / str(n)).write_text(script)
        popen = place.start(
            "run", "-j", "6", *QUIET, "--", "sh", stdin=subprocess.PIPE
        )
        popen.stdin.write("".join(f"{place.folder}/scripts/{n}\n" for n in range(count)).encode())
        popen.stdin.close()
    else:
        added = place.run("add", "--new", "--file", file)
        assert added.returncode == 0, added.stderr
        if verb == "resume":
            popen = place.start("resume", "-b", "b1", "-j", "6", *QUIET)
        else:
            started = place.run("start", "-b", "b1", "-j", "6")
            assert started.returncode == 0, started.stderr
    time.sleep(rng.uniform(0.0, 0.6))
    slay(place, popen, victim)
    if popen:
        popen.wait(timeout=60)
    gone = until(lambda: not place.of_bex())
    if not gone:
        tally.fault("stuck", f"{what}: a half of it lives on")
        kill(place.of_bex())
    on_record = place.completed() if place.db().exists() else set()
    time.sleep(ALIVE_AFTER)
    left = [command for _, command in place.processes() if victim not in ("both", "group") or "sleep" not in command]
    if left:
        tally.fault("alive", f"{what}: {left[:3]}", len(left))
    if not place.db().exists():
        if place.marks():
            tally.fault("lost", f"{what}: tasks ran and there is no batch")
        return
    complete_or_say_so(place, tally, verb, count, what, on_record)


def complete_or_say_so(place, tally, verb, count, what, on_record):
    """After a kill the batch is whole, or says that it is not; it is never 'completed' with less than was asked."""
    ended = place.finish()
    have = place.rows("SELECT count(*) FROM tasks")[0][0]
    if have < count:
        if ended.returncode == 0:
            tally.fault("lost", f"{what}: {have} of {count} tasks, and resume says that all is well: {ended.stderr[:200]}")
        if verb == "run":
            again = place.run("run", "--resume", "-j", "8", *QUIET, place.folder / "tasks.jsonl")
            if again.returncode != 0:
                tally.fault("stuck", f"{what}: run --resume ended with {again.returncode}: {again.stderr[:300]}")
            place.judge(tally, count, what, on_record, latest(place))
        return
    if ended.returncode not in (0, 5):
        tally.fault("stuck", f"{what}: resume ended with {ended.returncode}: {ended.stderr[:300]}")
    place.judge(tally, count, what, on_record)


def latest(place):
    batches = sorted(place.db().parent.glob("b*.db"), key=lambda path: int(path.stem[1:]))
    return batches[-1]


def slay(place, popen, victim):
    if popen:
        executor, guardian = place.executor_and_guardian(popen)
    else:
        executor, guardian = place.of_bex(), []
    if victim == "stopped":
        kill(executor, signal.SIGSTOP)
        time.sleep(0.2)
        kill(executor)
    elif victim == "executor":
        kill(executor or guardian)
    elif victim == "guardian":
        kill(guardian or executor)
    else:
        kill([*guardian, *executor] if victim == "both" else [*executor, *guardian])


def while_changing(place, tally, verb, _, rng):
    what = f"kill of {verb}"
    if verb in ("create", "add", "key"):
        return while_adding(place, tally, verb, rng, what)
    count = 300
    file = place.folder / "quick.jsonl"
    file.write_text("".join(json.dumps({"name": str(n), "function": "simulate", "params": {"fail": n % 3 == 0}, "max_retries": 0}) + "\n" for n in range(count)))
    ran = place.run("run", "-j", "8", *QUIET, file)
    assert ran.returncode == 1, (ran.returncode, ran.stderr)
    before = place.completed()
    args = {
        "clear": ("clear", "-b", "b1"),
        "retry": ("retry", "-b", "b1"),
        "export": ("export", "-b", "b1", "-o", place.folder / "out.json"),
        "rm": ("rm", "b1"),
        "pause": ("pause", "-b", "b1"),
    }[verb]
    popen = place.start(*args)
    time.sleep(rng.uniform(0.0, 0.03))
    kill([popen.pid])
    kill(place.of_bex())
    popen.wait(timeout=60)
    if verb == "export" and (place.folder / "out.json").exists():
        exported = json.loads((place.folder / "out.json").read_text())
        if len(exported["tasks"]) != count:
            tally.fault("lost", f"{what}: the export has {len(exported['tasks'])} of {count} tasks")
    if verb == "rm":
        listed = place.run("list", "--json")
        if listed.returncode != 0:
            tally.fault("other", f"{what}: list ends with {listed.returncode}: {listed.stderr[:200]}")
        if place.run("rm", "b1").returncode not in (0, 2) or list(place.db().parent.glob("b1.*")):
            tally.fault("other", f"{what}: a second rm leaves {list(place.db().parent.glob('b1.*'))}")
        return
    have = place.rows("SELECT count(*) FROM tasks")[0][0]
    if verb == "clear":
        if have not in (0, count):
            tally.fault("lost", f"{what}: a half of the tasks is gone: {have}")
    elif before - place.completed():
        tally.fault("lost", f"{what}: {len(before - place.completed())} completed tasks are gone")
    if not place.integrity():
        tally.fault("other", f"{what}: the file is not whole")
    if have and place.run("status", "-b", "b1").returncode != 0:
        tally.fault("other", f"{what}: status fails")


def while_adding(place, tally, verb, rng, what):
    count = 20_000
    file = place.folder / "many.jsonl"
    file.write_text("".join(json.dumps({"name": str(n), "function": "simulate", "params": {}}) + "\n" for n in range(count)))
    if verb == "add":
        assert place.run("add", "--new", "--", "true").returncode == 0
        popen = place.start("add", "-b", "b1", "--file", file)
    elif verb == "key":
        popen = place.start("run", "--key", "k", "-j", "8", *QUIET, file)
    else:
        popen = place.start("run", "-j", "8", *QUIET, file)
    time.sleep(rng.uniform(0.0, 0.5))
    kill([*place.of_bex(), popen.pid])
    popen.wait(timeout=60)
    until(lambda: not place.of_bex())
    if not place.db().exists():
        return
    have = place.rows("SELECT count(*) FROM tasks")[0][0]
    whole = {"add": (1, count + 1)}.get(verb, (count,))
    resumed = place.run("resume", "-b", "b1", "-j", "8", *QUIET)
    if have in whole:
        if resumed.returncode != 0:
            tally.fault("stuck", f"{what}: resume ends with {resumed.returncode}: {resumed.stderr[:200]}")
    elif verb == "add":
        tally.fault("lost", f"{what}: {have} tasks: a half of the file was added")
    elif resumed.returncode == 0:
        tally.fault("lost", f"{what}: {have} of {count} tasks, and resume ends with 0: {resumed.stderr[:200]}")
