"""Sorting a bucket of a table in frames that fit into memory, and noting where classes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["MOST_ROWS", "note_classes", "sorted_spans"]

# A bucket larger than this is cut further, so that sorting it stays within memory.
MOST_ROWS = 300_000


def sorted_spans(pieces: Sequence[Path], key: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """Give the rows of a bucket in the order of the key, in frames that fit into memory."""
    if not pieces:
        return
    lazy = pl.scan_ipc(list(pieces), glob=False)
    total = lazy.select(pl.len()).collect().item()
    if total <= MOST_ROWS:
        yield lazy.collect().sort(key, maintain_order=True)
        return
    counts = lazy.group_by(key[0]).len().collect().sort(key[0])
    group: list[str] = []
    rows = 0
    for value, count in counts.iter_rows():
        if group and rows + count > MOST_ROWS:
            yield lazy.filter(pl.col(key[0]).is_in(group)).collect().sort(key, maintain_order=True)
            group, rows = [], 0
        if count <= MOST_ROWS or len(key) == 1:
            group.append(value)
            rows += count
        else:
            yield from _slices(lazy.filter(pl.col(key[0]) == value), key, count)
    if group:
        yield lazy.filter(pl.col(key[0]).is_in(group)).collect().sort(key, maintain_order=True)


def _slices(lazy: pl.LazyFrame, key: tuple[str, ...], count: int) -> Iterator[pl.DataFrame]:
    """Cut one large class by the first digits of its image ids, which are spread evenly."""
    digits = 1 if count <= 8 * MOST_ROWS else 2
    front = pl.col(key[1]).str.slice(0, digits)
    wide = max(1, 16**digits * MOST_ROWS // count)
    for low in range(0, 16**digits, wide):
        values = [f"{v:0{digits}x}" for v in range(low, min(low + wide, 16**digits))]
        rows = lazy.filter(front.is_in(values)).collect()
        if rows.height:
            yield rows.sort(key, maintain_order=True)


def note_classes(labels: dict[str, list[list[int]]], rows: pl.DataFrame, *, part: int) -> None:
    """Note where each class lies: part, first row, rows, images."""
    found = (
        rows.lazy()
        .with_row_index("row")
        .group_by("LabelName")
        .agg(pl.col("row").min(), pl.len(), pl.col("ImageID").n_unique().alias("images"))
        .sort("row")
        .collect()
    )
    for label, row, count, images in found.iter_rows():
        labels.setdefault(label, []).append([part, row, count, images])
