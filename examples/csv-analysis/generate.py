#!/usr/bin/env python3
"""Writes 100 small CSV files of invented sales, the same ones each time.

usage: generate.py FOLDER [COUNT]
"""

import csv
import pathlib
import random
import sys

REGIONS = ["north", "east", "south", "west"]
PRODUCTS = {"lamp": 19.5, "chair": 89.0, "table": 240.0, "shelf": 65.25}


def rows(number):
    draw = random.Random(number)
    for order in range(1, draw.randint(20, 60) + 1):
        product = draw.choice(sorted(PRODUCTS))
        yield [
            f"{number:03}-{order:03}",
            draw.choice(REGIONS),
            product,
            draw.randint(1, 9),
            PRODUCTS[product],
        ]


def main():
    folder = pathlib.Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        with open(folder / f"sales-{number:03}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["order", "region", "product", "quantity", "price"])
            writer.writerows(rows(number))
    print(f"{count} files in {folder}")


if __name__ == "__main__":
    main()
