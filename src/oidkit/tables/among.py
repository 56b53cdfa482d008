"""Rows of some images, which may be all there are: found by number, not by a table of hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["among", "image_numbers"]


def image_numbers(images: pl.Series) -> NDArray[np.uint64]:
    """Give a column of images, however it is held, as 64-bit numbers, row by row."""
    if images.dtype == pl.String:
        images = images.str.to_integer(base=16, dtype=pl.UInt64)
    return images.to_numpy()


def among(ids: NDArray[np.uint64]) -> pl.Expr:
    """Tell of each row whether its image is one of *ids*, which are sorted.

    A join by name would hash each of nine million images again for every part of a table, and
    hold their names.
    """

    def look(images: pl.Series) -> pl.Series:
        numbers = image_numbers(images)
        if not len(ids):
            return pl.Series(np.zeros(len(numbers), dtype=np.bool_))
        at = np.minimum(np.searchsorted(ids, numbers), len(ids) - 1)
        return pl.Series(ids[at] == numbers)

    return pl.col("ImageID").map_batches(look, return_dtype=pl.Boolean)
