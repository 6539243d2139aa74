#!/bin/sh
# The tools that the other tests need are there.
set -eu
for tool in python3 node sh; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
    echo "ok: $tool"
done
