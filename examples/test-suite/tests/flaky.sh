#!/bin/sh
# Fails the first time and passes the second, as a test does that depends on something slow to start.
set -eu
mark=$1
if [ ! -e "$mark" ]; then
    mkdir -p "$(dirname "$mark")"
    touch "$mark"
    echo "the service is not up yet" >&2
    exit 1
fi
rm "$mark"
echo "ok: the service answers"
