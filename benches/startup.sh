#!/usr/bin/env bash
# How long one task takes from start to end: `bex run -- true ::: x`, beside xargs and `true` alone.
#
#   benches/startup.sh [-r ROUNDS] [BEX]
#
# ROUNDS (50) rounds, every command once in each. Prints a table of wall times in milliseconds in
# markdown. BEX is the binary (default target/release/bex).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=50
while getopts 'r:h' option; do
    case $option in
        r) rounds=$OPTARG ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
bex=${1:-target/release/bex}
[ -x "$bex" ] || { echo "no binary at $bex; build it with: cargo build --release" >&2; exit 2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export BEX_HOME=$scratch/bex-home

python3 - "$bex" "$rounds" <<'PYTHON'
import os
import statistics
import subprocess
import sys
import time

bex, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2])
commands = {
    "`true` alone": (["true"], b""),
    "`xargs true`": (["xargs", "true"], b"x\n"),
    "`bex run -- true ::: x`": ([bex, "run", "--", "true", ":::", "x"], b""),
    "`bex --version`": ([bex, "--version"], b""),
}
times = {name: [] for name in commands}
for round in range(rounds + 1):
    for name, (command, text) in commands.items():
        start = time.perf_counter()
        done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        took = 1000 * (time.perf_counter() - start)
        if done.returncode != 0:
            sys.exit(f"{name} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
        if round > 0:  # the first round warms the caches
            times[name].append(took)

print("| command | median ms | fastest | slowest of nine in ten |")
print("|---|--:|--:|--:|")
for name, took in times.items():
    took.sort()
    print(f"| {name} | {statistics.median(took):.1f} | {took[0]:.1f} | {took[len(took) * 9 // 10]:.1f} |")
PYTHON
echo
echo "$rounds rounds, $(getconf _NPROCESSORS_ONLN) processors, $(uname -sr)."
