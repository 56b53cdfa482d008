"""Files that say what there is: class lists, annotation files, the directories of zips."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.errors import (
    ChangedError,
    IntegrityError,
    MalformedError,
    OidError,
    SourceError,
    UsageError,
)
from oidkit.events import Fetched
from oidkit.store import Checksums, Reply, Request
from oidkit.transfer.body import Body, refuse_whole
from oidkit.zipindex import DirectoryReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oidkit.catalog import File
    from oidkit.disk import Record
    from oidkit.tables import Table, TableBuilder
    from oidkit.zipindex import ZipIndex

__all__ = ["DirectoryJob", "FileJob", "TableJob"]


class DirectoryJob(Body):
    """The directory of a mask zip, read from its end in as few ranges as it takes.

    *keep* is given the index and the ETag of the zip, on another thread; it is not called for the
    very zip that has the ETag *known*.
    """

    def __init__(
        self,
        key: str,
        keep: Callable[[ZipIndex, str | None], None],
        *,
        known: str | None = None,
    ) -> None:
        super().__init__(key)
        self._keep, self._known = keep, known
        self._unchanged = False
        self.etag: str | None = None
        self.total = 0
        self.error: OidError | None = None
        self._reader = DirectoryReader(name=key)
        self._asked = 0

    def request(self) -> Request | None:
        need = self._reader.need()
        if need is None:
            return None
        if need.suffix is not None:
            self._asked = need.suffix
            return Request(self.name, suffix=need.suffix, if_none_match=self._known)
        start, stop = need.start or 0, need.stop or 0
        self._asked = stop - start
        return Request(self.name, start=start, stop=stop, if_match=self.etag)

    def begin(self, reply: Reply) -> None:
        if reply.status == HTTPStatus.NOT_MODIFIED:
            self._unchanged = True
            return
        if reply.status == HTTPStatus.OK and reply.total is not None and reply.total <= self._asked:
            # Some servers answer a range that holds the whole object with the whole object.
            super().begin(reply)
        else:
            refuse_whole(reply, self.name)
            super().begin(reply)
        if self.etag is not None and self.etag != reply.etag:
            self._reader = DirectoryReader(name=self.name)
            self.etag = None
            raise SourceError(f"{self.name} changed while it was read", remedy="run it again")
        self.etag, self.total = reply.etag, reply.total or 0

    def settle(self) -> Sequence[Record] | None:
        if self._unchanged:
            return ()
        try:
            if self._reader.need() is not None:
                self._reader.feed(self._body(), start=self._reply.start, total=self.total)
            if self._reader.need() is not None:
                return None
            index = self._reader.index()
        except IntegrityError:
            self._reader = DirectoryReader(name=self.name)
            self.etag = None
            raise
        self._keep(index, self.etag)
        return ()

    def told(self) -> Fetched:
        """Tell of a directory that has been read, or need not be."""
        return Fetched(self.name, self.total)

    def fail(self, error: OidError) -> Sequence[Record]:
        if isinstance(error, UsageError):
            raise error
        if isinstance(error, ChangedError) and self.etag is None:
            error = MalformedError(
                f"{self.name} is empty, so it is no zip", remedy="check the source"
            )
        self.error = error
        return ()


class FileJob(Body):
    """A small file that is kept as it is, and asked for again only when it changed."""

    def __init__(self, file: File, *, etag: str | None, official: bool) -> None:
        super().__init__(file.key)
        self._file, self._etag, self._official = file, etag, official
        self.content: bytes | None = None
        self.etag: str | None = None
        self.error: OidError | None = None

    def request(self) -> Request:
        return Request(self._file.key, if_none_match=self._etag)

    def settle(self) -> Sequence[Record]:
        if self._reply.status == HTTPStatus.NOT_MODIFIED:
            return ()
        body = self._body()
        _check(self.name, body, _known(self._reply, self._file, official=self._official))
        self.content, self.etag = body, self._reply.etag
        return ()

    def fail(self, error: OidError) -> Sequence[Record]:
        self.error = error
        return ()


class TableJob(Body):
    """An annotation CSV, turned into its table while it arrives."""

    def __init__(
        self, file: File, builder: TableBuilder, *, etag: str | None, official: bool
    ) -> None:
        super().__init__(file.key)
        self.file, self._builder, self._official = file, builder, official
        self._etag = etag
        self.table: Table | None = None
        self.error: OidError | None = None

    def request(self) -> Request | None:
        offset = self._builder.rewind()
        if offset and self._builder.complete:
            return None
        if offset and self._builder.etag:
            return Request(self.name, start=offset, if_range=self._builder.etag)
        return Request(self.name, if_none_match=self._etag)

    def begin(self, reply: Reply) -> None:
        self._reply = reply
        known = _known(reply, self.file, official=self._official)
        if reply.status == HTTPStatus.NOT_MODIFIED:
            return
        if reply.status == HTTPStatus.PARTIAL_CONTENT and reply.start == self._builder.offset:
            if reply.etag != self._builder.etag:
                self._builder.discard()
                raise SourceError(f"{self.name} changed while it was read", remedy="run it again")
        elif reply.status == HTTPStatus.OK:
            self._builder.begin(reply.etag, known)
        else:
            self._builder.discard()
            raise SourceError(f"{self.name}: the source sends another range", remedy="check it")

    def write(self, data: bytes) -> None:
        self._builder.feed(data)

    def told(self) -> Fetched | None:
        """Tell of a table that has been built."""
        return Fetched(self.name, self.table.bytes) if self.table else None

    def cancel(self) -> None:
        """End the sorting after the bucket that is under way; the blocks stay for the next run."""
        self._builder.cancel()

    def settle(self) -> Sequence[Record]:
        if self._reply.status == HTTPStatus.NOT_MODIFIED:
            return ()
        try:
            self.table = self._builder.finish()
        except IntegrityError:
            self._builder.discard()
            raise
        return ()

    def fail(self, error: OidError) -> Sequence[Record]:
        if isinstance(error, ChangedError):
            self._builder.discard()
        self.error = error
        return ()


def _known(reply: Reply, file: File, *, official: bool) -> Checksums:
    """Gather what is known of an object; published numbers bind the official source only."""
    return Checksums(
        size=(file.size if official and file.md5 else None) or reply.total,
        md5=(file.md5 if official else None) or reply.md5,
        crc32c=reply.crc32c,
    )


def _check(name: str, body: bytes, known: Checksums) -> None:
    wrong = None
    if known.size is not None and len(body) != known.size:
        wrong = f"has {len(body)} bytes instead of {known.size}"
    elif known.md5 and hashlib.md5(body, usedforsecurity=False).hexdigest() != known.md5:
        wrong = "does not match its MD5"
    elif known.crc32c is not None and google_crc32c.value(body) != known.crc32c:
        wrong = "does not match its CRC-32C"
    if wrong:
        raise IntegrityError(f"{name} {wrong}", remedy="run it again, or check the source")
