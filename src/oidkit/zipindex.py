"""The directory of a mask zip, read by byte ranges that somebody else fetches.

Nothing here touches a network or a disk: `DirectoryReader` says which bytes it needs and is fed
them. All ranges are half-open, in bytes of the zip. `oidkit.zipcolumns` gathers the entries,
`oidkit.zipmember` reads the members.

The records are those of PKWARE's APPNOTE.TXT 6.3: 4.3.14 to 4.3.16 the end records. Zips are
refused that a plain mask zip never is: in several parts, with bytes before the first member, with
overlapping members.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oidkit.errors import IntegrityError
from oidkit.zipcolumns import EntryReader, ZipIndex
from oidkit.zipentries import ENTRY_SIZE, MASK_NAME, Ends, refusal
from oidkit.zipmember import Member, extract

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "LARGEST_DIRECTORY",
    "MASK_NAME",
    "DirectoryReader",
    "Ends",
    "Member",
    "Need",
    "ZipIndex",
    "extract",
]

LARGEST_DIRECTORY: Final = 512 << 20
"""Bytes of the largest directory that is read: 35 times that of a train zip."""

_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
_LONGEST_COMMENT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes to fetch: either [start, stop), or the last `suffix` bytes of an object of any size."""

    start: int | None = None
    stop: int | None = None
    suffix: int | None = None


class _MoreError(Exception):
    """The bytes from `start` on have to be there before anything can be said."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


class DirectoryReader:
    """Read the directory of a zip whose bytes somebody else fetches.

    Ask `need()`, fetch that, `feed()` it, until `need()` is None; then `index()`. The end of the
    zip is asked for first, then what of the directory lies before it: usually one request for a
    small zip and two for a large one, and no byte twice. What is known to belong to the directory
    may come in pieces, by `go_on()`: they are turned into columns and not kept.
    """

    def __init__(self, *, name: str, tail: int = 65_536) -> None:
        """Begin with the last *tail* bytes of the zip that errors call *name*."""
        self._name = name
        self._need: Need | None = Need(suffix=max(tail, _END.size))
        self._data = b""
        self._start = 0
        self._total: int | None = None
        self._entries: EntryReader | None = None
        self._index: ZipIndex | None = None

    def need(self) -> Need | None:
        """Say which bytes to fetch next; None when the whole directory is here."""
        return self._need

    @property
    def ends(self) -> Ends | None:
        """Where the directory lies, once that is known."""
        return self._entries.ends if self._entries else None

    @property
    def tail(self) -> tuple[bytes, int]:
        """What of the directory came along with the end records, and where in the zip it begins."""
        ends = self.ends
        if ends is None:
            return b"", 0
        first = max(ends.start, self._start)
        return self._data[first - self._start : max(first, ends.stop) - self._start], first

    def feed(self, data: bytes, *, start: int, total: int) -> None:
        """Take bytes [start, start + len(data)) of the zip, which is *total* bytes long.

        More than was needed is welcome, as from a server that sends the whole object.

        Raises:
            IntegrityError: the bytes are fewer than was needed, or no zip that can be read.
        """
        if self._need is None:
            return
        stop = start + len(data)
        first, last = self._need.start or 0, self._need.stop or 0
        if self._total is None:
            complete = stop == total
        else:
            complete = start <= first and stop >= last and total == self._total
        if not complete or start < 0:
            cause = f"bytes {start} to {stop} of {total} of {self._name} are not what was asked"
            raise IntegrityError(cause, remedy="run the same command again")
        if self._entries is not None:
            self.go_on(memoryview(data)[first - start : last - start])
            return
        if self._total is None:
            self._data, self._start = bytes(data), start
        else:
            self._data, self._start = bytes(data[first - start : last - start]) + self._data, first
        self._total = total
        try:
            ends = self._find_ends(total)
        except _MoreError as more:
            lacking = more.start
        else:
            self._entries = EntryReader(ends, self._name, total)
            lacking = ends.start
        self._need = Need(start=lacking, stop=self._start) if lacking < self._start else None

    def go_on(self, data: bytes | memoryview) -> None:
        """Take the next bytes of those that `need()` says, once they belong to the directory.

        `need()` then says what is left, so a request that broke is made for the rest alone.

        Raises:
            IntegrityError: they are too many, or hold something that is no entry.
            RuntimeError: it is not known yet where the directory is.
        """
        if self._entries is None or self._need is None or self._need.start is None:
            message = "where the directory is has to be known first: feed what need() says"
            raise RuntimeError(message)
        reached = self._need.start + len(data)
        if reached > self._start:
            cause = f"{self._name}: more bytes came than were asked for"
            raise IntegrityError(cause, remedy="run the same command again")
        self._entries.feed(data)
        self._need = Need(start=reached, stop=self._start) if reached < self._start else None

    def index(self) -> ZipIndex:
        """Give what the directory says.

        Raises:
            IntegrityError: its entries are broken, outside of the zip or overlap.
            RuntimeError: `need()` is not None yet.
        """
        if self._index is None:
            if self._entries is None or self._need is not None:
                message = "the directory is not complete: feed what need() says first"
                raise RuntimeError(message)
            self._entries.feed(self.tail[0])
            self._index = self._entries.index()
        return self._index

    def _find_ends(self, total: int) -> Ends:
        """Find the end record that fits: a comment may hold bytes that look like one."""
        refused: IntegrityError | None = None
        for at in self._candidates():
            try:
                return self._ends_at(at, total)
            except IntegrityError as error:
                refused = refused or error
        longest = max(0, total - _END.size - _LONGEST_COMMENT)
        if longest < self._start:
            # with room for the locator, which would be asked for next
            raise _MoreError(max(0, longest - _LOCATOR.size))
        raise refused or refusal(self._name, "it has no end record, so it is no zip or was cut")

    def _candidates(self) -> Iterator[int]:
        """Yield where in the data an end record may begin, the last first."""
        at = len(self._data)
        lowest = max(0, at - _END.size - _LONGEST_COMMENT)
        while (at := self._data.rfind(b"PK\x05\x06", lowest, at + 3)) >= 0:
            if at + _END.size <= len(self._data):
                comment = int.from_bytes(self._data[at + 20 : at + 22], "little")
                if at + _END.size + comment == len(self._data):
                    yield at

    def _ends_at(self, at: int, total: int) -> Ends:
        _, disk, first_disk, here, entries, size, start, _ = _END.unpack_from(self._data, at)
        before = self._start + at
        if disk not in (0, _FULL16) or first_disk not in (0, _FULL16) or here != entries:
            raise refusal(self._name, "it is one part of a zip in several parts")
        record = self._zip64_record(at)
        if record is not None:
            before, *wide = record
            for narrow, full, agreed in zip(
                (entries, size, start), (_FULL16, _FULL32, _FULL32), wide, strict=True
            ):
                if narrow not in (full, agreed):
                    raise refusal(self._name, "its two end records do not agree")
            entries, size, start = wide
        if start + size > before:
            raise refusal(
                self._name,
                f"its directory should be bytes {start} to {start + size}, but the zip of {total}"
                f" bytes has its end record at {before}: it was cut or changed",
            )
        if start + size < before:
            raise refusal(
                self._name,
                f"{before - start - size} bytes stand before the zip or behind its directory",
            )
        if size > LARGEST_DIRECTORY or entries * ENTRY_SIZE > size:
            raise refusal(
                self._name, f"a directory of {size} bytes for {entries} members cannot be"
            )
        return Ends(start, size, entries, is_zip64=record is not None)

    def _zip64_record(self, at: int) -> tuple[int, int, int, int] | None:
        """Read (where it begins, entries, size, start) of a ZIP64 end record, if there is one."""
        locator = at - _LOCATOR.size
        if locator < 0 < self._start:
            raise _MoreError(max(0, self._start + locator))
        if locator < 0 or self._data[locator : locator + 4] != b"PK\x06\x07":
            return None
        _, disk, begin, disks = _LOCATOR.unpack_from(self._data, locator)
        if disk or disks > 1:
            raise refusal(self._name, "it is one part of a zip in several parts")
        room = self._start + locator - begin
        if not _END64.size <= room <= _END64.size + _LONGEST_COMMENT:
            raise refusal(self._name, "its ZIP64 end record is not where it should be")
        if begin < self._start:
            raise _MoreError(begin)
        fields = _END64.unpack_from(self._data, begin - self._start)
        signature, length, _, _, disk, first_disk, here, entries, size, start = fields
        if signature != b"PK\x06\x06" or length + 12 != room:
            raise refusal(self._name, "its ZIP64 end record is broken")
        if disk or first_disk or here != entries:
            raise refusal(self._name, "it is one part of a zip in several parts")
        return begin, entries, size, start
