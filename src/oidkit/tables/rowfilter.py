"""Rows that a selection keeps, worded for the table engine."""

from __future__ import annotations

from functools import reduce
from operator import mul
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from oidkit.schema import Keep

__all__ = ["kept"]


def kept(frame: pl.LazyFrame, keep: Keep) -> pl.LazyFrame:
    """Leave the rows of a frame that are to be kept.

    An area is the product of the sides as 64-bit floats read from the published text, so that a
    program that does the same sums gets the same rows at the very threshold.
    """
    for column, value in keep.values.items():
        frame = frame.filter(pl.col(column) == value)
    for column, bound in keep.least.items():
        frame = frame.filter(_number(column) >= bound)
    for column, bound in keep.most.items():
        frame = frame.filter(_number(column) <= bound)
    if keep.least_area > 0:
        lengths = [_number(high) - _number(low) for low, high in keep.sides]
        frame = frame.filter(reduce(mul, lengths) >= keep.least_area)
    return frame


def _number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64)
