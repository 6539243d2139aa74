#!/usr/bin/env python3
"""Kills executors at random moments and checks that nothing is lost and nothing runs twice at once.

    benches/crash.py [--kills N] [--seed N] [BEX]

BEX is the binary (default target/release/bex). Scenarios:

  random     kill -9 of executor, guardian or both at random moments, N times (50)
  at-start   kill -9 as soon as a task has begun, before its row can be on disk
  torn       the last bytes of the write-ahead log are cut off or garbled after a kill
  adders     two processes add to a batch while a third runs it and is killed
  full-disk  the disk fills up while a batch runs (needs root, for a small tmpfs)

After each kill the file passes PRAGMA integrity_check. At the end each task has completed exactly once on record, no
task ran twice at the same time (each holds a lock while it runs), none is stuck, and no process is left.
"""
import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASK = (
    "exec 9>>{place}/lock.{n}; flock -n 9 || echo overlap {n} >> {place}/marks; "
    "echo start {n} >> {place}/marks; sleep {seconds}; echo end {n} >> {place}/marks"
)


class Place:
    """A folder with a state folder of its own."""

    def __init__(self, bex, folder):
        self.bex = str(Path(bex).resolve())
        self.folder = Path(folder)
        self.home = self.folder / "home"
        self.env = dict(os.environ, BEX_HOME=str(self.home), CRASH_TEST=str(self.folder))

    def run(self, *args, **options):
        return subprocess.run(
            [self.bex, *args], env=self.env, capture_output=True, text=True, timeout=300, **options
        )

    def start(self, *args):
        return subprocess.Popen(
            [self.bex, *args], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def db(self, batch="b1"):
        return self.home / "batches" / f"{batch}.db"

    def rows(self, sql, batch="b1"):
        connection = sqlite3.connect(f"file:{self.db(batch)}?mode=rw", uri=True, timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def marks(self):
        path = self.folder / "marks"
        return path.read_text().splitlines() if path.exists() else []

    def tasks(self, count, rng):
        lines = []
        for n in range(count):
            seconds = rng.choice([0, 0, 0.01, 0.05, 0.2])
            script = TASK.format(place=self.folder, n=n, seconds=seconds)
            lines.append(json.dumps({"shell": script, "max_retries": 0}))
        file = self.folder / "tasks.jsonl"
        file.write_text("\n".join(lines) + "\n")
        return file


def processes(place):
    """Processes that carry the mark of this place in their environment: pid and command."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        if f"CRASH_TEST={place.folder}".encode() in environ and state != "Z":
            found.append((int(entry.name), command.strip()))
    return found


def executor_pids(place):
    """Whatever of bex runs: guardians, executors, and processes that a task is just becoming."""
    return [pid for pid, command in processes(place) if command.startswith(place.bex)]


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def kill(place, rng, popen):
    """Kills the executor, the guardian or both. The guardian is the process that was started."""
    executor = [pid for pid in executor_pids(place) if parent(pid) == popen.pid]
    which = rng.choice(["executor", "guardian", "both", "both"])
    chosen = {"executor": executor or [popen.pid], "guardian": [popen.pid], "both": [popen.pid, *executor]}[which]
    rng.shuffle(chosen)
    for pid in chosen:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    popen.wait(timeout=60)
    until = time.monotonic() + 60
    while executor_pids(place):
        check(time.monotonic() < until, "an executor outlived the kill of the other half")
        time.sleep(0.01)


def check(condition, message):
    if not condition:
        print(f"FAILED: {message}", file=sys.stderr)
        sys.exit(1)


def check_file(place, batch="b1"):
    check(place.rows("PRAGMA integrity_check", batch) == [("ok",)], "the file is not whole")


def check_end(place, count, batch="b1"):
    statuses = dict(place.rows("SELECT status, count(*) FROM tasks GROUP BY 1", batch))
    check(statuses == {"completed": count}, f"not all completed: {statuses}")
    totals = dict(place.rows("SELECT name, value FROM totals", batch))
    check(totals["completed"] == count and totals["queued"] == totals["running"] == 0, f"totals: {totals}")
    twice = place.rows(
        "SELECT task, count(*) FROM attempts WHERE outcome = 'completed' GROUP BY 1 HAVING count(*) <> 1", batch
    )
    check(twice == [], f"completed more than once: {twice}")
    check(place.rows("SELECT count(*) FROM attempts WHERE outcome IS NULL", batch) == [(0,)], "an attempt has no end")
    marks = place.marks()
    overlaps = [mark for mark in marks if mark.startswith("overlap")]
    check(overlaps == [], f"ran twice at once: {overlaps}")
    ended = {mark.split()[1] for mark in marks if mark.startswith("end")}
    check(len(ended) == count, f"{count - len(ended)} tasks left no end mark")
    check_file(place, batch)
    left = processes(place)
    check(left == [], f"processes are left: {left}")


def finish(place):
    """Runs the batch to its end. What ran at three deaths is quarantined, and retried; gives their number."""
    resume = ("resume", "-b", "b1", "-j", "8", "--progress", "none", "--format", "none")
    ended = place.run(*resume)
    if ended.returncode == 0:
        return 0
    failed = dict(place.rows("SELECT reason, count(*) FROM tasks WHERE status = 'failed' GROUP BY 1"))
    check(set(failed) == {"quarantined"}, f"resume ended with {ended.returncode}: {ended.stderr}")
    few = place.rows("SELECT task FROM states WHERE reason = 'quarantined' AND deaths < 3")
    check(few == [], f"quarantined too early: {few}")
    check(place.run("retry", "-b", "b1").returncode == 0, "retry failed")
    ended = place.run(*resume)
    check(ended.returncode == 0, f"resume ended with {ended.returncode}: {ended.stderr}")
    return failed["quarantined"]


def scenario_random(place, rng, kills):
    count = 40 * max(kills, 10)
    added = place.run("add", "--new", "--file", str(place.tasks(count, rng)))
    check(added.returncode == 0, added.stderr)
    done = 0
    while done < kills:
        popen = place.start("resume", "-b", "b1", "-j", "8", "--progress", "none", "--format", "none")
        time.sleep(rng.uniform(0.0, 0.5))
        if popen.poll() is not None:
            break
        kill(place, rng, popen)
        check_file(place)
        done += 1
    quarantined = finish(place)
    check_end(place, count)
    deaths = place.rows("SELECT count(*) FROM runs WHERE end = 'died'")[0][0]
    again = place.rows("SELECT count(*) FROM attempts WHERE outcome = 'interrupted'")[0][0]
    return (
        f"{done} kills, {deaths} deaths on record, {again} attempts cut off, {quarantined} tasks quarantined and retried, "
        f"{count} tasks completed once"
    )


def scenario_at_start(place, rng, kills):
    count = 400
    added = place.run("add", "--new", "--file", str(place.tasks(count, rng)))
    check(added.returncode == 0, added.stderr)
    done = 0
    for _ in range(max(5, kills // 5)):
        before = len(place.marks())
        popen = place.start("resume", "-b", "b1", "-j", "2", "--progress", "none", "--format", "none")
        while len(place.marks()) == before and popen.poll() is None:
            pass
        if popen.poll() is not None:
            break
        kill(place, rng, popen)
        check_file(place)
        done += 1
    finish(place)
    check_end(place, count)
    return f"{done} kills right after a task began, {count} tasks completed once"


def scenario_torn(place, rng, kills):
    count = 300
    added = place.run("add", "--new", "--file", str(place.tasks(count, rng)))
    check(added.returncode == 0, added.stderr)
    done = 0
    for turn in range(max(4, kills // 10)):
        popen = place.start("resume", "-b", "b1", "-j", "8", "--progress", "none", "--format", "none")
        time.sleep(rng.uniform(0.05, 0.3))
        if popen.poll() is not None:
            break
        kill(place, rng, popen)
        wal = Path(f"{place.db()}-wal")
        shm = Path(f"{place.db()}-shm")
        if wal.exists() and wal.stat().st_size > 8192:
            # The index of the log is rebuilt from the log after a crash of the system.
            shm.unlink(missing_ok=True)
            size = wal.stat().st_size
            with wal.open("r+b") as file:
                if turn % 2:
                    file.truncate(size - rng.randint(1, 4096))
                else:
                    file.seek(size - rng.randint(1, 4096))
                    file.write(rng.randbytes(64))
            done += 1
        check_file(place)
    finish(place)
    # What the torn end held ran again: a task may have two completed attempts in its marks, not on record.
    check_end(place, count)
    return f"{done} torn logs, {count} tasks completed once on record"


def scenario_adders(place, rng, kills):
    # Long enough for a run to be killed, and not to be quarantined for that.
    for task in range(8):
        added = place.run("add", *([] if task else ["--new"]), "--shell", "sleep 0.1")
        check(added.returncode == 0, added.stderr)
    each, adders = 60, 2
    script = (
        "i=0; while [ $i -lt %d ]; do '%s' add -b b1 -- true >/dev/null || exit 1; i=$((i+1)); done" % (each, place.bex)
    )
    running = [
        subprocess.Popen(["sh", "-c", script], env=place.env, stderr=subprocess.DEVNULL) for _ in range(adders)
    ]
    done = 0
    while any(adder.poll() is None for adder in running):
        popen = place.start("resume", "-b", "b1", "-j", "4", "--progress", "none", "--format", "none")
        time.sleep(rng.uniform(0.05, 0.4))
        if popen.poll() is None:
            executor = [pid for pid in executor_pids(place) if parent(pid) == popen.pid]
            for pid in executor or [popen.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            popen.wait(timeout=60)
            done += 1
    check(all(adder.returncode == 0 for adder in running), "an adder failed")
    finish(place)
    count = 8 + each * adders
    statuses = dict(place.rows("SELECT status, count(*) FROM tasks GROUP BY 1"))
    check(statuses == {"completed": count}, f"not all completed: {statuses}")
    check_file(place)
    check(processes(place) == [], f"processes are left: {processes(place)}")
    return f"{adders} adders, {done} kills, {count} tasks completed"


def scenario_full_disk(place, rng, kills):
    if os.geteuid() != 0:
        return "skipped: it needs root, to mount a small tmpfs"
    disk = place.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)])
    if mounted.returncode != 0:
        return "skipped: a tmpfs cannot be mounted here"
    try:
        return full_disk(place, disk)
    finally:
        for pid, _ in processes(place):
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "-l", str(disk)])


def full_disk(place, disk):
    place.home = disk / "home"
    place.env["BEX_HOME"] = str(place.home)
    place.env.pop("TMPDIR", None)
    count = 1200
    lines = [json.dumps({"shell": f"head -c 3000 /dev/zero | tr '\\\\0' x; echo end {n} >> {place.folder}/marks", "max_retries": 0}) for n in range(count)]
    tasks = place.folder / "tasks.jsonl"
    tasks.write_text("\n".join(lines) + "\n")
    added = place.run("add", "--new", "--file", str(tasks))
    check(added.returncode == 0, added.stderr)
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    with filler.open("wb") as file:
        file.write(b"x" * max(0, free - 1_000_000))
    started = place.run("start", "-b", "b1")
    check(started.returncode == 0, started.stderr)
    until = time.monotonic() + 60
    while True:
        status = json.loads(place.run("status", "-b", "b1", "--json").stdout)
        if status["state"] == "paused":
            break
        check(status["state"] == "running" and time.monotonic() < until, f"it did not pause: {status}")
        time.sleep(0.1)
    check("full" in (status["reason"] or ""), f"the reason does not say so: {status['reason']}")
    before = status["completed"]
    filler.unlink()
    waited = place.run("wait", "-b", "b1", "--timeout", "60")
    check(waited.returncode == 0, f"it did not go on: {waited.stdout} {waited.stderr}")
    statuses = dict(place.rows("SELECT status, count(*) FROM tasks GROUP BY 1"))
    check(statuses == {"completed": count}, f"not all completed: {statuses}")
    ends = [mark for mark in place.marks() if mark.startswith("end")]
    check(len(ends) == count, f"{len(ends)} ends of {count} tasks: something ran twice or not at all")
    check_file(place)
    return f"paused as the disk was full with {before} of {count} on record, went on with room; all completed once"


SCENARIOS = {
    "random": scenario_random,
    "at-start": scenario_at_start,
    "torn": scenario_torn,
    "adders": scenario_adders,
    "full-disk": scenario_full_disk,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("bex", nargs="?", default="target/release/bex")
    args = parser.parse_args()
    if not os.access(args.bex, os.X_OK):
        sys.exit(f"no binary at {args.bex}; build it with: cargo build --release")
    print(f"seed {args.seed}", flush=True)
    for name in args.only or SCENARIOS:
        rng = random.Random(f"{args.seed} {name}")
        with tempfile.TemporaryDirectory(prefix="bex-crash-") as folder:
            began = time.monotonic()
            result = SCENARIOS[name](Place(args.bex, folder), rng, args.kills)
            print(f"{name}: {result} ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
