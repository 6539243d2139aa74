#!/usr/bin/env python3
"""Fills small disks of many sizes while a batch runs, makes room, and checks that nothing is lost.

    benches/attack/disk_sizes.py [--sizes N] [--jobs N] [--only SCENARIO] [BEX]

BEX is the binary (default target/release/bex). N sizes (34) between 200 KB and 2 MB are tried with each kind of output:
small ones that stay in the batch file, middle ones that fill it, large ones that spill into files. What happens while the
disk is full goes round:

  wait      nothing; room is made by removing a file
  grow      nothing; room is made by a larger disk
  kill      kill -9 of executor and guardian; `bex resume` when there is room
  kill-full the same, and `bex resume` also while the disk is full: it says so, or waits
  output    the results go to a file on the same disk (-o)
  stop      `bex stop`; `bex resume` when there is room
  verbs     status, results, list, why and export elsewhere work; add, and export onto the full disk say what is wrong and leave nothing
  remove    `bex rm` of another batch on the full disk makes the room
  reader    another program reads the batch file the whole time, so that the log cannot shrink

At the end every task is completed with all of its output, and the file is whole. Needs root, for the small disks (tmpfs).
Prints one line, and what failed on standard error.
"""
import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KB = 1024
# Bytes a task prints, and what all tasks together print, in sizes of the disk.
KINDS = {"small": (2_000, 2.5), "middle": (60_000, 2.5), "large": (400_000, 2)}
SCENARIOS = ["wait", "grow", "kill", "kill-full", "output", "stop", "verbs", "remove", "reader"]
LIMIT = 90


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


class Disk:
    """A small tmpfs with a state folder on it, and a file that takes up a part of it."""

    def __init__(self, bex, size):
        self.bex, self.size = str(Path(bex).resolve()), size
        self.folder = Path(tempfile.mkdtemp(prefix="disk-sizes-"))
        self.mount = self.folder / "disk"
        self.mount.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + 256 * KB}", "tmpfs", self.mount], check=True)
        self.filler = self.mount / "filler"
        self.filler.write_bytes(bytes(256 * KB))
        self.env = dict(os.environ, BEX_HOME=str(self.mount / "home"), TMPDIR=str(self.folder))
        self.env.pop("BEX_BATCH", None)

    def run(self, *args, timeout=LIMIT):
        try:
            return subprocess.run(
                [self.bex, *args], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"bex {' '.join(args)} hangs") from None

    def start(self, *args):
        self.log = open(self.folder / "log", "ab")
        return subprocess.Popen(
            [self.bex, *args], env=self.env, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=self.log
        )

    def grow(self):
        """Room for everything."""
        subprocess.run(["mount", "-o", "remount,size=64m", self.mount], check=True)

    def fill(self):
        """Takes up what is left, to the last byte."""
        with open(self.mount / "filler", "ab", buffering=0) as file:
            for piece in (64 * KB, 4 * KB):
                while True:
                    try:
                        file.write(bytes(piece))
                    except OSError:
                        break

    def free(self):
        stat = os.statvfs(self.mount)
        return stat.f_bavail * stat.f_frsize

    def rows(self, sql):
        connection = sqlite3.connect(f"file:{self.mount}/home/batches/b1.db?mode=rw", uri=True, timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def said(self):
        return (self.folder / "log").read_text(errors="replace")[-600:] if (self.folder / "log").exists() else ""

    def close(self):
        for _ in range(100):
            if subprocess.run(["umount", self.mount], capture_output=True).returncode == 0:
                break
            time.sleep(0.05)
        else:
            subprocess.run(["umount", "-l", self.mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def status(disk):
    said = disk.run("status", "--json")
    return json.loads(said.stdout) if said.returncode == 0 else {}


def until_full(disk, run):
    """Waits until the batch says that the disk is full; False where it ended before."""
    until = time.monotonic() + LIMIT
    while run.poll() is None:
        check(time.monotonic() < until, f"it neither ends nor pauses: {disk.said()}")
        if "the disk is full" in (status(disk).get("reason") or ""):
            return True
        time.sleep(0.02)
    return False


def ended(disk, run, codes):
    try:
        code = run.wait(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise Failed(f"stuck with {disk.free()} bytes free: {status(disk)} {disk.said()}") from None
    check(code in codes, f"exit {code}: {disk.said()}")


def executors(disk):
    """Whatever of bex works for this disk."""
    mark, found = f"TMPDIR={disk.folder}".encode(), []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe") == disk.bex:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def kill_all(disk, run):
    while pids := executors(disk):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        run.poll()
    run.wait()


def no_panic(disk, said):
    check("panicked" not in said.stderr and said.returncode is not None and said.returncode >= 0, said.stderr)


def go_on(disk):
    run = disk.start("resume", "--progress", "none", "--format", "none", "-b", "b1")
    ended(disk, run, [0])


def while_full(disk, scenario, run):
    """What happens on the full disk; gives the run that goes on."""
    if scenario in ("kill", "kill-full"):
        kill_all(disk, run)
        if scenario == "kill-full":
            try:
                said = disk.run("resume", "--progress", "none", "--format", "none", timeout=3)
            except Failed:
                pass  # It waits, as the disk is full.
            else:
                no_panic(disk, said)
                check(said.returncode in (0, 3), f"resume on the full disk: {said.returncode} {said.stderr}")
                check(said.returncode == 0 or "full" in said.stderr, f"it does not say why: {said.stderr}")
        return None
    if scenario == "stop":
        said = disk.run("stop", "-b", "b1")
        check(said.returncode == 0, f"stop: {said.stderr}")
        ended(disk, run, [3, 5, 130, 143])
        return None
    if scenario == "verbs":
        verbs(disk)
    return run


def verbs(disk):
    disk.fill()
    for verb in (["status"], ["list"], ["results", "--format", "json"], ["why", "b1.1"], ["prune", "--dry-run"], ["export", "-o", "out.csv"]):
        said = disk.run(*verb)
        check(said.returncode in (0, 6), f"{verb}: {said.returncode} {said.stderr}")
    before = sorted(os.listdir(disk.mount / "home/batches"))
    for verb in (["add", "--", "true", "x" * 120_000], ["export", "-o", str(disk.mount / "out.csv")], ["run", "--", "true", ":::", "1"]):
        said = disk.run(*verb)
        no_panic(disk, said)
        check(said.returncode == 3 and "full" in said.stderr.lower() or "space" in said.stderr.lower(), f"{verb[:2]}: {said.returncode} {said.stderr}")
    left = [name for name in sorted(os.listdir(disk.mount / "home/batches")) if name not in before]
    left += [name for name in os.listdir(disk.mount) if "out.csv" in name]
    check(left == [], f"left behind: {left}")


def make_room(disk, scenario):
    if scenario == "wait":
        # Enough for the batch file alone; the outputs may need more.
        disk.filler.unlink()
        time.sleep(0.3)
    if scenario == "remove":
        said = disk.run("rm", "b2")
        check(said.returncode == 0, f"rm: {said.stderr}")
        time.sleep(0.3)
    disk.grow()


def other_batch(disk):
    """A batch that can be removed."""
    said = disk.run("run", "--progress", "none", "--format", "none", "--shell", "head -c 40000 /dev/zero", ":::", "1")
    check(said.returncode == 0, f"the other batch: {said.stderr}")


def one(bex, size, kind, scenario):
    each, times = KINDS[kind]
    count = max(3, int(size * times / each))
    disk, reader = Disk(bex, size), None
    try:
        file = disk.folder / "tasks.json"
        tasks = [{"shell": f"printf %0{each}d {n}", "max_retries": 0} for n in range(count)]
        file.write_text(json.dumps(tasks))
        options = ["-o", str(disk.mount / "out.jsonl")] if scenario == "output" else ["--format", "none"]
        # The batch itself needs 150 KB; where it finds no room, it says so and leaves nothing.
        run = disk.start("run", "--progress", "none", "-j", "3", *options, str(file))
        full = until_full(disk, run)
        if scenario == "remove" and full:
            pass
        if not full and run.returncode == 3:
            check("full" in disk.said() or "space" in disk.said(), f"it does not say why: {disk.said()}")
            disk.grow()
            if not (disk.mount / "home/batches/b1.db").exists():
                return "refused"
            go_on(disk)
        elif not full:
            check(run.returncode == 0, f"exit {run.returncode}: {disk.said()}")
        else:
            if scenario == "reader":
                reader = sqlite3.connect(f"file:{disk.mount}/home/batches/b1.db?mode=ro", uri=True)
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM specs").fetchall()
            run = while_full(disk, scenario, run)
            make_room(disk, scenario if scenario != "remove" else "wait")
            if run is None:
                go_on(disk)
            else:
                ended(disk, run, [0])
        check_end(disk, count, each, scenario)
        return "full" if full else "fits"
    finally:
        if reader:
            reader.close()
        for pid in executors(disk):
            os.kill(pid, signal.SIGKILL)
        disk.close()


def check_end(disk, count, each, scenario):
    check(disk.rows("PRAGMA integrity_check") == [("ok",)], "the file is not whole")
    statuses = dict(disk.rows("SELECT status, count(*) FROM tasks GROUP BY 1"))
    check(statuses == {"completed": count}, f"not all completed: {statuses}")
    said = disk.run("results", "-b", "b1", "--format", "jsonl", "--all") if False else disk.run("export", "-b", "b1", "-o", "all.jsonl")
    check(said.returncode == 0, f"export: {said.stderr}")
    outputs = [json.loads(line)["result"]["stdout"] for line in (disk.folder / "all.jsonl").read_text().splitlines()]
    expected = [f"{n:0{each}}" for n in range(count)]
    check(sorted(outputs) == expected, "an output is short")
    if scenario == "output" and (disk.mount / "out.jsonl").exists():
        lines = (disk.mount / "out.jsonl").read_text().splitlines()
        check(len(lines) == count, f"{len(lines)} of {count} results in the file")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, default=34)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--only")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("bex", nargs="?", default="target/release/bex")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("disk sizes: skipped, it needs root")
        return
    step = (2_000 - 200) / max(1, args.sizes - 1)
    sizes = [int((200 + step * n) * KB) // 4096 * 4096 for n in range(args.sizes)]
    cases = [(size, kind) for size in sizes for kind in args.kinds]
    scenarios = [args.only] if args.only else SCENARIOS
    cases = [(size, kind, scenarios[n % len(scenarios)]) for n, (size, kind) in enumerate(cases)]

    def attempt(case):
        began = time.monotonic()
        try:
            return one(args.bex, *case)
        except Exception as error:  # noqa: BLE001: whatever went wrong is told
            size, kind, scenario = case
            print(f"FAILED {size // KB} KB, {kind}, {scenario} ({time.monotonic() - began:.0f} s): {error}", file=sys.stderr)
            return "failed"

    with ThreadPoolExecutor(args.jobs) as pool:
        ends = list(pool.map(attempt, cases))
    counts = {end: ends.count(end) for end in sorted(set(ends))}
    print(f"disk sizes: {len(cases)} cases: " + ", ".join(f"{n} {end}" for end, n in counts.items()))
    sys.exit(1 if "failed" in counts else 0)


if __name__ == "__main__":
    main()
