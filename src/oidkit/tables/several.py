"""Tables of files whose rows name two classes: each row stands under either of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NTH", "in_order", "of_first_class", "under_classes"]

NTH = "oidkit: row"
"""The column that numbers the rows of the file from 0."""


def under_classes(rows: pl.DataFrame, classes: Sequence[str], *, first: int) -> pl.DataFrame:
    """Give each row once for each class that it names, as LabelName; rows count from *first*."""
    numbered = rows.with_row_index(NTH, offset=first)
    copies = []
    for at, column in enumerate(classes):
        other = [pl.col(column) != pl.col(each) for each in classes[:at]]
        copies.append(numbered.filter(*other).with_columns(pl.col(column).alias("LabelName")))
    return pl.concat(copies)


def of_first_class(frame: pl.LazyFrame, classes: Sequence[str]) -> pl.LazyFrame:
    """Leave one copy of each row."""
    return frame.filter(pl.col("LabelName") == pl.col(classes[0]))


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Give each row once, those of an image in the order of the file."""
    return rows.unique(NTH).sort("ImageID", NTH).drop(NTH)
