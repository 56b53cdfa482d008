"""Sorting a bucket of a table in frames that fit into memory, and noting where classes lie."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import polars as pl

from oidkit.tables.pieces import column_of, read_rows, within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oidkit.tables.pieces import Piece

__all__ = ["MOST_ROWS", "PART_ROWS", "in_order_of", "note_classes", "parts_of", "sorted_spans"]

_Key = TypeVar("_Key", int, str)
# A bucket larger than this is cut further, so that sorting it stays within memory.
MOST_ROWS = 300_000
# A class is read out of the parts that hold it, and each is checked as a whole.
PART_ROWS = 131_072
_NUMBERS_FOR_A_TEXT = 4
"""How many rows of numbers take the memory of one of texts."""
_DIGITS = 16


def in_order_of(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Sort rows by the key; those of one key stay as they stand.

    Files are in the order of their images, and so are pieces that are put together: then only the
    classes have to be sorted, and numbers of 16 bits are sorted by their digits.
    """
    if len(key) == 1 or rows[key[0]].dtype == pl.String:
        return rows.sort(key, maintain_order=True)
    classes, images = (rows[name].to_numpy() for name in key)
    if len(classes) and classes.max() < 1 << 16:
        classes = classes.astype(np.uint16)
    order = np.argsort(classes, kind="stable")
    image, of_class = images[order], classes[order]
    if ((image[1:] < image[:-1]) & (of_class[1:] == of_class[:-1])).any():
        order = np.lexsort((images, classes))
    return rows[order]


def sorted_spans(pieces: Sequence[Piece], key: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """Give the rows of a bucket in the order of the key, in frames that fit into memory."""
    if pieces:
        yield from _spans_of_text(pieces, key) if pieces[0].is_text else _spans(pieces, key)


def _spans(pieces: Sequence[Piece], key: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """Read rows of numbers: those of a class, or of a range of images, lie together in a piece."""
    most = MOST_ROWS * _NUMBERS_FOR_A_TEXT
    if sum(piece.rows for piece in pieces) <= most:
        yield in_order_of(read_rows(pieces), key)
        return
    keys = [column_of(piece, key[0]) for piece in pieces]
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    for low, high, rows in _groups(zip(found.tolist(), counts.tolist(), strict=True), most):
        some = [within(piece, of, low, high) for piece, of in zip(pieces, keys, strict=True)]
        if rows <= most or len(key) == 1:
            yield in_order_of(read_rows(some), key)
        else:
            yield from _slices(some, key, count=rows, most=most)


def _groups(counts: Iterable[tuple[_Key, int]], most: int) -> Iterator[tuple[_Key, _Key, int]]:
    """Put neighbouring keys together, as long as they have at *most* so many rows.

    Gives the first and the last of each group, and its rows. A key with more of them is alone.
    """
    group: tuple[_Key, _Key, int] | None = None
    for key, count in counts:
        if group is not None and group[2] + count <= most:
            group = (group[0], key, group[2] + count)
            continue
        if group is not None:
            yield group
        group = (key, key, count)
    if group is not None:
        yield group


def _slices(
    pieces: Sequence[Piece], key: tuple[str, ...], *, count: int, most: int
) -> Iterator[pl.DataFrame]:
    """Cut one large class by the first digits of its image ids, which are spread evenly."""
    images = [column_of(piece, key[1]) for piece in pieces]
    for first, last in _ranges_of_images(count, most):
        low, high = int(first, 16), int(last, 16)
        some = [within(each, ids, low, high) for each, ids in zip(pieces, images, strict=True)]
        if any(piece.rows for piece in some):
            yield in_order_of(read_rows(some), key)


def _ranges_of_images(count: int, most: int) -> Iterator[tuple[str, str]]:
    """Give the first and the last id of each range of images, so that few have too many rows."""
    digits = 1 if count <= 8 * most else 2
    wide = max(1, 16**digits * most // count)
    for low in range(0, 16**digits, wide):
        high = min(low + wide, 16**digits) - 1
        yield (
            f"{low:0{digits}x}".ljust(_DIGITS, "0"),
            f"{high:0{digits}x}".ljust(_DIGITS, "f"),
        )


def _spans_of_text(pieces: Sequence[Piece], key: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    lazy = pl.scan_ipc([piece.path for piece in pieces], glob=False)
    if sum(piece.rows for piece in pieces) <= MOST_ROWS:
        yield in_order_of(lazy.collect(), key)
        return
    counts = lazy.group_by(key[0]).len().collect().sort(key[0])
    for low, high, rows in _groups(counts.iter_rows(), MOST_ROWS):
        some = lazy.filter(pl.col(key[0]).is_between(pl.lit(low), pl.lit(high)))
        if rows <= MOST_ROWS or len(key) == 1:
            yield in_order_of(some.collect(), key)
            continue
        for first, last in _ranges_of_images(rows, MOST_ROWS):
            found = some.filter(pl.col(key[1]).is_between(pl.lit(first), pl.lit(last))).collect()
            if found.height:
                yield in_order_of(found, key)


def parts_of(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut sorted rows into parts of about `PART_ROWS`, never between two rows of an image."""
    image = rows["ImageID"]
    begins = (image != image.shift()).fill_null(value=True).arg_true().to_numpy()
    wanted = np.arange(PART_ROWS, rows.height, PART_ROWS)
    at = np.searchsorted(begins, wanted)
    cuts = [0, *np.unique(begins[at[at < len(begins)]]).tolist(), rows.height]
    for start, stop in itertools.pairwise(cuts):
        yield rows.slice(start, stop - start)


def note_classes(
    labels: dict[str, list[list[int]]], rows: pl.DataFrame, *, part: int, words: Sequence[str]
) -> None:
    """Note where each class lies: part, first row, rows, images.

    A class that is held as a number is that one of the *words*.
    """
    label, image = rows["LabelName"], rows["ImageID"]
    first = (label != label.shift()).fill_null(value=True)
    begins = first.arg_true().to_numpy()
    new = (first | (image != image.shift()).fill_null(value=True)).to_numpy()
    if not rows.height:
        return
    images = np.add.reduceat(new, begins, dtype=np.int64)
    counts = np.diff(begins, append=rows.height)
    runs = zip(label.gather(begins), begins.tolist(), counts.tolist(), images.tolist(), strict=True)
    for key, row, count, number in runs:
        name = key if isinstance(key, str) else words[key]
        labels.setdefault(name, []).append([part, row, count, number])
