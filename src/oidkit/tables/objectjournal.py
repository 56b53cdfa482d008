"""The journal of a run whose dataset lies in a bucket: objects, as nothing can be added to one.

Rows are gathered for a few seconds and put there as a `journal-<time>-<number>.jsonl` of their own,
which is never written again, so that any run may merge it at any time. What a run that was killed
had not put there yet is looked at by the next one: the objects that the rows spoke of are there.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from oidkit.objectpath import ObjectPath
from oidkit.tables.journal import Journal, line_of, note_of, row_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from oidkit.disk import Record
    from oidkit.objectpath import Location

__all__ = ["ObjectJournal", "open_journal"]

_MOST_ROWS = 10_000
_MOST_SECONDS = 3.0


class ObjectJournal:
    """The journal of this run, in the folder `.oid` of a dataset in a bucket."""

    name = ""
    """It has no single name."""

    def __init__(self, folder: ObjectPath) -> None:
        self._folder = folder
        self._rows: list[Sequence[str]] = []
        self._begun = time.monotonic()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="oidkit-journal")
        self._under_way: Future[None] | None = None

    def add(self, record: Record) -> None:
        """Gather a row, and put those that are there into the bucket when it is time."""
        self._rows.append(row_of(record))
        late = time.monotonic() - self._begun >= _MOST_SECONDS
        if late or len(self._rows) >= _MOST_ROWS:
            self._put()

    def flush(self) -> None:
        """Come back when all rows so far are in the bucket."""
        self._put()
        self._wait()

    def hand_over(self) -> None:
        """End the journal when all its rows are in the bucket."""
        try:
            self.flush()
        finally:
            self._pool.shutdown()

    def _put(self) -> None:
        """Begin to put what was gathered there; one such request is under way at a time."""
        self._begun = time.monotonic()
        if not self._rows:
            return
        self._wait()
        rows, self._rows = self._rows, []
        name = f"journal-{time.time_ns():016x}-{uuid.uuid4().hex[:12]}.jsonl"
        part = self._folder / name
        data = b"".join(map(line_of, [*rows, note_of(len(rows))]))
        self._under_way = self._pool.submit(part.write, data)

    def _wait(self) -> None:
        done, self._under_way = self._under_way, None
        if done is not None:
            done.result()


def open_journal(folder: Location) -> Journal | ObjectJournal:
    """Begin a journal where the dataset lies."""
    return ObjectJournal(folder) if isinstance(folder, ObjectPath) else Journal(folder)
