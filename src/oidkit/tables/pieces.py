"""The rows of blocks on disk until the table is sorted, and the bucket that each belongs to.

Rows of numbers are one file a block, column after column, so that a bucket takes its stretch of
each column out of every block, and reads nothing else. Rows of text are compressed, for they are
long: there each bucket has a file of its own.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
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
    for bucket, (start, stop) in enumerate(itertools.pairwise(cuts)):
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
    """Write a head, and then each column; the few rows that have nulls stand in the head."""
    odd: list[tuple[int, str, list[str]]] = []
    if ODD in rows.columns:
        for at in rows[ODD].is_not_null().arg_true().to_list():
            row = rows.row(at, named=True)
            lacking = [name for name, value in row.items() if value is None]
            odd.append((at, row[ODD], lacking))
    columns = [name for name in rows.columns if name != ODD]
    filled = rows.select(columns).fill_null(0) if odd else rows
    arrays = [filled[name].to_numpy() for name in columns]
    kinds = [array.dtype.str for array in arrays]
    head = {"rows": rows.height, "columns": columns, "kinds": kinds, "odd": odd}
    raw = json.dumps(head).encode()
    file.write(len(raw).to_bytes(_HEAD, "little") + raw)
    for array in arrays:
        file.write(np.ascontiguousarray(array).data)


def read_numbers_of(file: IO[bytes]) -> pl.DataFrame:
    """Read from where it stands what `write_numbers` has written.

    Raises:
        EOFError: it ends before.

    """
    numbers = _Numbers.of(file)
    columns = {name: np.empty(numbers.rows, kind) for name, kind in numbers.kinds.items()}
    for array in columns.values():
        _fill(file, array)
    return _with_odd(_frame(columns), numbers.odd)


def _fill(file: IO[bytes], array: NDArray[Any]) -> None:
    left = array.data.cast("B")
    while len(left):
        read = file.readinto(left)  # type: ignore[attr-defined]
        if not read:
            raise EOFError("the rows are cut")
        left = left[read:]


def _frame(columns: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(name, array) for name, array in columns.items()})


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the head of a file says, and where the columns lie."""

    rows: int
    kinds: Mapping[str, np.dtype[Any]]
    places: Mapping[str, int]
    odd: Sequence[tuple[int, str, list[str]]]

    @classmethod
    def of(cls, file: IO[bytes]) -> _Numbers:
        size = int.from_bytes(file.read(_HEAD), "little")
        raw = file.read(size)
        if not size or len(raw) < size:
            raise EOFError("the head is cut")
        head = json.loads(raw)
        kinds = {
            name: np.dtype(kind) for name, kind in zip(head["columns"], head["kinds"], strict=True)
        }
        ends = itertools.accumulate(
            (kind.itemsize * head["rows"] for kind in kinds.values()), initial=_HEAD + size
        )
        return cls(head["rows"], kinds, dict(zip(kinds, ends, strict=False)), head["odd"])

    def read_into(
        self, file: IO[bytes], piece: Piece, columns: Mapping[str, NDArray[Any]], at: int
    ) -> None:
        for name, array in columns.items():
            file.seek(self.places[name] + piece.start * array.itemsize)
            _fill(file, array[at : at + piece.rows])


def column_of(piece: Piece, name: str) -> NDArray[Any]:
    """Read one column of a piece of numbers."""
    with piece.path.open("rb", buffering=0) as file:
        numbers = _Numbers.of(file)
        array = np.empty(piece.rows, dtype=numbers.kinds[name])
        numbers.read_into(file, piece, {name: array}, 0)
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
    odd: list[tuple[int, str, list[str]]] = []
    for piece in wanted:
        with piece.path.open("rb", buffering=0) as file:
            numbers = _Numbers.of(file)
            if not columns:
                columns = {name: np.empty(total, kind) for name, kind in numbers.kinds.items()}
            numbers.read_into(file, piece, columns, at)
        begin = at - piece.start
        odd += [
            (begin + row, line, names)
            for row, line, names in numbers.odd
            if piece.start <= row < piece.stop
        ]
        at += piece.rows
    return _with_odd(_frame(columns), odd)


def _with_odd(rows: pl.DataFrame, odd: Sequence[tuple[int, str, list[str]]]) -> pl.DataFrame:
    """Make the fields null that have no number, and put the published lines beside them."""
    lines = pl.repeat(None, rows.height, dtype=pl.String, eager=True).alias(ODD)
    if odd:
        lines = lines.scatter([at for at, _, _ in odd], [line for _, line, _ in odd])
        by_column: dict[str, list[int]] = {}
        for at, _, names in odd:
            for name in names:
                by_column.setdefault(name, []).append(at)
        rows = rows.with_columns(rows[name].scatter(ats, None) for name, ats in by_column.items())
    return rows.with_columns(lines)
