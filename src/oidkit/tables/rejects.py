"""Rows that were set aside while a table was built: put down by block, and gathered beside it.

The file is `rejects.csv` with the columns line, reason and text. Whoever uses the table is told of
it (docs/guides/bad-rows.md).
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from oidkit.tables.blocks import Reject

__all__ = ["REJECTS", "first_reject", "gather_rejects", "put_rejects"]

REJECTS = "rejects.csv"
"""The name of the file in the folder of a table."""


def put_rejects(work: Path, rejects: Iterable[Reject], *, block: int) -> Path:
    """Put down the bad rows of a block, and give their file."""
    path = work / f"rejects-{block:06d}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows((each.line, each.reason, each.text) for each in rejects)
    return path


def first_reject(work: Path) -> str:
    """Give the line of the first bad row that was put down, and the reason."""
    with min(_put(work)).open(encoding="utf-8", newline="") as file:
        line, reason, _ = next(csv.reader(file))
    return f"{line}: {reason}"


def gather_rejects(work: Path, table: Path) -> None:
    """Write all bad rows that were put down into the folder of the table, if there are any."""
    if found := sorted(_put(work)):
        with (table / REJECTS).open("wb") as file:
            file.write(b"line,reason,text\n")
            file.writelines(path.read_bytes() for path in found)


def _put(work: Path) -> list[Path]:
    return [*work.glob("rejects-*.csv")]
