"""Columns that are held as numbers, back as the text that was published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from oidkit.tables.holding import ODD, Holding, decimals_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oidkit.tables.fields import Decimals

__all__ = ["image_texts", "published"]

_LINE_END, _POINT, _ZERO = ord("\n"), ord("."), ord("0")
_TWO_DIGITS: Final = np.array([f"{n:02x}".encode() for n in range(256)]).view(np.uint16)
"""By a byte: its two hex digits."""


def published(
    rows: pl.DataFrame, holding: Holding, words: Sequence[str], columns: Sequence[str]
) -> pl.DataFrame:
    """Give columns as published, of rows that have all that `Table.rows_of` reads for them."""
    texts = pl.Series(words, dtype=pl.String)
    rows = holding.unfolded(rows)
    frame = pl.DataFrame(
        {
            name: rows[name] if name not in holding.columns else _text(rows[name], holding, texts)
            for name in columns
        }
    )
    if ODD not in rows.columns or rows[ODD].null_count() == rows.height:
        return frame
    names = list(holding.columns)
    fields = pl.col(ODD).str.split(",")
    odd = [
        pl.when(pl.col(ODD).is_null())
        .then(pl.col(name))
        .otherwise(fields.list.get(names.index(name)))
        .alias(name)
        for name in columns
        if name in holding.columns
    ]
    return frame.with_columns(rows[ODD]).with_columns(odd).select(columns)


def _text(numbers: pl.Series, holding: Holding, words: pl.Series) -> pl.Series:
    held = holding.columns[numbers.name]
    decimals = decimals_of(held)
    if held == "image":
        return image_texts(numbers.to_numpy())
    if held == "word":
        return words.gather(numbers)
    if decimals is None:
        return numbers.cast(pl.String)
    return _decimal_texts(numbers.fill_null(-1).cast(pl.Int64).to_numpy(), decimals)


def image_texts(ids: NDArray[np.uint64]) -> pl.Series:
    """Give the names of images: 16 hex digits each."""
    lines = np.full((len(ids), 17), _LINE_END, dtype=np.uint8)
    highest_first = ids.astype(">u8").view(np.uint8).reshape(-1, 8)
    lines[:, :16] = _TWO_DIGITS[highest_first].view(np.uint8)
    return _lines(lines.tobytes(), len(ids))


def _decimal_texts(codes: NDArray[np.int64], decimals: Decimals) -> pl.Series:
    """Write a digit, and as many places after the point as the code says; or -1."""
    width = decimals.places + 2
    lines = np.full((len(codes), width + 1), _LINE_END, dtype=np.uint8)
    value, places = codes >> decimals.shift, codes & ((1 << decimals.shift) - 1)
    for at in range(decimals.places, 0, -1):
        rest = value // 10
        lines[:, at + 1] = value - rest * 10 + _ZERO
        value = rest
    lines[:, 0] = value + _ZERO
    lines[:, 1] = _POINT
    minus = codes == -1
    lines[minus, :2] = np.frombuffer(b"-1", dtype=np.uint8)
    length = np.where(minus, 2, np.where(places == 0, 1, places + 2))
    if (length == width).all():
        return _lines(lines.tobytes(), len(codes))
    there = np.arange(width + 1) < length[:, None]
    there[:, width] = True
    return _lines(lines[there].tobytes(), len(codes))


def _lines(data: bytes, count: int) -> pl.Series:
    """Make a column of texts, none of which is empty, out of their lines."""
    if not count:
        return pl.Series([], dtype=pl.String)
    frame = pl.read_csv(data, has_header=False, schema={"text": pl.String}, quote_char=None)
    return frame.to_series()
