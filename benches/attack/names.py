"""Two executors on one batch: by a symbolic link, a hard link, another name of the folder, after `mv` of the file, `rm` of the
lease, or a copy over it; and two at one moment by `run --resume`, `run --key`, `resume`, `start` and `add --key`."""
import itertools
import os
import shutil
import subprocess

from place import QUIET, Place, each, until

TRICKS = [
    "symlink", "hard link", "folder link", "rm lease", "mv", "mv back", "mv folder", "rm file", "replaced", "copied over",
    "race run --resume", "race run --key", "race resume", "race start", "race add --key",
]


def run(bex, tries, rng):
    rounds = list(enumerate(itertools.islice(itertools.cycle(TRICKS), tries)))

    def one(item, tally):
        with Place(bex) as place:
            name = item[1]
            if name.startswith("race "):
                race(place, tally, name.removeprefix("race "), rng)
            else:
                trick(place, tally, name, rng)

    return each(rounds, one)


def trick(place, tally, name, rng):
    count = 12
    store = place.folder / "kept" / "x.db"
    store.parent.mkdir()
    file = place.tasks(count, rng, seconds=(0.3,))
    first = place.start("run", "-j", "2", "--store", store, *QUIET, file, stderr=subprocess.PIPE)
    assert until(lambda: len(place.marks("start")) >= 2), "the first does not begin"
    lease, other = store.with_name("x.db.lease"), place.folder / "y.db"
    copy = place.folder / "copy.db"
    if name == "symlink":
        other.symlink_to(store)
    elif name == "hard link":
        os.link(store, other)
    elif name == "folder link":
        (place.folder / "link").symlink_to(store.parent)
        other = place.folder / "link" / "x.db"
    elif name == "rm lease":
        lease.unlink(missing_ok=True)
        other = store
    elif name in ("mv", "mv back"):
        for path in list(store.parent.glob("x.db*")):
            path.rename(place.folder / path.name.replace("x.db", "y.db"))
    elif name == "mv folder":
        store.parent.rename(place.folder / "moved")
        other = place.folder / "moved" / "x.db"
    elif name == "rm file":
        for path in store.parent.glob("x.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        other = None
    elif name == "replaced":
        store.with_name("new.db").write_bytes(store.read_bytes())
        store.with_name("new.db").rename(store)
        other = None
    elif name == "copied over":
        shutil.copy(store, copy)
        shutil.copy(copy, store)
        other = None
    second = None
    if other is not None:
        second = place.run("resume", "--store", other, "-j", "2", *QUIET)
        if name == "mv back":
            for path in list(place.folder.glob("y.db*")):
                path.rename(store.parent / path.name.replace("y.db", "x.db"))
    stderr = first.communicate(timeout=60)[1].decode(errors="replace")
    what = f"{name}: first {first.returncode}, second {second and second.returncode}: {stderr[-200:]}"
    overlaps = place.marks("overlap")
    if overlaps:
        tally.fault("twice", f"{what}: {len(overlaps)} tasks ran twice at one time", len(overlaps))
    said = second and second.stdout + second.stderr
    if second and second.returncode == 0 and "already" not in said and name in ("symlink", "folder link", "hard link"):
        tally.fault("twice", f"{what}: the second is not refused: {said[:200]}")
    gone = other is None or name in ("mv", "mv folder")
    # What was copied over may be what is there: then nothing has happened.
    is_kept = name == "copied over" and place.completed(store) == {str(n) for n in range(count)}
    if gone and first.returncode != 3 and not is_kept:
        tally.fault("lost", f"{what}: the first must end with 3")
    if not gone and name not in ("mv back", "rm lease", "hard link") and first.returncode != 0:
        tally.fault("other", what)


def race(place, tally, name, rng):
    count = 8
    file = place.tasks(count, rng, seconds=(0.05,))
    commands = {
        "run --resume": ["run", "--resume", "-j", "2", *QUIET, file],
        "run --key": ["run", "--key", "k", "-j", "2", *QUIET, file],
        "add --key": ["add", "--key", "k", "--file", file],
        "resume": ["resume", "-b", "b1", "-j", "2", *QUIET],
        "start": ["start", "-b", "b1"],
    }
    if name in ("resume", "start"):
        assert place.run("add", "--new", "--file", file).returncode == 0
    racers = [place.start(*commands[name], stderr=subprocess.PIPE) for _ in range(3)]
    ends = []
    for racer in racers:
        stderr = racer.communicate(timeout=90)[1].decode(errors="replace")
        ends.append((racer.returncode, stderr[-150:]))
    if name == "start":
        place.run("wait", "-b", "b1", "--timeout", "30")
    if name == "add --key":
        tasks = place.rows("SELECT count(*) FROM tasks")[0][0]
        batches = len(list(place.db().parent.glob("b*.db")))
        if (tasks, batches) != (count, 1):
            tally.fault("twice", f"{name}: {tasks} tasks in {batches} batches: {ends}")
        return
    starts = len(place.marks("start"))
    if starts > count:
        tally.fault("twice", f"{name}: {starts} starts of {count} tasks: {ends}", starts - count)
    elif starts < count:
        tally.fault("stuck", f"{name}: {starts} starts of {count} tasks: {ends}", count - starts)
    allowed = {"run --resume": {0, 2, 6}, "run --key": {0, 6}, "resume": {0, 2}, "start": {0, 2}}[name]
    if not {code for code, _ in ends} <= allowed or not any(code == 0 for code, _ in ends):
        tally.fault("other", f"{name}: {ends}")
