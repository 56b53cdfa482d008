"""What a run writes down of its files while it is under way: a journal, of this run alone.

It is `journal-<token>.jsonl`, and the token says whose it is. Every line holds the CRC-32 of a row
and the row, a list of texts as JSON. One that was cut by a kill, or has a flipped bit, counts as
never written.

A row is there at once: what a killed run did not write down would be fetched again. Whether a loss
of power leaves the file that the row speaks of is another matter. From time to time all that was
written is synced, beside the work, and a row of the kind `SYNCED` then says for how many rows that
holds. Whoever finds the journal of a dead run reads the files of the others through.
"""

from __future__ import annotations

import csv
import io
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit import ownership
from oidkit.disk import is_left, make_lasting
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from oidkit.disk import Record
    from oidkit.objectpath import Location

__all__ = [
    "COLUMNS",
    "SYNCED",
    "Found",
    "Journal",
    "free_name",
    "journals",
    "line_of",
    "note_of",
    "row_of",
]

COLUMNS = ("path", "kind", "key", "status", "bytes", "width", "height", "check", "reason")
"""The fields of a row, which are those of a `Record`."""

SYNCED = "synced"
"""The kind of a row that tells in `bytes` how many rows before it speak of files that will last."""

# What a run that is stopped has to wait for, and what one that was killed has read through.
_MOST_BYTES = 64 << 20
_MOST_SECONDS = 5.0

_FIRST = "journal.csv"
_FIRST_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Found:
    """A journal that lies there."""

    path: Location

    def is_left(self) -> bool:
        """Tell whether nobody adds to it any more."""
        return is_left(self.path)

    def rows(self) -> Iterator[list[str]]:
        """Give the whole rows; none where another run has merged it meanwhile."""
        return _rows_of(self.path)


class Journal:
    """The journal of this run, in the folder `.oid` of a dataset; it is made with its first row."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.parent
        self._token = ownership.claim()
        self._path = folder / f"journal-{self._token}.jsonl"
        # Never through a link that somebody has put there.
        self._file = self._path.open("xb")
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="oidkit-sync")
        self._under_way: Future[int] | None = None
        self._rows = self._bytes = 0
        self._failed = False
        self._begun = time.monotonic()
        self._unsynced: list[str] = []

    def add(self, record: Record) -> None:
        """Write down what became of a file."""
        row = row_of(record)
        self._write(row)
        self._rows += 1
        self._bytes += record.bytes
        # Every run compares the lists with what they should be, and a later one may replace them.
        if row[1] != "annotations":
            self._unsynced.append(row[0])
        if self._under_way is not None and self._under_way.done():
            self._note()
        due = self._bytes >= _MOST_BYTES or time.monotonic() - self._begun >= _MOST_SECONDS
        if due and not self._failed and self._under_way is None:
            self._sync()

    def rows(self) -> Iterator[list[str]]:
        """Give the rows so far."""
        return _rows_of(self._path)

    @property
    def name(self) -> str:
        """The name of its file in the folder."""
        return self._path.name

    def hand_over(self) -> None:
        """End the journal when every file that it speaks of will last; another may then merge it.

        Raises:
            OSError: the disk could not take what had been written.

        """
        try:
            if self._under_way is not None:
                self._note()
            # A system tells of a failure once; that a later sync succeeds then means nothing.
            if not self._failed:
                self._sync()
                self._note()
        finally:
            self._pool.shutdown()
            try:
                self._file.close()
            finally:
                ownership.drop(self._token)
                self._path = self._path.rename(self._path.with_name(free_name()))

    def _write(self, row: Sequence[str]) -> None:
        self._file.write(line_of(row))
        # At once: what a killed run did not write down would be fetched again.
        self._file.flush()

    def _sync(self) -> None:
        files, self._unsynced = [self._path, *map(self._root.joinpath, self._unsynced)], []
        self._bytes, self._begun = 0, time.monotonic()
        self._under_way = self._pool.submit(self._synced, files, self._rows)

    def _synced(self, files: Sequence[Path], rows: int) -> int:
        make_lasting(self._root, files)
        return rows

    def _note(self) -> None:
        """Say for how many rows a sync holds; waits for its end."""
        done, self._under_way = self._under_way, None
        try:
            rows = done.result() if done else 0
        except OSError:
            self._failed = True
            raise
        self._write(note_of(rows))


def row_of(record: Record) -> list[str]:
    """Give what became of a file as a row."""
    return [str(getattr(record, name)) for name in COLUMNS]


def line_of(row: Sequence[str]) -> bytes:
    """Write a row as a line of a journal."""
    text = json.dumps(list(row)).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def note_of(rows: int) -> list[str]:
    """Give the row that says for how many before it the files will last."""
    return ["", SYNCED, "", "ok", str(rows), "0", "0", "", ""]


def free_name() -> str:
    """Give the name of a journal that nobody owns."""
    return f"journal-{ownership.release()}.jsonl"


def journals(folder: Location) -> list[Found]:
    """Find the journals in a folder, the oldest first."""
    if isinstance(folder, ObjectPath):
        # Their names begin with the time: what a store tells is a whole second.
        return [Found(path) for path in folder.glob("journal-*.jsonl")]
    found = []
    for path in folder.glob("journal*"):
        whose = path.name.startswith("journal-") and path.suffix == ".jsonl"
        if path.is_symlink() or not path.is_file() or not (whose or path.name == _FIRST):
            continue
        found.append((path.stat().st_mtime_ns, path.name, Found(path)))
    return [each for *_, each in sorted(found, key=lambda each: each[:2])]


def _rows_of(path: Location) -> Iterator[list[str]]:
    try:
        if path.name == _FIRST:
            yield from _first_rows(path.read_bytes())
            return
        with path.open("rb") as file:
            for line in file:
                if (row := _row(line)) is not None:
                    yield row
    except FileNotFoundError:
        return


def _row(line: bytes) -> list[str] | None:
    check, _, text = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(text):
        return None
    try:
        row = json.loads(text)
    except ValueError:
        return None
    well = isinstance(row, list) and all(isinstance(each, str) for each in row)
    return row if well else None


def _first_rows(data: bytes) -> Iterator[list[str]]:
    """Read the journal of the first oidkit, whose rows have no checksum, and at first no sizes."""
    whole = data.rpartition(b"\n")[0].decode("utf-8", errors="replace")
    try:
        for row in csv.reader(io.StringIO(whole, newline="")):
            yield [*row[:5], "0", "0", *row[5:]] if len(row) == _FIRST_COLUMNS else row
    except csv.Error:
        return
