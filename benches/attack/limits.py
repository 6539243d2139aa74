"""Few processes, threads, files and bytes: `ulimit -n`, `-u`, `-f`, and the `pids.max` of a control group.

Every task runs once and is not held responsible for the shortage, or bex says what it needs and runs nothing.
"""
import itertools
import os
import subprocess
from pathlib import Path

from place import QUIET, Place, each

PIDS = Path("/sys/fs/cgroup/pids")
COUNT = 200


def run(bex, tries, rng):
    plans = [("files", n) for n in (8, 12, 16, 20, 24, 28, 32, 48, 64, 80)]
    plans += [("size", n) for n in (0, 1, 100)]
    if os.geteuid() == 0:
        plans += [("user", n) for n in (10, 16, 24, 32, 60)]
        if PIDS.is_dir() and os.access(PIDS, os.W_OK):
            plans += [("pids", n) for n in (8, 16, 32, 48, 64, 100)]
    rng.shuffle(plans)

    def one(item, tally):
        with Place(bex) as place:
            limited(place, tally, *item)

    return each(list(itertools.islice(itertools.cycle(plans), tries)), one, workers=2)


def limited(place, tally, kind, limit):
    what = f"{kind} {limit}"
    run_bex = f"'{place.bex}' run -j 300 {' '.join(QUIET)} --shell 'echo start {{}} >> {place.folder}/marks'"
    items = "".join(f"{n}\n" for n in range(COUNT))
    group = None
    before, prefix = "", []
    if kind == "files":
        before = f"ulimit -n {limit}; "
    elif kind == "size":
        before = f"ulimit -f {limit}; "
    elif kind == "user":
        os.chmod(place.folder, 0o777)
        uid = str(60000 + limit)
        prefix = ["setpriv", "--reuid", uid, "--clear-groups"]
        place.env["HOME"] = str(place.folder)
        before = f"ulimit -u {limit}; "
    else:
        group = PIDS / f"bex-attack-{os.getpid()}-{limit}-{place.folder.name}"
        group.mkdir()
        (group / "pids.max").write_text(str(limit))
        before = f"echo $$ > {group}/cgroup.procs; "
    try:
        ended = subprocess.run(
            [*prefix, "sh", "-c", f"{before}exec {run_bex}"], env=place.env, cwd=place.folder, input=items,
            capture_output=True, text=True, timeout=150, errors="replace",
        )
    except subprocess.TimeoutExpired:
        tally.fault("stuck", f"{what}: no end")
        return
    finally:
        if group:
            for pid in (group / "cgroup.procs").read_text().split():
                os.kill(int(pid), 9)
            try:
                group.rmdir()
            except OSError:
                pass
    text = f"{what}: {ended.returncode}: {ended.stderr[-300:]}"
    if "panicked" in ended.stderr or ended.returncode not in (0, 3):
        tally.fault("other", text)
        return
    starts = place.marks("start")
    if len(starts) != len(set(starts)):
        tally.fault("twice", text)
    if len(ended.stderr.splitlines()) > 40:
        tally.fault("other", f"{text}: {len(ended.stderr.splitlines())} lines of messages")
    if ended.returncode == 3:
        if not ended.stderr.strip():
            tally.fault("other", f"{text}: no message")
        if kind != "size" and starts and len(set(starts)) < COUNT:
            tally.fault("other", f"{text}: it gave up after {len(starts)} tasks")
        return
    if len(set(starts)) != COUNT:
        tally.fault("lost", f"{text}: {len(set(starts))} of {COUNT} tasks", COUNT - len(set(starts)))
    attempts, completed = place.rows("SELECT (SELECT count(*) FROM attempts), (SELECT count(*) FROM tasks WHERE status = 'completed')")[0]
    if (attempts, completed) != (COUNT, COUNT):
        tally.fault("other", f"{text}: {attempts} attempts, {completed} completed")
