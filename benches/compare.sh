#!/usr/bin/env bash
# Compares how many processes a second `bex` starts with a bare C loop, xargs and other tools, in one run
# on one machine.
#
#   benches/compare.sh [-n TASKS] [-j JOBS] [-r ROUNDS] [BEX]
#
# TASKS lines (5000) through `/bin/true` with JOBS (8) at once, ROUNDS (5) rounds, every tool once in
# each round, so that a slow moment of the machine meets all of them. BEX is the binary (default
# target/release/bex). Prints a table of medians in markdown; says which tools were missing.
# Slow tools get fewer lines, as the table says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tasks=5000 jobs=8 rounds=5
while getopts 'n:j:r:h' option; do
    case $option in
        n) tasks=$OPTARG ;;
        j) jobs=$OPTARG ;;
        r) rounds=$OPTARG ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
bex=${1:-target/release/bex}
[ -x "$bex" ] || { echo "no binary at $bex; build it with: cargo build --release" >&2; exit 2; }

true_program=/bin/true
[ -x "$true_program" ] || true_program=/usr/bin/true
scratch=$(mktemp -d)
cleanup() {
    if [ -e "$scratch/tsp.socket" ]; then TS_SOCKET=$scratch/tsp.socket tsp -K || true; fi
    if [ -e "$scratch/pueue" ]; then pueue_alone shutdown >/dev/null 2>&1 || true; fi
    rm -rf "$scratch"
}
trap cleanup EXIT
export BEX_HOME=$scratch/bex-home

few=$((tasks / 10))
seq "$tasks" >"$scratch/lines"
seq "$few" >"$scratch/few"
"${CC:-cc}" -O2 -o "$scratch/spawn_loop" benches/spawn_loop.c

# One function for each tool; the output of all goes to /dev/null.
c_loop() { "$scratch/spawn_loop" "$true_program" "$tasks" "$jobs"; }
bex_default() { "$bex" run -j "$jobs" -- "$true_program" <"$scratch/lines"; }
bex_quiet() { "$bex" run -j "$jobs" --progress none -- "$true_program" <"$scratch/lines"; }
bex_fast() { "$bex" run -j "$jobs" --durability fast --progress none -- "$true_program" <"$scratch/lines"; }
bex_unkept() { "$bex" run -j "$jobs" --durability none --progress none -- "$true_program" <"$scratch/lines"; }
xargs_p() { xargs -P "$jobs" -n 1 "$true_program" <"$scratch/lines"; }
gnu_parallel() { parallel --will-cite -j "$jobs" "$true_program" <"$scratch/few"; }
rust_parallel() { rust-parallel -j "$jobs" "$true_program" <"$scratch/lines"; }
task_spooler() {
    local line id
    export TS_SOCKET=$scratch/tsp.socket TS_MAXFINISHED=100
    tsp -S "$jobs"
    while read -r line; do id=$(tsp -n "$true_program" "$line"); done <"$scratch/few"
    # The last JOBS to be added are the last to end.
    for ((line = id < jobs ? 0 : id - jobs + 1; line <= id; line++)); do tsp -w "$line"; done
    tsp -K
}
pueue_alone() {
    XDG_CONFIG_HOME=$scratch/pueue XDG_DATA_HOME=$scratch/pueue XDG_RUNTIME_DIR=$scratch/pueue pueue "$@"
}
pueue_add() {
    local line
    while read -r line; do pueue_alone add -- "$true_program" "$line"; done <"$scratch/few"
    pueue_alone wait --quiet
    pueue_alone clean
}
start_pueue() {
    mkdir -p "$scratch/pueue"
    XDG_CONFIG_HOME=$scratch/pueue XDG_DATA_HOME=$scratch/pueue XDG_RUNTIME_DIR=$scratch/pueue \
        pueued --daemonize >/dev/null 2>&1
    local tries
    for ((tries = 0; tries < 50; tries++)); do
        pueue_alone parallel "$jobs" >/dev/null 2>&1 && return
        sleep 0.1
    done
    return 1
}

tools=("c_loop|C loop, posix_spawn, nothing captured|$tasks"
    "bex_default|bex, output captured, kept in a file with fsync|$tasks"
    "bex_quiet|the same with --progress none|$tasks"
    "bex_fast|the same with --durability fast|$tasks"
    "bex_unkept|the same with --durability none|$tasks"
    "xargs_p|xargs -P $jobs -n 1|$tasks")
missing=()
installed() { command -v "$1" >/dev/null || { missing+=("$1"); return 1; }; }
installed parallel && tools+=("gnu_parallel|GNU parallel -j $jobs|$few")
installed rust-parallel && tools+=("rust_parallel|rust-parallel -j $jobs|$tasks")
installed tsp && tools+=("task_spooler|task-spooler, $jobs slots|$few")
if installed pueue && installed pueued; then
    if start_pueue; then
        tools+=("pueue_add|pueue, $jobs slots|$few")
    else
        missing+=("pueue (its daemon did not start)")
    fi
fi

now_ns() {
    local micros=${EPOCHREALTIME:?needs bash 5}
    echo "${micros/[.,]/}000"
}

for ((round = 1; round <= rounds; round++)); do
    for tool in "${tools[@]}"; do
        IFS='|' read -r run _ count <<<"$tool"
        echo "round $round of $rounds: $run" >&2
        start=$(now_ns)
        code=0
        "$run" >/dev/null 2>"$scratch/errors" || code=$?
        end=$(now_ns)
        if [ "$code" != 0 ]; then
            echo "$run ended with exit code $code:" >&2
            tail -n 5 "$scratch/errors" >&2
            exit 1
        fi
        echo "$run $count $((end - start))" >>"$scratch/times"
    done
done

printf '%s\n' "${tools[@]}" >"$scratch/tools"
python3 - "$scratch/tools" "$scratch/times" <<'PYTHON'
import collections
import statistics
import sys

rates = collections.defaultdict(list)
for line in open(sys.argv[2]):
    run, count, nanoseconds = line.split()
    rates[run].append(int(count) * 1e9 / int(nanoseconds))
floor = statistics.median(rates["c_loop"])
print("| tool | tasks | median per second | lowest to highest | ratio to the C loop |")
print("|---|--:|--:|--:|--:|")
for line in open(sys.argv[1]):
    run, name, count = line.rstrip("\n").split("|")
    median = statistics.median(rates[run])
    span = f"{min(rates[run]):,.0f} to {max(rates[run]):,.0f}"
    print(f"| {name} | {int(count):,} | {median:,.0f} | {span} | {median / floor:.2f} |")
PYTHON

echo
echo "$rounds rounds, $jobs at once, $(getconf _NPROCESSORS_ONLN) processors, $(uname -sr)."
if [ ${#missing[@]} -gt 0 ]; then
    printf 'Not installed and so not measured:'
    printf ' %s;' "${missing[@]}"
    echo
fi
