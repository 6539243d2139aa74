#!/usr/bin/env bash
# How much memory `bex` needs for very long input and very long output, and whether a byte is lost.
#
#   benches/memory.sh [-n LINES] [-b BYTES] [-q TASKS] [BEX]
#
# 1. LINES (10,000,000) lines on stdin, a no-op task for each.
# 2. One task that prints BYTES (1,000,000,000) bytes, kept as JSONL in a file.
# 3. The same, raw to a pipe.
# 4. An executor with TASKS (1,000,000) queued command tasks, while the first of them runs (Linux).
#
# Prints a table in markdown: the peak resident memory of the largest process of `bex` or of its tasks,
# the wall time and what arrived. Exits 1 if bytes were lost. Needs about three times BYTES of free
# space in the temporary folder. BEX is the binary (default target/release/bex).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lines=10000000 bytes=1000000000 queued=1000000
while getopts 'n:b:q:h' option; do
    case $option in
        n) lines=$OPTARG ;;
        b) bytes=$OPTARG ;;
        q) queued=$OPTARG ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
bex=${1:-target/release/bex}
[ -x "$bex" ] || { echo "no binary at $bex; build it with: cargo build --release" >&2; exit 2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export BEX_HOME=$scratch/bex-home

python3 - "$bex" "$lines" "$bytes" "$scratch" "$queued" <<'PYTHON'
import json
import os
import re
import resource
import subprocess
import sys
import time

bex, lines, count, scratch = os.path.abspath(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
queued = int(sys.argv[5])
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
CHUNK = 1 << 20
failed = False


def measure(command, **options):
    """Runs a command to its end: (process, peak memory in bytes, seconds, what `read` returned)."""
    read = options.pop("read", None)
    start = time.perf_counter()
    process = subprocess.Popen(command, **options)
    found = read(process.stdout) if read else None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss * UNIT, time.perf_counter() - start, found


def longest_run(file):
    """The length of the longest run of the letter x in a file."""
    longest = current = 0
    while chunk := file.read(CHUNK):
        if chunk.count(b"x") == len(chunk):
            current += len(chunk)
            continue
        for piece in re.finditer(rb"x+|[^x]+", chunk):
            text = piece.group()
            if text[:1] == b"x":
                current += len(text)
            else:
                longest, current = max(longest, current), 0
    return max(longest, current)


def show(what, peak, seconds, arrived):
    print(f"| {what} | {peak / 2**20:.1f} | {seconds:.1f} | {arrived} |", flush=True)


def show_bytes(what, peak, seconds, found):
    global failed
    failed |= found != count
    show(what, peak, seconds, f"{found:,} bytes" + ("" if found == count else ", NOT ALL"))


print("| work | peak MiB | seconds | arrived |")
print("|---|--:|--:|--:|")

command = [bex, "run", "--function", "simulate", "--params", '{"duration":0}', "--format", "none"]
with subprocess.Popen(["seq", str(lines)], stdout=subprocess.PIPE) as seq:
    peak, seconds, _ = measure(command + ["--progress", "none"], stdin=seq.stdout)
    seq.stdout.close()
show(f"{lines:,} lines on stdin, a no-op each", peak, seconds, f"{lines / seconds:,.0f} a second")

script = f"head -c {count} /dev/zero | tr '\\0' x"
task = ["--progress", "none", "--", "sh", "-c", script, ":::", "0"]

path = os.path.join(scratch, "out.jsonl")
peak, seconds, _ = measure([bex, "run", "-o", path] + task, stdout=subprocess.DEVNULL)
with open(path, "rb") as file:
    show_bytes(f"a task that prints {count:,} bytes, `-o out.jsonl`", peak, seconds, longest_run(file))
os.unlink(path)

peak, seconds, found = measure([bex, "run"] + task, stdout=subprocess.PIPE, read=longest_run)
show_bytes("the same, raw to a pipe", peak, seconds, found)

path = os.path.join(scratch, "tasks.jsonl")
with open(path, "w") as file:
    file.write('{"command": ["sleep", "1000"]}\n')
    file.writelines(f'{{"command": ["gzip", "-k", "file-{n}"]}}\n' for n in range(1, queued))
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.run([bex, "add", "--new", "--file", path], check=True, **quiet)
start = time.perf_counter()
subprocess.run([bex, "start", "-j", "1"], check=True, **quiet)
seconds = time.perf_counter() - start
status = json.loads(subprocess.run([bex, "status", "--json"], check=True, capture_output=True).stdout)
with open(f"/proc/{status['pid']}/status") as file:
    resident = int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024
subprocess.run([bex, "stop", "--kill"], check=True, **quiet)
show(f"{queued:,} queued command tasks", resident, seconds, f"{resident / queued:.0f} bytes a task")

own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 2**20
print(f"\nFigures below {own:.0f} MiB are those of the measuring script itself.")
sys.exit(1 if failed else 0)
PYTHON
