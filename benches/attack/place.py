"""A folder with a state folder of its own, tasks that leave marks in it, and the judge that reads the marks.

The judge believes the marks that the tasks write and the processes that are there, and compares the batch file with
both. `Tally` counts what it finds.
"""
import concurrent.futures
import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

QUIET = ("--progress", "none", "--format", "none")


@dataclasses.dataclass
class Tally:
    """What came of a number of tries. All but `tries` and `note` are faults."""

    tries: int = 0
    lost: int = 0
    twice: int = 0
    stuck: int = 0
    alive: int = 0
    other: int = 0
    note: str = ""
    faults: list = dataclasses.field(default_factory=list)

    def fault(self, kind, text, count=1):
        setattr(self, kind, getattr(self, kind) + count)
        self.faults.append(f"{kind}: {text[:400]}")

    def add(self, other):
        for kind in ("tries", "lost", "twice", "stuck", "alive", "other"):
            setattr(self, kind, getattr(self, kind) + getattr(other, kind))
        self.faults += other.faults

    @property
    def bad(self):
        return bool(self.lost or self.twice or self.stuck or self.alive or self.other)


def each(items, work, workers=3):
    """Calls `work` for each item, some at a time, each with its own tally, and gives the sum. An exception is a fault."""
    total = Tally()

    def one(item):
        tally = Tally(tries=1)
        try:
            work(item, tally)
        except Exception as error:
            tally.fault("other", f"{item}: {type(error).__name__}: {error}")
        return tally

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for tally in pool.map(one, items):
            total.add(tally)
    return total


class Place:
    """Used with `with`: the folder goes at the end, and so do processes that are still there."""

    def __init__(self, bex, root=None):
        self.bex = str(Path(bex).resolve())
        self.folder = Path(tempfile.mkdtemp(prefix="bex-attack-", dir=root))
        self.home = self.folder / "home"
        self.env = dict(os.environ, BEX_HOME=str(self.home), ATTACK=str(self.folder), TMPDIR=str(self.folder))
        for name in ("BEX_BATCH", "BEX_TASK_ID", "BEX_RUN"):
            self.env.pop(name, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid, _ in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *args, timeout=120, **options):
        """Runs `bex` to its end. One that hangs is killed, and given the exit code None."""
        popen = self.start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **options)
        try:
            stdout, stderr = popen.communicate(timeout=timeout)
            return subprocess.CompletedProcess(args, popen.returncode, stdout, stderr)
        except subprocess.TimeoutExpired:
            self.end(popen)
            return subprocess.CompletedProcess(args, None, "", f"no end after {timeout} s")

    def start(self, *args, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        options.setdefault("cwd", self.folder)
        return subprocess.Popen([self.bex, *map(str, args)], env=self.env, start_new_session=True, **options)

    def end(self, popen):
        for pid in [popen.pid, *self.of_bex()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        popen.wait(timeout=60)

    def db(self, batch="b1"):
        return self.home / "batches" / f"{batch}.db"

    def rows(self, sql, db=None):
        connection = sqlite3.connect(f"file:{db or self.db()}?mode=rw", uri=True, timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def integrity(self, db=None):
        return self.rows("PRAGMA integrity_check", db) == [("ok",)]

    def completed(self, db=None):
        """The marks of the tasks that are completed on record."""
        try:
            return {name for (name,) in self.rows("SELECT name FROM tasks WHERE status = 'completed'", db)}
        except sqlite3.Error:
            return set()

    def tasks(self, count, rng, seconds=(0, 0, 0.01, 0.05, 0.2), **fields):
        """A file of tasks; each holds a lock while it runs, and marks its begin and its end."""
        lines = []
        for n in range(count):
            script = (
                f"exec 9>>{self.folder}/lock.{n}; flock -n 9 || echo overlap {n} >> {self.folder}/marks; "
                f"echo start {n} >> {self.folder}/marks; sleep {rng.choice(seconds)}; echo end {n} >> {self.folder}/marks"
            )
            lines.append(json.dumps({"name": str(n), "shell": script, "max_retries": 0, **fields}))
        file = self.folder / "tasks.jsonl"
        file.write_text("\n".join(lines) + "\n")
        return file

    def marks(self, kind=None):
        path = self.folder / "marks"
        marks = [mark.split() for mark in path.read_text().splitlines()] if path.exists() else []
        return [mark[1] for mark in marks if mark[0] == kind] if kind else marks

    def processes(self, token=None):
        """Processes that carry the mark of this place in their environment, or the token in their command."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                if token is None:
                    ours = f"ATTACK={self.folder}".encode() in (entry / "environ").read_bytes()
                else:
                    ours = token.encode() in command.split(b"\0")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except (OSError, IndexError):
                continue
            if ours and state not in "ZX":
                found.append((int(entry.name), command.replace(b"\0", b" ").decode(errors="replace").strip()))
        return found

    def of_bex(self):
        """Guardians and executors, and processes that a task is just becoming."""
        return [pid for pid, command in self.processes() if command.startswith(self.bex) or command.startswith("/proc/self/exe")]

    def executor_and_guardian(self, popen):
        """What a started `bex run` consists of: the executor is the child of the guardian, which was started."""
        return [pid for pid in self.of_bex() if parent(pid) == popen.pid], [popen.pid]

    def finish(self, *batch):
        """Resumes until the end. Who ran at three deaths is quarantined, as documented: those are retried."""
        resume = ("resume", *(batch or ("-b", "b1")), "-j", "8", *QUIET)
        ended = self.run(*resume)
        if ended.returncode == 1 and self.run("retry", *(batch or ("-b", "b1"))).returncode == 0:
            ended = self.run(*resume)
        return ended

    def judge(self, tally, count, what, on_record=frozenset(), db=None):
        """All `count` tasks must have completed once. `on_record` are those that were on record when the kill came."""
        if not self.integrity(db):
            tally.fault("other", f"{what}: the file is not whole")
        statuses = dict(self.rows("SELECT status, count(*) FROM tasks GROUP BY 1", db))
        missing = count - statuses.get("completed", 0)
        if missing:
            tally.fault("stuck", f"{what}: {statuses} of {count}", missing)
        lost = set(on_record) - self.completed(db)
        if lost:
            tally.fault("lost", f"{what}: were completed and are not: {sorted(lost)[:5]}", len(lost))
        ends = self.marks("end")
        unmarked = count - len(set(ends))
        if unmarked > 0 and not missing:
            tally.fault("lost", f"{what}: {unmarked} tasks completed on record left no mark", unmarked)
        for n in self.marks("overlap"):
            tally.fault("twice", f"{what}: task {n} ran twice at one time")
        for n in on_record:
            if ends.count(n) > 1:
                tally.fault("twice", f"{what}: task {n} was on record as completed, and ran again")
        doubled = self.rows(
            "SELECT task FROM attempts WHERE outcome = 'completed' GROUP BY 1 HAVING count(*) > 1", db
        )
        if doubled:
            tally.fault("twice", f"{what}: completed more than once on record: {doubled[:5]}", len(doubled))
        open_attempts = self.rows("SELECT count(*) FROM attempts WHERE outcome IS NULL", db)[0][0]
        if open_attempts:
            tally.fault("stuck", f"{what}: {open_attempts} attempts have no end", open_attempts)


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def until(condition, seconds=30, pause=0.01):
    """Whether the condition came true within the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(pause)
    return False
