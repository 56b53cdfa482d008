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
from oidkit.tables.journal import Found, Journal, line_of, note_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from oidkit.objectpath import Location

__all__ = ["ObjectJournal", "open_journal"]

_MOST_ROWS = 10_000
_MOST_SECONDS = 3.0


class ObjectJournal:
    """The journal of this run, in the folder `.oid` of a dataset in a bucket."""

    def __init__(self, folder: ObjectPath) -> None:
        self._folder = folder
        self._parts: list[ObjectPath] = []
        self._rows: list[Sequence[str]] = []
        self._begun = time.monotonic()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="oidkit-journal")
        self._under_way: Future[None] | None = None

    def add(self, row: Sequence[str], *, size: int) -> None:  # noqa: ARG002 - as of a `Journal`
        """Gather a row, and put those that are there into the bucket when it is time."""
        self._rows.append(row)
        late = time.monotonic() - self._begun >= _MOST_SECONDS
        if late or len(self._rows) >= _MOST_ROWS:
            self._put()

    def rows(self) -> Iterator[list[str]]:
        """Give the rows so far."""
        self._put()
        self._wait()
        for part in self._parts:
            yield from Found(part).rows()

    def hand_over(self) -> None:
        """End the journal when all its rows are in the bucket."""
        try:
            self._put()
            self._wait()
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
        self._parts.append(part)
        data = b"".join(map(line_of, [*rows, note_of(len(rows))]))
        self._under_way = self._pool.submit(part.write, data)

    def _wait(self) -> None:
        done, self._under_way = self._under_way, None
        if done is not None:
            done.result()


def open_journal(folder: Location) -> Journal | ObjectJournal:
    """Begin a journal where the dataset lies."""
    return ObjectJournal(folder) if isinstance(folder, ObjectPath) else Journal(folder)
