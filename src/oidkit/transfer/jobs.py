"""Images and masks: how they are asked for, and what becomes of their bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from oidkit.disk import Record, fingerprint, link, write_atomically, write_everywhere
from oidkit.errors import (
    ChangedError,
    IntegrityError,
    MissingObjectError,
    OidError,
    UsageError,
)
from oidkit.imagefile import jpeg_fault
from oidkit.store import Reply, Request
from oidkit.transfer.body import Body, refuse_other_range, refuse_whole
from oidkit.transfer.records import image_record, mask_record
from oidkit.zipindex import Member, extract

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oidkit.disk import Status

Turn = Callable[[str, bytes], bytes]
"""Turns the image or mask at a path; gives the very bytes back that need no turn."""

__all__ = ["ImageJob", "LinkJob", "MaskJob", "Turn", "ZipSpan"]


class ImageJob(Body):
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


class LinkJob(Body):
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


class MaskJob(Body):
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
        refuse_whole(reply, self.name)
        if reply.etag != span.etag or reply.total != span.total:
            raise ChangedError(self.name)
        refuse_other_range(reply, span.start, span.stop - span.start, self.name)
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


def _status(error: OidError) -> Status:
    if isinstance(error, MissingObjectError):
        return "missing"
    return "damaged" if isinstance(error, IntegrityError) else "failed"
