"""Files that say what there is: class lists and annotation files."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.errors import (
    ChangedError,
    IntegrityError,
    OidError,
    SourceError,
)
from oidkit.events import Fetched
from oidkit.store import Checksums, Reply, Request, is_strong, same_object
from oidkit.transfer.body import (
    CHANGED,
    Body,
    refuse_endless,
    refuse_other_range,
    refuse_page,
    refuse_part,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.catalog import File
    from oidkit.disk import Record
    from oidkit.tables import Table, TableBuilder

__all__ = ["FileJob", "TableJob"]


class FileJob(Body):
    """A small file that is kept as it is, and asked for again only when it changed.

    `page` is what came in its place, where that is a web page or nothing at all.
    """

    def __init__(self, file: File, *, etag: str | None, official: bool) -> None:
        super().__init__(file.key)
        self._file, self._etag, self._official = file, etag, official
        self.content: bytes | None = None
        self.page: bytes | None = None
        self.etag: str | None = None
        self.error: OidError | None = None

    def request(self) -> Request:
        return Request(self._file.key, if_none_match=self._etag)

    def begin(self, reply: Reply) -> None:
        refuse_part(reply, self.name, known=self._etag is not None)
        known = _known(reply, self._file, official=self._official)
        refuse_endless(reply, self.name, checked=known != Checksums())
        super().begin(reply)

    def settle(self) -> Sequence[Record]:
        if self._reply.status == HTTPStatus.NOT_MODIFIED:
            return ()
        body = self._body()
        _check(self.name, body, _known(self._reply, self._file, official=self._official))
        self.page = body
        refuse_page(body, self.name)
        if not body:
            raise IntegrityError(f"{self.name} is empty", remedy="check the copy at --source")
        self.content, self.page, self.etag = body, None, self._reply.etag
        return ()

    def fail(self, error: OidError) -> Sequence[Record]:
        self.error = error
        return ()


class TableJob(Body):
    """An annotation CSV, turned into its table while it arrives.

    `arrived` tells that no more of it comes, and `over` that nothing is left to do.
    """

    def __init__(
        self, file: File, builder: TableBuilder, *, etag: str | None, official: bool
    ) -> None:
        super().__init__(file.key)
        self.file, self._builder, self._official = file, builder, official
        self._etag = etag
        self._asked = Request(file.key)
        self.table: Table | None = None
        self.error: OidError | None = None
        self.arrived = self.over = False

    def request(self) -> Request | None:
        self.arrived = False
        offset = self._builder.rewind()
        if offset and self._builder.complete:
            return None
        if offset and is_strong(self._builder.etag):
            self._asked = Request(self.name, start=offset, if_range=self._builder.etag)
        else:
            self._asked = Request(self.name, if_none_match=self._etag)
        return self._asked

    def begin(self, reply: Reply) -> None:
        self._reply = reply
        known = _known(reply, self.file, official=self._official)
        if reply.status == HTTPStatus.OK:
            refuse_endless(reply, self.name, checked=known != Checksums())
            self._builder.begin(reply.etag, known)
        elif self._asked.ranged:
            self._go_on(reply)
        else:
            refuse_part(reply, self.name, known=self._asked.if_none_match is not None)

    def _go_on(self, reply: Reply) -> None:
        """Take the rest of the file, or nothing of it: then the next try begins anew."""
        builder, start = self._builder, self._asked.start or 0
        if reply.status in CHANGED or not same_object(reply.etag, builder.etag):
            builder.discard()
            raise SourceError(
                f"{self.name} changed on the source while it was read",
                remedy="run the same command again",
            )
        total = builder.size if builder.size is not None else reply.total or 0
        try:
            refuse_other_range(reply, self.name, start=start, stop=total, total=total)
        except SourceError:
            builder.discard()
            raise

    def write(self, data: bytes) -> None:
        if not self._builder.offset:
            refuse_page(data, self.name)
        self._builder.feed(data)

    def told(self) -> Fetched | None:
        """Tell of a table that has been built."""
        return Fetched(self.name, self.table.bytes) if self.table else None

    def cancel(self) -> None:
        """End the sorting after the bucket that is under way; the blocks stay for the next run."""
        self._builder.cancel()

    def settle(self) -> Sequence[Record]:
        self.arrived = True
        if self._reply.status == HTTPStatus.NOT_MODIFIED:
            # What a run left that was killed when its table had just been put in its place.
            self._builder.discard()
            self.over = True
            return ()
        size = self._builder.size
        if size is not None and self._builder.offset < size:
            raise SourceError(
                f"{self.name} was cut short: {self._builder.offset} of {size} bytes",
                remedy="run the same command again",
            )
        try:
            self.table = self._builder.finish()
        except IntegrityError as error:
            empty = not self._builder.offset
            self._builder.discard()
            if empty:
                # Not what the source has, most likely, so it is worth another try.
                raise IntegrityError(error.cause, remedy=error.remedy) from error
            raise
        self.over = True
        return ()

    def fail(self, error: OidError) -> Sequence[Record]:
        if isinstance(error, ChangedError):
            self._builder.discard()
        self.error, self.arrived, self.over = error, True, True
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
        raise IntegrityError(
            f"{name} {wrong}", remedy="run the same command again, or check the copy at --source"
        )
