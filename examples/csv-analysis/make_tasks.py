#!/usr/bin/env python3
"""Prints the task file beside it: one task that makes the data, 100 that read a file each, one report.

usage: make_tasks.py > tasks.json
"""

import json

FOLDER = "examples/out/csv-analysis"
COUNT = 100

ANALYSE = """\
import csv
from collections import Counter

def process(path):
    regions, orders = Counter(), 0
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            regions[row["region"]] += int(row["quantity"]) * float(row["price"])
            orders += 1
    return {"orders": orders, "regions": dict(regions)}
"""

REPORT = """\
from collections import Counter

def process(files):
    regions = Counter()
    for file in files:
        regions.update(file["regions"])
    return {
        "files": len(files),
        "orders": sum(file["orders"] for file in files),
        "regions": {name: round(total, 2) for name, total in regions.most_common()},
    }
"""


def tasks():
    yield {
        "id": "generate",
        "priority": "critical",
        "command": ["python3", "examples/csv-analysis/generate.py", FOLDER, str(COUNT)],
    }
    ids = [f"sales-{number:03}" for number in range(1, COUNT + 1)]
    for task in ids:
        yield {
            "id": task,
            "function": "custom_function",
            "params": {"code": ANALYSE, "args": {"path": f"{FOLDER}/{task}.csv"}},
            "depends_on": ["generate"],
            "tags": ["analysis"],
        }
    # It takes the results of all the others, and so waits for them.
    yield {
        "id": "report",
        "function": "custom_function",
        "params": {
            "code": REPORT,
            "args": {"files": ["{{ tasks.%s.result }}" % task for task in ids]},
        },
        "tags": ["report"],
    }


def main():
    settings = {"name": "analyse 100 CSV files", "defaults": {"max_retries": 1, "timeout": 30}}
    head = json.dumps(settings)[:-1]
    print(head + ', "tasks": [')
    print(",\n".join(json.dumps(task) for task in tasks()))
    print("]}")


if __name__ == "__main__":
    main()
