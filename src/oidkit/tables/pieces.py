"""The rows of blocks on disk until the table is sorted, and the bucket that each belongs to.

Rows of numbers are one file a block, column after column, so that a bucket takes its stretch of
each column out of every block, and reads nothing else. Rows of text are compressed, for they are
long: there each bucket has a file of its own.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from oidkit.tables.holding import ODD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "Piece",
    "bounds_of",
    "bucket_of",
    "column_of",
    "put_down",
    "read_numbers_of",
    "read_rows",
    "within",
    "write_numbers",
]

BUCKETS = 32
_HEX: Final = "0123456789abcdef"
_NUMBERS, _TEXTS = ".numbers", ".arrow"
_AT, _NULLS, _ENDS = "\nodd", "\nnulls", "\nends"
"""Arrays of the odd rows: where each is, which of its fields are null, where its line ends.

No column is called so: the header of a CSV is one line.
"""
_HEAD: Final = 8
"""Bytes of the number that tells how long the head of a file of numbers is."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a file, from *start* to before *stop*, sorted by the key of the table.

    A file of text is one piece: its *stop* is the number of its rows.
    """

    path: Path
    start: int
    stop: int

    @property
    def is_text(self) -> bool:
        """Whether the rows are held as text."""
        return self.path.suffix == _TEXTS

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.stop - self.start


def bounds_of(key: pl.Series) -> tuple[str | int, ...]:
    """Choose the first keys of all buckets but the first, by the sorted keys of the first block.

    Image ids are spread evenly over the hex digits. Classes are not: their share in the first
    block stands for the whole file.
    """
    if key.name == "ImageID":
        return tuple(a + b for a in _HEX for b in "08")[1:]
    step = max(1, key.len() // BUCKETS)
    # A file of one row has a bound too: where there is none, nothing is put down.
    offset = min(step, key.len() - 1)
    return tuple(sorted(set(key.gather_every(step, offset=offset).to_list())))


def put_down(
    rows: pl.DataFrame, key: pl.Series, bounds: Sequence[str | int], *, work: Path, block: int
) -> dict[Path, list[int]]:
    """Write the sorted rows of a block; for each file, where each bucket begins and ends in it.

    Two places tell of a file of one bucket, and one more than there are buckets of any other.
    """
    if not bounds or not rows.height:
        return {}
    begins = (int(key.search_sorted(bound, side="left")) for bound in bounds)
    cuts = [0, *begins, rows.height]
    if key.dtype != pl.String:
        path = work / f"rows-{block:06d}{_NUMBERS}"
        with path.open("wb") as file:
            write_numbers(file, rows)
        return {path: cuts}
    files = {}
    for bucket, (start, stop) in enumerate(pairwise(cuts)):
        if stop > start:
            path = work / f"{bucket:03d}-{block:06d}{_TEXTS}"
            rows.slice(start, stop - start).rechunk().write_ipc(path, compression="lz4")
            files[path] = [0, stop - start]
    return files


def bucket_of(files: Mapping[Path, Sequence[int]], bucket: int) -> Iterator[Piece]:
    """Give the pieces of a bucket, in the order of the blocks."""
    for path, cuts in sorted(files.items()):
        if path.suffix == _TEXTS:
            if path.stem.startswith(f"{bucket:03d}-"):
                yield Piece(path, *cuts)
        elif cuts[bucket + 1] > cuts[bucket]:
            yield Piece(path, cuts[bucket], cuts[bucket + 1])


# -- files of numbers ----------------------------------------------------------------------------


def write_numbers(file: IO[bytes], rows: pl.DataFrame) -> None:
    """Write a head, each column, and what is odd: those rows that have nulls, with their lines."""
    columns = [name for name in rows.columns if name != ODD]
    odd = rows.filter(pl.col(ODD).is_not_null()) if ODD in rows.columns else rows.clear()
    filled = rows.select(columns).fill_null(0) if odd.height else rows
    arrays = {name: filled[name].to_numpy() for name in columns}
    lines = [line.encode() for line in odd[ODD].to_list()] if odd.height else []
    if lines:
        where = rows[ODD].is_not_null().arg_true().cast(pl.Int64)
        lacking = odd.select(pl.col(columns).is_null()).to_numpy()
        arrays |= {_AT: where.to_numpy(), _NULLS: np.packbits(lacking, axis=1)}
        arrays[_ENDS] = np.cumsum([0, *map(len, lines)], dtype=np.int64)
    head = {
        "rows": rows.height,
        "columns": columns,
        "arrays": [(name, array.dtype.str, array.shape) for name, array in arrays.items()],
    }
    raw = json.dumps(head).encode()
    file.write(len(raw).to_bytes(_HEAD, "little") + raw)
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).data)
    file.writelines(lines)


def read_numbers_of(file: IO[bytes]) -> pl.DataFrame:
    """Read from where it stands what `write_numbers` has written.

    Raises:
        OSError: it ends before.

    """
    head = _Head.of(file)
    arrays = {name: np.empty(shape, kind) for name, (kind, shape, _) in head.arrays.items()}
    for array in arrays.values():
        _fill(file, array)
    odd = None
    if _AT in arrays:
        lines = file.read(int(arrays[_ENDS][-1]))
        odd = _Odd(arrays[_AT], arrays[_NULLS], _texts(lines, arrays[_ENDS]))
    return _frame({name: arrays[name] for name in head.columns}, [odd] if odd else [])


def _fill(file: IO[bytes], array: NDArray[Any]) -> None:
    left = array.data.cast("B")
    while len(left):
        read = file.readinto(left)  # type: ignore[attr-defined]
        if not read:
            raise OSError("the rows are cut")
        left = left[read:]


@dataclass(frozen=True, slots=True)
class _Odd:
    """Rows of which fields are null: where they are, which fields as bits, and their lines."""

    at: NDArray[np.int64]
    nulls: NDArray[np.uint8]
    lines: Sequence[str]


def _texts(raw: bytes, ends: NDArray[np.int64]) -> list[str]:
    begin = int(ends[0]) if len(ends) else 0
    return [raw[one - begin : end - begin].decode() for one, end in pairwise(ends.tolist())]


def _frame(columns: Mapping[str, NDArray[Any]], odd: Sequence[_Odd]) -> pl.DataFrame:
    """Make the fields null that have no number, and put the published lines beside them."""
    rows = pl.DataFrame({name: pl.Series(name, array) for name, array in columns.items()})
    lines = pl.repeat(None, rows.height, dtype=pl.String, eager=True).alias(ODD)
    if odd:
        at = np.concatenate([each.at for each in odd])
        nulls = np.unpackbits(np.concatenate([each.nulls for each in odd]), axis=1).astype(np.bool_)
        lines = lines.scatter(at, [line for each in odd for line in each.lines])
        rows = rows.with_columns(
            rows[name].scatter(at[nulls[:, number]], None)
            for number, name in enumerate(columns)
            if nulls[:, number].any()
        )
    return rows.with_columns(lines)


@dataclass(frozen=True, slots=True)
class _Head:
    """What a file says of itself: its columns, and of each array the kind, shape and place."""

    columns: Sequence[str]
    arrays: Mapping[str, tuple[np.dtype[Any], tuple[int, ...], int]]
    end: int

    @classmethod
    def of(cls, file: IO[bytes]) -> _Head:
        size = int.from_bytes(file.read(_HEAD), "little")
        raw = file.read(size)
        if not size or len(raw) < size:
            raise OSError("the head of the rows is cut")
        head = json.loads(raw)
        arrays, at = {}, _HEAD + size
        for name, text, shape in head["arrays"]:
            kind = np.dtype(text)
            arrays[name] = (kind, tuple(shape), at)
            at += kind.itemsize * math.prod(shape)
        return cls(head["columns"], arrays, at)

    def read(self, file: IO[bytes], name: str, start: int, into: NDArray[Any]) -> None:
        """Read rows of an array from one on, as many as there is room for."""
        kind, shape, place = self.arrays[name]
        file.seek(place + start * kind.itemsize * math.prod(shape[1:]))
        _fill(file, into)

    def odd(self, file: IO[bytes], piece: Piece, at: int) -> _Odd | None:
        """Read the odd rows of a piece whose first row becomes the one numbered *at*."""
        if _AT not in self.arrays:
            return None
        where = np.empty(self.arrays[_AT][1], np.int64)
        self.read(file, _AT, 0, where)
        first, last = (int(each) for each in np.searchsorted(where, (piece.start, piece.stop)))
        if first == last:
            return None
        nulls = np.empty((last - first, *self.arrays[_NULLS][1][1:]), np.uint8)
        self.read(file, _NULLS, first, nulls)
        ends = np.empty(last - first + 1, np.int64)
        self.read(file, _ENDS, first, ends)
        file.seek(self.end + int(ends[0]))
        raw = np.empty(int(ends[-1] - ends[0]), np.uint8)
        _fill(file, raw)
        return _Odd(where[first:last] - piece.start + at, nulls, _texts(raw.tobytes(), ends))


def column_of(piece: Piece, name: str) -> NDArray[Any]:
    """Read one column of a piece of numbers."""
    with piece.path.open("rb", buffering=0) as file:
        head = _Head.of(file)
        array = np.empty(piece.rows, head.arrays[name][0])
        head.read(file, name, piece.start, array)
    return array


def within(piece: Piece, values: NDArray[Any], low: int, high: int) -> Piece:
    """Leave the rows of which *values*, which ascend, are from *low* to *high*, which is in it."""
    kind = values.dtype.type  # a number of another kind would make floats of both
    start = np.searchsorted(values, kind(low), "left")
    stop = np.searchsorted(values, kind(high), "right")
    return replace(piece, start=piece.start + int(start), stop=piece.start + int(stop))


def read_rows(pieces: Iterable[Piece]) -> pl.DataFrame:
    """Put pieces of numbers together, one after the other."""
    wanted = [piece for piece in pieces if piece.rows]
    total, at = sum(piece.rows for piece in wanted), 0
    columns: dict[str, NDArray[Any]] = {}
    odd: list[_Odd] = []
    for piece in wanted:
        with piece.path.open("rb", buffering=0) as file:
            head = _Head.of(file)
            if not columns:
                columns = {name: np.empty(total, head.arrays[name][0]) for name in head.columns}
            for name, array in columns.items():
                head.read(file, name, piece.start, array[at : at + piece.rows])
            if (found := head.odd(file, piece, at)) is not None:
                odd.append(found)
        at += piece.rows
    return _frame(columns, odd)
