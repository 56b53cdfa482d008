"""Images and masks: how they are asked for, and what becomes of their bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import google_crc32c

from oidkit.disk import Record, fingerprint, link, move, write_all, write_everywhere
from oidkit.errors import (
    ChangedError,
    IntegrityError,
    OidError,
    UsageError,
)
from oidkit.imagefile import jpeg_fault
from oidkit.store import Reply, Request
from oidkit.transfer.body import Body, refuse_part
from oidkit.transfer.records import image_record, lost_record, mask_record
from oidkit.transfer.zipspan import SpanJob, ZipSpan
from oidkit.zipindex import Member, extract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.objectpath import Location

Turn = Callable[[str, bytes], bytes]
"""Turns the image or mask at a path; gives the very bytes back that need no turn."""

__all__ = ["ImageJob", "LinkJob", "MaskJob", "Turn"]


class ImageJob(Body):
    """One image: a single GET, checked, and written to every place where it belongs.

    What is written is what *turn* makes of the key and the bytes that came.
    """

    def __init__(
        self,
        root: Location,
        key: str,
        paths: Sequence[str],
        *,
        turn: Turn | None = None,
    ) -> None:
        super().__init__(key)
        self._root, self._paths, self._turn = root, paths, turn

    def request(self) -> Request:
        return Request(self.name)

    def begin(self, reply: Reply) -> None:
        refuse_part(reply, self.name)
        super().begin(reply)

    def settle(self) -> Sequence[Record]:
        body = self._body()
        check = fingerprint(body)
        self._examine(body, check)
        if self._turn is not None and (turned := self._turn(self._paths[0], body)) is not body:
            body, check = turned, fingerprint(turned)
        write_everywhere(self._root, self._paths, body)
        return [image_record(path, self.name, body, check=check) for path in self._paths]

    def _examine(self, body: bytes, check: str) -> None:
        """Refuse content that is not what it should be; *check* is its fingerprint."""
        known, crc = self._reply.md5, self._reply.crc32c
        if known is not None:
            fault = None if check == f"md5:{known}" else f"it does not match its MD5 {known}"
        elif crc is not None:
            # A composite object has this one alone.
            fault = None if google_crc32c.value(body) == crc else "it does not match its CRC-32C"
        else:
            fault = jpeg_fault(body)
        if fault:
            raise IntegrityError(f"{self.name}: {fault}", remedy="check the copy at --source")

    def fail(self, error: OidError) -> Sequence[Record]:
        return [lost_record(path, self.name, error, kind="image") for path in self._paths]


class LinkJob(Body):
    """An image that stands in one place of the folder already, and belongs to others as well.

    One that *moves* does not stay where it stands.
    """

    def __init__(
        self, root: Location, present: Record, paths: Sequence[str], *, moves: bool = False
    ) -> None:
        super().__init__(present.path)
        self._root, self._present, self._paths, self._moves = root, present, paths, moves

    def request(self) -> None:
        return None

    def settle(self) -> Sequence[Record]:
        place, left = self._root / self._present.path, list(self._paths)
        if self._moves:
            moved = self._root / left.pop(0)
            move(place, moved)
            place = moved
        for path in left:
            link(place, self._root / path)
        return [replace(self._present, path=path) for path in self._paths]

    def fail(self, error: OidError) -> Sequence[Record]:
        raise error


class MaskJob(SpanJob):
    """A span of a mask zip: the members in it that are wanted, each checked by its CRC-32.

    What is written is what *turn* makes of the path and the bytes of a member. A zip that is found
    to be another one is added to *changed*.
    """

    def __init__(
        self,
        root: Location,
        span: ZipSpan,
        members: Sequence[tuple[Member, str]],
        *,
        changed: set[str],
        turn: Turn | None = None,
    ) -> None:
        super().__init__(span)
        self._root, self._turn = root, turn
        self._waiting = list(members)
        self._made: list[Record] = []
        self._wrong: dict[str, IntegrityError] = {}
        self._changed = changed

    def settle(self) -> Sequence[Record]:
        body = self._body()
        bad: list[tuple[Member, str]] = []
        good: list[tuple[str, bytes]] = []
        made: list[Record] = []
        self._wrong = {}
        for member, path in self._waiting:
            try:
                png = extract(member, body, start=self.span.start)
                check = f"crc32:{member.crc32:08x}"
                if self._turn is not None and (turned := self._turn(path, png)) is not png:
                    png, check = turned, fingerprint(turned)
            except IntegrityError as error:
                bad.append((member, path))
                self._wrong[path] = error
                continue
            good.append((path, png))
            made.append(mask_record(path, self.span.key, png, check=check))
        write_all(self._root, good)
        self._made += made
        self._waiting = bad
        if bad:
            raise self._wrong[bad[0][1]]
        return self._made

    def fail(self, error: OidError) -> Sequence[Record]:
        if isinstance(error, UsageError):
            raise error
        doubted = isinstance(error, IntegrityError) and self.span.doubted
        if isinstance(error, ChangedError) or doubted:
            self._changed.add(self.span.key)
            return self._made
        # Each that came damaged has a reason of its own; an error of the way is that of all.
        own = self._wrong if isinstance(error, IntegrityError) else {}
        lost = [
            lost_record(path, self.name, own.get(path, error), kind="mask")
            for _, path in self._waiting
        ]
        return self._made + lost
