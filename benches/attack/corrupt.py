"""Damaged files: bytes flipped, ends cut off, pieces overwritten, in the database, its log, the lease, the numbers and keys.

Every verb must come to an end with a message and one of the documented exit codes; a panic, a signal and a hang are
faults. What a check by SQLite finds whole must still have all tasks.
"""
import itertools
import json
import random
import shutil

from place import QUIET, Place, each

FILES = ["b1.db", "b1.db", "b1.db-wal", "b1.db.lease", ".ids", "keys"]
HOWS = ["flip", "cut", "zero", "text", "empty", "swap"]
VERBS = [
    ("status",), ("list",), ("results", "--format", "json"), ("show", "b1.1"), ("why", "b1.1"), ("logs", "b1.1"), ("retry",),
    ("cancel", "b1.2"), ("pause",), ("resume", *QUIET), ("add", "-b", "b1", "--", "true"), ("clear", "b1.1"),
    ("start", "-b", "b1"), ("wait", "--timeout", "5"), ("export", "-o", "out.csv"), ("prune", "--older-than", "1000d"), ("rm", "b1"),
]
CODES = {0, 1, 2, 3, 5, 6}


def run(bex, tries, rng):
    plans = list(itertools.product(FILES, HOWS))
    rounds = [(n, *plans[n % len(plans)], rng.randrange(1 << 30)) for n in range(tries)]
    with Place(bex) as model:
        make(model)

        def one(item, tally):
            with Place(bex) as place:
                shutil.copytree(model.home, place.home)
                damage_and_use(place, tally, *item)

        return each(rounds, one)


def make(place):
    """A batch with all kinds of states, small and large outputs, and a write-ahead log that was not taken in."""
    tasks = [{"name": str(n), "shell": f"echo {n}; exit {n % 3}", "max_retries": 0} for n in range(30)]
    tasks += [{"shell": "head -c 400000 /dev/zero"}, {"id": "late", "shell": "true", "depends_on": ["never"]}, {"id": "never", "shell": "exit 1", "max_retries": 0}]
    file = place.folder / "tasks.json"
    file.write_text(json.dumps(tasks))
    place.run("run", "--key", "k", "-j", "4", *QUIET, file)
    import sqlite3

    # A reader that leaves without a checkpoint: the log stays.
    connection = sqlite3.connect(place.db())
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("SELECT count(*) FROM tasks").fetchall()
    place.run("add", "-b", "b1", "--", "true")
    for end in ("", "-wal", "-shm"):
        path = place.db().with_name("b1.db" + end)
        if path.exists():
            shutil.copy(path, place.folder / path.name)
    connection.close()
    for end in ("", "-wal"):
        path = place.folder / ("b1.db" + end)
        if path.exists():
            shutil.copy(path, place.db().with_name(path.name))


def damage_and_use(place, tally, n, name, how, seed):
    rng = random.Random(seed)
    folder = place.home / "batches"
    path = folder / name
    if name == "keys":
        found = [path for path in (folder / "keys").rglob("*") if path.is_file()]
        path = found[0] if found else folder / ".ids"
    if not path.exists():
        path = folder / "b1.db"
    damage(path, how, rng)
    what = f"{path.name} {how} (seed {seed})"
    for verb in rng.sample(VERBS[:-1], 6) + [VERBS[-1]]:
        ended = place.run(*verb, timeout=60)
        text = f"{what}: {' '.join(verb)}: {ended.returncode}: {ended.stderr[:250]}"
        if ended.returncode is None:
            tally.fault("stuck", text)
        elif ended.returncode not in CODES or "panicked" in ended.stderr:
            tally.fault("other", text)
        elif ended.returncode in (2, 3) and not ended.stderr.strip():
            tally.fault("other", f"{text}: no message")


def damage(path, how, rng):
    data = bytearray(path.read_bytes())
    size = len(data)
    if how == "flip":
        for _ in range(rng.choice([1, 8, 64])):
            if size:
                data[rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif how == "cut":
        data = data[: rng.randrange(size + 1)]
    elif how == "zero" and size:
        start = rng.randrange(size)
        data[start : start + 4096] = bytes(len(data[start : start + 4096]))
    elif how == "text":
        data = bytearray(b"what is this?\n" * rng.randrange(1, 400))
    elif how == "empty":
        data = bytearray()
    elif how == "swap" and size > 16384:
        a, b = rng.randrange(size // 4096) * 4096, rng.randrange(size // 4096) * 4096
        data[a : a + 4096], data[b : b + 4096] = data[b : b + 4096], data[a : a + 4096]
    path.write_bytes(data)
