"""The kinds of things that are fetched, and what becomes of the bytes of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.disk import Record, fingerprint, link, write_atomically, write_everywhere
from oidkit.errors import (
    ChangedError,
    IntegrityError,
    MalformedError,
    MissingObjectError,
    OidError,
    SourceError,
    UsageError,
)
from oidkit.events import Fetched
from oidkit.imagefile import jpeg_fault
from oidkit.store import Checksums, Reply, Request
from oidkit.transfer.records import image_record, mask_record
from oidkit.zipindex import DirectoryReader, Member, extract

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oidkit.catalog import File
    from oidkit.disk import Status
    from oidkit.tables import Table, TableBuilder
    from oidkit.zipindex import ZipIndex

Turn = Callable[[str, bytes], bytes]
"""Turns the image or mask at a path; gives the very bytes back that need no turn."""

__all__ = ["DirectoryJob", "FileJob", "ImageJob", "LinkJob", "MaskJob", "TableJob"]


class _Body:
    """What every job has: the reply, and its body in memory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._pieces: list[bytes] = []
        self._reply = Reply(0)

    def begin(self, reply: Reply) -> None:
        self._pieces, self._reply = [], reply

    def write(self, data: bytes) -> None:
        self._pieces.append(data)

    def cancel(self) -> None:
        """Do nothing: what is under way takes a moment."""

    def told(self) -> Fetched | None:
        """Say nothing: the records tell it."""
        return None

    def _body(self) -> bytes:
        body, self._pieces = b"".join(self._pieces), []
        length = self._reply.length
        if length is not None and len(body) != length:
            raise SourceError(
                f"{self.name} was cut short: {len(body)} of {length} bytes",
                remedy="run the same command again",
            )
        return body


class ImageJob(_Body):
    """One image: a single GET, checked, and written to every place where it belongs.

    What is written is what *turn* makes of the key and the bytes that came.
    """

    def __init__(
        self,
        root: Path,
        key: str,
        paths: Sequence[str],
        *,
        turn: Turn | None = None,
    ) -> None:
        super().__init__(key)
        self._root, self._key, self._paths, self._turn = root, key, paths, turn

    def request(self) -> Request:
        return Request(self._key)

    def settle(self) -> Sequence[Record]:
        body = self._body()
        check = fingerprint(body)
        self._examine(body, check)
        if self._turn is not None and (turned := self._turn(self._paths[0], body)) is not body:
            body, check = turned, fingerprint(turned)
        write_everywhere(self._root, self._paths, body)
        return [image_record(path, self._key, body, check=check) for path in self._paths]

    def _examine(self, body: bytes, check: str) -> None:
        """Refuse content that is not what it should be; *check* is its fingerprint."""
        known = self._reply.md5
        if known is None:
            fault = jpeg_fault(body)
        else:
            fault = None if check == f"md5:{known}" else f"it does not match its MD5 {known}"
        if fault:
            raise IntegrityError(f"{self._key}: {fault}", remedy="check the source")

    def fail(self, error: OidError) -> Sequence[Record]:
        return [
            Record(path, "image", self._key, _status(error), reason=error.cause)
            for path in self._paths
        ]


class LinkJob(_Body):
    """An image that stands in one place of the folder already, and belongs to others as well."""

    def __init__(self, root: Path, present: Record, paths: Sequence[str]) -> None:
        super().__init__(present.path)
        self._root, self._present, self._paths = root, present, paths

    def request(self) -> None:
        return None

    def settle(self) -> Sequence[Record]:
        made = []
        present = self._present
        for path in self._paths:
            link(self._root / present.path, self._root / path)
            made.append(replace(present, path=path))
        return made

    def fail(self, error: OidError) -> Sequence[Record]:
        raise error


class MaskJob(_Body):
    """A span of a mask zip: the members in it that are wanted, each checked by its CRC-32.

    What is written is what *turn* makes of the path and the bytes of a member.
    """

    def __init__(
        self,
        root: Path,
        span: ZipSpan,
        members: Sequence[tuple[Member, str]],
        *,
        changed: set[str],
        turn: Callable[[str, bytes], bytes] | None = None,
    ) -> None:
        super().__init__(span.key)
        self._turn = turn
        self._root, self._span = root, span
        self._waiting = list(members)
        self._made: list[Record] = []
        self._changed = changed

    def request(self) -> Request:
        span = self._span
        return Request(span.key, start=span.start, stop=span.stop, if_match=span.etag)

    def begin(self, reply: Reply) -> None:
        span = self._span
        _refuse_whole(reply, self.name)
        if reply.etag != span.etag or reply.total != span.total:
            raise ChangedError(self.name)
        _refuse_other_range(reply, span.start, span.stop - span.start, self.name)
        super().begin(reply)

    def settle(self) -> Sequence[Record]:
        body = self._body()
        bad: list[tuple[Member, str]] = []
        wrong: IntegrityError | None = None
        for member, path in self._waiting:
            try:
                png = extract(member, body, start=self._span.start)
                check = f"crc32:{member.crc32:08x}"
                if self._turn is not None and (turned := self._turn(path, png)) is not png:
                    png, check = turned, fingerprint(turned)
            except IntegrityError as error:
                bad.append((member, path))
                wrong = error
                continue
            write_atomically(self._root / path, png)
            self._made.append(mask_record(path, self._span.key, png, check=check))
        self._waiting = bad
        if wrong is not None:
            raise wrong
        return self._made

    def fail(self, error: OidError) -> Sequence[Record]:
        if isinstance(error, UsageError):
            raise error
        if isinstance(error, ChangedError):
            self._changed.add(self._span.key)
            return self._made
        status = _status(error)
        return self._made + [
            Record(path, "mask", self._span.key, status, reason=error.cause)
            for _, path in self._waiting
        ]


@dataclass(frozen=True, slots=True)
class ZipSpan:
    """The half-open range [start, stop) of the zip at `key`, as its index knows it."""

    key: str
    etag: str | None
    total: int
    start: int
    stop: int


class DirectoryJob(_Body):
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
            _refuse_whole(reply, self.name)
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


class FileJob(_Body):
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


class TableJob(_Body):
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


def _status(error: OidError) -> Status:
    if isinstance(error, MissingObjectError):
        return "missing"
    return "damaged" if isinstance(error, IntegrityError) else "failed"


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


def _refuse_whole(reply: Reply, name: str) -> None:
    if reply.status != HTTPStatus.PARTIAL_CONTENT:
        raise UsageError(
            f"the source refuses byte ranges: it answered one of {name} with the whole file",
            remedy="use a server that honours Range, or leave out masks with --labels boxes",
        )


def _refuse_other_range(reply: Reply, start: int, length: int, name: str) -> None:
    if reply.start != start or (reply.length is not None and reply.length != length):
        raise SourceError(
            f"{name}: the source sends another range than was asked for",
            remedy="check the server, or a proxy before it",
        )
