#!/usr/bin/env python3
"""Attacks `bex` and counts what its promises did not survive. docs/reliability.md has the table of a long run.

    benches/attack.py [--small | --scale F] [--seed N] [--only NAME]... [BEX]

BEX is the binary (default target/release/bex). Each attack is a module in benches/attack/ that says what it does. The judge
is what the tasks did: each holds a lock while it runs and leaves marks at its begin and end; processes are found by what they are.
Some attacks need root (a small tmpfs, control groups) or strace, and say so where they have to leave something out.

Columns: lost, finished or accepted tasks that are gone; twice, tasks that ran twice at one time or again after they were on record as
completed; stuck, what never ends; alive, processes left after two seconds that docs/reliability.md does not name; other, panics,
wrong exit codes, missing messages, broken files. The exit code is 1 if there is any.
"""
import argparse
import importlib
import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "attack"))

# name, module, tries in a long run, tries in the small one
ATTACKS = [
    ("kill -9 at random moments", "kills", 224, 14),
    ("processes left behind", "leaks", 380, 26),
    ("adders, killed executors, torn logs", "adders", 24, 2),
    ("links, renames, races for a batch", "names", 150, 15),
    ("few processes, files, bytes", "limits", 48, 6),
    ("system calls that fail", "errors", 260, 16),
    ("damaged files", "corrupt", 264, 12),
    ("data that wants to be code", "inject", 6000, 40),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true", help="a minute or so, as a part of the gate")
    parser.add_argument("--scale", type=float, default=1.0, help="that many times the tries of a long run")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", choices=[module for _, module, _, _ in ATTACKS], action="append")
    parser.add_argument("bex", nargs="?", default="target/release/bex")
    args = parser.parse_args()
    if not os.access(args.bex, os.X_OK):
        sys.exit(f"no binary at {args.bex}; build it with: cargo build --release")
    print(f"seed {args.seed}", flush=True)
    print("| attack | tries | lost | twice | stuck | alive | other | seconds |\n|---|---|---|---|---|---|---|---|", flush=True)
    faults = 0
    for title, module, long, small in ATTACKS:
        if args.only and module not in args.only:
            continue
        tries = small if args.small else max(1, round(long * args.scale))
        began = time.monotonic()
        tally = importlib.import_module(module).run(args.bex, tries, random.Random(f"{args.seed} {module}"))
        cells = [tally.tries, tally.lost, tally.twice, tally.stuck, tally.alive, tally.other, round(time.monotonic() - began)]
        print(f"| {title} | {' | '.join(map(str, cells))} |{' ' + tally.note if tally.note else ''}", flush=True)
        for fault in tally.faults:
            print(f"FAULT {module}: {fault}", file=sys.stderr, flush=True)
        faults += len(tally.faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
