"""Rows that a selection keeps, worded for the table engine."""

from __future__ import annotations

from functools import reduce
from operator import mul
from typing import TYPE_CHECKING

import polars as pl

from oidkit.tables.holding import ODD, decimals_of

if TYPE_CHECKING:
    from oidkit.schema import Keep
    from oidkit.tables.holding import Holding

__all__ = ["kept"]


def kept(frame: pl.LazyFrame, keep: Keep, holding: Holding | None = None) -> pl.LazyFrame:
    """Leave the rows of a frame that are to be kept; *holding* where it holds numbers.

    An area is the product of the sides as 64-bit floats read from the published text, so that a
    program that does the same sums gets the same rows at the very threshold. A code divided by a
    power of ten is that float.
    """
    for column, value in keep.values.items():
        frame = frame.filter(_is(column, value, holding))
    for column, bound in keep.least.items():
        frame = frame.filter(_number(column, holding) >= bound)
    for column, bound in keep.most.items():
        frame = frame.filter(_number(column, holding) <= bound)
    if keep.least_area > 0:
        lengths = [_number(high, holding) - _number(low, holding) for low, high in keep.sides]
        frame = frame.filter(reduce(mul, lengths) >= keep.least_area)
    return frame


def _is(column: str, value: str, holding: Holding | None) -> pl.Expr:
    """Word that a field has a value; of what is held as numbers, only flags are asked so."""
    if holding is None:
        return pl.col(column) == value
    return pl.col(column) == int(value)


def _number(column: str, holding: Holding | None) -> pl.Expr:
    if holding is None:
        return pl.col(column).cast(pl.Float64)
    decimals = decimals_of(holding.columns[column])
    if decimals is None:
        raise TypeError(column)
    code = pl.col(column).cast(pl.Int64)
    # The engine multiplies by the inverse of a single divisor, which may miss by the last bit.
    one = (code * 0 + decimals.one).cast(pl.Float64)
    plain = (code // (1 << decimals.shift)).cast(pl.Float64) / one
    number = pl.when(code == -1).then(-1.0).otherwise(plain)
    text = (
        pl.col(ODD).str.split(",").list.get(list(holding.columns).index(column), null_on_oob=True)
    )
    return pl.when(pl.col(column).is_null()).then(text.cast(pl.Float64)).otherwise(number)
