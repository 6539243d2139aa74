"""Many processes add to one batch while executors of it are killed, and the end of the write-ahead log is torn off."""
import itertools
import random
import subprocess
import time
from pathlib import Path

from place import QUIET, Place, each, kill


def run(bex, tries, rng):
    rounds = [(name, rng.randrange(1 << 30)) for name in itertools.islice(itertools.cycle([crowd, torn]), tries)]

    def one(item, tally):
        with Place(bex) as place:
            item[0](place, tally, random.Random(item[1]))

    return each(rounds, one, workers=2)


def crowd(place, tally, rng):
    """Each adder's answer must be true: what it said was added is there, once, and is run."""
    adders, times = 20, 5
    assert place.run("add", "--new", "--", "true").returncode == 0
    script = (
        f"i=0; while [ $i -lt {times} ]; do '{place.bex}' add -b b1 --shell \"echo end $1.$i >> {place.folder}/marks\" >/dev/null"
        " || exit 1; i=$((i+1)); done"
    )
    running = [
        subprocess.Popen(["sh", "-c", script, "_", str(n)], env=place.env, stderr=subprocess.DEVNULL) for n in range(adders)
    ]
    kills = 0
    while any(adder.poll() is None for adder in running):
        popen = place.start("resume", "-b", "b1", "-j", "4", *QUIET)
        time.sleep(rng.uniform(0.05, 0.4))
        # Only now and then: what runs at three deaths of its executor is quarantined.
        if popen.poll() is None and kills < 2:
            executor, guardian = place.executor_and_guardian(popen)
            kill(executor or guardian)
            kills += 1
        popen.wait(timeout=60)
    failed = sum(adder.returncode != 0 for adder in running)
    if failed:
        tally.fault("other", f"{failed} of {adders} adders failed", failed)
    place.finish()
    expected = {f"{n}.{i}" for n in range(adders) for i in range(times)}
    missing = expected - set(place.marks("end"))
    if missing:
        tally.fault("lost", f"{len(missing)} added tasks never ran", len(missing))
    statuses = dict(place.rows("SELECT status, count(*) FROM tasks GROUP BY 1"))
    if statuses != {"completed": len(expected) + 1}:
        tally.fault("stuck", f"{statuses} of {len(expected) + 1}")


def torn(place, tally, rng):
    """What the torn end held may run again; the file stays whole, and nothing is lost that was asked for."""
    count = 150
    added = place.run("add", "--new", "--file", place.tasks(count, rng))
    assert added.returncode == 0, added.stderr
    for turn in range(4):
        popen = place.start("resume", "-b", "b1", "-j", "8", *QUIET)
        time.sleep(rng.uniform(0.05, 0.3))
        executor, guardian = place.executor_and_guardian(popen)
        kill([*guardian, *executor])
        popen.wait(timeout=60)
        kill([pid for pid, _ in place.processes()])
        wal, shm = Path(f"{place.db()}-wal"), Path(f"{place.db()}-shm")
        if wal.exists() and wal.stat().st_size > 8192:
            # The index of the log is made anew from the log after a crash of the system.
            shm.unlink(missing_ok=True)
            size = wal.stat().st_size
            with wal.open("r+b") as file:
                if turn % 2:
                    file.truncate(size - rng.randint(1, 4096))
                else:
                    file.seek(size - rng.randint(1, 4096))
                    file.write(rng.randbytes(64))
        if not place.integrity():
            tally.fault("other", "the file is not whole")
    place.finish()
    place.judge(tally, count, "torn log")
