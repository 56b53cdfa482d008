"""How others find the rows of a class in the CSV of the boxes, as a script of their own libraries.

    python bench/answers.py polars|duckdb|pandas|csv CSV MID

Runs with the peers' Python (`make peers`). Each is one pass that keeps every column, as its guide
shows it; `csv` is what the project's first script does (`open-images-v6`, the manual workflow).
"""

from __future__ import annotations

import csv
import sys


def polars(path: str, mid: str) -> int:
    """Filter lazily, streamed."""
    import polars as pl

    rows = pl.scan_csv(path).filter(pl.col("LabelName") == mid)
    return rows.collect(engine="streaming").height


def duckdb(path: str, mid: str) -> int:
    """Filter by SQL."""
    import duckdb as db

    found = db.execute("SELECT * FROM read_csv(?) WHERE LabelName = ?", [path, mid])
    return len(found.fetchall())


def pandas(path: str, mid: str) -> int:
    """Read the whole, then filter."""
    import pandas as pd

    rows = pd.read_csv(path)
    return len(rows[rows["LabelName"] == mid])


def by_csv(path: str, mid: str) -> int:
    """Read row by row."""
    with open(path, newline="") as file:  # noqa: PTH123 - as there
        rows = csv.reader(file)
        at = next(rows).index("LabelName")
        return sum(row[at] == mid for row in rows)


if __name__ == "__main__":
    ways = {"polars": polars, "duckdb": duckdb, "pandas": pandas, "csv": by_csv}
    print(ways[sys.argv[1]](sys.argv[2], sys.argv[3]))
