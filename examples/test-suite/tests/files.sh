#!/bin/sh
# A file with an awkward name can be written, found and removed.
set -eu
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
touch "$folder/two words; \$(odd)"
test "$(ls "$folder")" = 'two words; $(odd)'
echo "ok: awkward names"
