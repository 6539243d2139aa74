#!/usr/bin/env bash
# Runs a task file against the example server: starts it on a free port, runs bex, stops it.
#
#   examples/fetch/run.sh [FILE] [OPTION...]
#
# The file names the server as 127.0.0.1:8765; that is replaced by where it really listens. With
# `examples/fetch/server.py` running in another terminal, plain `bex run FILE` works too.
# BEX is the binary to run (default: bex).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

file=${1:-examples/fetch/tasks.yaml}
[ $# -eq 0 ] || shift

scratch=$(mktemp -d)
python3 examples/fetch/server.py 0 >"$scratch/port" &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

until [ -s "$scratch/port" ]; do
    kill -0 "$server" 2>/dev/null || { echo "the example server did not start" >&2; exit 3; }
    sleep 0.02
done

tasks=$scratch/$(basename "$file")
sed "s/127\.0\.0\.1:8765/127.0.0.1:$(cat "$scratch/port")/g" "$file" >"$tasks"
"${BEX:-bex}" run "$tasks" "$@"
