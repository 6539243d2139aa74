"""System calls that fail, by `strace`: at the start, and while a batch is written. Each is an error or harmless, never a panic,
a hang, or a batch that is said to be complete and is not."""
import itertools
import shutil
import signal
import subprocess

from place import QUIET, Place, each, kill

CALLS = {
    "openat": ["EMFILE", "EACCES", "EIO"],
    "fsync": ["EIO", "ENOSPC"],
    "fdatasync": ["EIO", "ENOSPC"],
    "pwrite64": ["ENOSPC", "EIO", "EDQUOT"],
    "write": ["EIO", "ENOSPC"],
    "read": ["EIO"],
    "mmap": ["ENOMEM"],
    "fcntl": ["ENOLCK", "EINVAL", "EMFILE"],
    "ftruncate": ["EIO", "ENOSPC"],
    "rename": ["EXDEV", "EIO"],
    "mkdir": ["EACCES", "ENOSPC"],
    "flock": ["ENOLCK", "EINTR"],
    "clone": ["EAGAIN", "ENOMEM"],
    "clone3": ["EAGAIN"],
    "pipe2": ["EMFILE"],
    "socketpair": ["EMFILE"],
    "epoll_create1": ["EMFILE"],
    "eventfd2": ["EMFILE"],
    "epoll_ctl": ["ENOMEM"],
    "pidfd_open": ["EMFILE", "ENOSYS"],
    "prctl": ["EINVAL"],
    "prlimit64": ["EPERM"],
    "unlink": ["EIO"],
    "fstatfs": ["ENOSYS"],
    "statfs": ["ENOSYS"],
}
COUNT = 10
# What the event loop says when the write that wakes it fails, which it never does in a real system.
WAKE = "failed to wake I/O driver"


def run(bex, tries, rng):
    if not shutil.which("strace"):
        from place import Tally

        return Tally(note="skipped: there is no strace here")
    plans = [(call, error, when) for call, errors in CALLS.items() for error in errors for when in (1, 2, 3, 5, 8, 13, 21)]
    # The first of these are those of the loader of programs, which crashes.
    plans = [plan for plan in plans if plan[0] != "mmap" or plan[2] > 20]
    rng.shuffle(plans)

    def one(item, tally):
        with Place(bex) as place:
            inject(place, tally, *item)

    return each(list(itertools.islice(itertools.cycle(plans), tries)), one)


def inject(place, tally, call, error, when):
    what = f"{call} {error} at {when}"
    script = f"echo start {{}} >> {place.folder}/marks"
    command = [
        "strace", "-f", "-qq", "-o", str(place.folder / "trace"), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}",
        place.bex, "run", "-j", "2", *QUIET, "--shell", script, ":::", *map(str, range(COUNT)),
    ]
    popen = subprocess.Popen(
        command, env=place.env, cwd=place.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace", start_new_session=True,
    )
    try:
        stderr = popen.communicate(timeout=20)[1]
    except subprocess.TimeoutExpired:
        # A lock that cannot be given up looks like that of another program: it waits, says so, and can be stopped.
        kill(place.of_bex(), signal.SIGTERM)
        try:
            stderr = popen.communicate(timeout=40)[1]
        except subprocess.TimeoutExpired:
            place.end(popen)
            tally.fault("stuck", f"{what}: no end")
            return
        if not any(text in stderr for text in (WAKE, "waiting for the batch file", "is held by another program")):
            tally.fault("stuck", f"{what}: no end, and no word of it: {stderr[-200:]}")
    # What cannot be loaded at all ends with 127, as the loader of programs says.
    loader = popen.returncode == 127 or "error while loading shared libraries" in stderr
    # The libraries themselves abort on some; they say so.
    text = f"{what}: {popen.returncode}: {stderr[-300:]}"
    if loader or WAKE in stderr:
        return
    if "panicked" in stderr or popen.returncode not in (0, 1, 2, 3, 5, 143, -15):
        tally.fault("other", text)
        return
    starts = place.marks("start")
    if popen.returncode == 0 and len(set(starts)) != COUNT:
        tally.fault("lost", text)
    if place.db().exists():
        resumed = place.finish()
        if resumed.returncode not in (0, 1, 3, 5):
            tally.fault("stuck", f"{text}: resume: {resumed.returncode} {resumed.stderr[:200]}")
    if place.of_bex():
        tally.fault("alive", text)
