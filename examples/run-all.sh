#!/usr/bin/env bash
# Runs every example with a given binary and checks how it ends: examples/run-all.sh [BEX]
#
# Prints one line for each, and the output of those that end otherwise than they should.
set -euo pipefail

bex=${1:-bex}
case $bex in
    */*) bex=$(cd "$(dirname "$bex")" && pwd)/$(basename "$bex") ;;
esac
command -v "$bex" >/dev/null || { echo "no such program: $bex" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export BEX=$bex BEX_HOME=$scratch/home
mkdir -p examples/out
failures=0

# Milliseconds since some moment; whole seconds with a bash older than 5.
now_ms() {
    local micros=${EPOCHREALTIME:-$SECONDS.000000}
    echo $((${micros/[.,]/} / 1000))
}

# example NAME EXPECTED_CODE COMMAND...
example() {
    local name=$1 expected=$2 code=0 start
    shift 2
    start=$(now_ms)
    "$@" >"$scratch/output" 2>&1 </dev/null || code=$?
    if [ "$code" = "$expected" ]; then
        printf 'ok    %-18s exit %d  %5d ms\n' "$name" "$code" $(($(now_ms) - start))
    else
        failures=$((failures + 1))
        printf 'FAIL  %-18s exit %d, expected %d\n' "$name" "$code" "$expected"
        sed 's/^/      | /' "$scratch/output"
    fi
}

# holds NAME PATTERN FILE: a file that an example wrote has a line that matches.
holds() {
    if ! grep -qE -- "$2" "$3"; then
        failures=$((failures + 1))
        printf 'FAIL  %-18s %s has no line that matches %s\n' "$1" "$3" "$2"
    fi
}

run() { "$bex" run --progress none "$@"; }
served() { examples/fetch/run.sh "$@" --progress none; }

out=examples/out
example hello 0 run examples/hello.yaml
example csv-analysis 0 run examples/csv-analysis/tasks.json -o $out/csv-analysis.jsonl
example fetch 0 served examples/fetch/tasks.yaml -o $out/fetch.json
example scrape 0 served examples/scrape/tasks.yaml -o $out/scrape.json
example transform 0 run examples/transform/rows.csv --template examples/transform/task.json -o $out/orders.csv
example test-suite 0 run examples/test-suite/tasks.yaml -o $out/test-suite.jsonl
example template/save 0 "$bex" template save --replace greet examples/templates/greet.yaml
example template/param 0 run --template greet --param city=Rome --param times=2 -o $out/greet.jsonl
example template/rows 0 run --template greet --rows examples/templates/cities.csv
example test-suite/failing 1 run examples/test-suite/failing.yaml -o $out/failing.jsonl

if [ "$failures" = 0 ]; then
    holds csv-analysis '"orders": ?3991' $out/csv-analysis.jsonl
    holds fetch '"total": ?210' $out/fetch.json
    holds scrape 'Europa, a moon of Jupiter' $out/scrape.json
    holds transform 'Grace Hopper' $out/orders.csv
    holds template/param 'Hello Hello, Rome!' $out/greet.jsonl
    holds test-suite '"flaky": ?true' $out/test-suite.jsonl
    holds test-suite/failing '"reason": ?"dependency failed"' $out/failing.jsonl
    holds test-suite/failing '"reason": ?"timeout"' $out/failing.jsonl
fi

[ "$failures" = 0 ] || { echo "$failures checks failed" >&2; exit 1; }
