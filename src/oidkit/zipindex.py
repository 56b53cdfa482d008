"""The directory of a mask zip, read by byte ranges that somebody else fetches.

Nothing here touches a network or a disk: `DirectoryReader` says which bytes it needs and is fed
them. All ranges are half-open, in bytes of the zip. `oidkit.zipmember` reads the members.

The records are those of PKWARE's APPNOTE.TXT 6.3: 4.3.12 directory entry, 4.3.14 to 4.3.16 the end
records, 4.5.3 the ZIP64 extra field. Zips are refused that a plain mask
zip never is: in several parts, with bytes before the first member, with overlapping members.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oidkit.errors import IntegrityError
from oidkit.zipmember import (
    LOCAL_HEADER,
    REMEDY,
    Member,
    check_readable,
    extract,
    zip64_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "LARGEST_DIRECTORY",
    "MASK_NAME",
    "DirectoryReader",
    "Member",
    "Need",
    "ZipIndex",
    "extract",
]

MASK_NAME: Final = re.compile(r"^[0-9a-f]{16}_[mg][0-9a-z_]{2,24}_[0-9a-f]{8}\.png$", re.ASCII)
"""A mask's name, for `fullmatch`: image id, MID without slashes, box id; never a path."""
LARGEST_DIRECTORY: Final = 512 << 20
"""Bytes of the largest directory that is read: 35 times that of a train zip."""

_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LENGTHS: Final = struct.Struct("<3H")
_ENTRY_SIZE: Final = 46
_ENTRY: Final = [
    ("signature", "<u4"),
    ("made_by", "<u2"),
    ("needed", "<u2"),
    ("flags", "<u2"),
    ("method", "<u2"),
    ("time", "<u2"),
    ("date", "<u2"),
    ("crc32", "<u4"),
    ("csize", "<u4"),
    ("usize", "<u4"),
    ("name_length", "<u2"),
    ("extra_length", "<u2"),
    ("comment_length", "<u2"),
    ("disk", "<u2"),
    ("internal", "<u2"),
    ("external", "<u4"),
    ("offset", "<u4"),
]
_ENTRY_SIGNATURE: Final = int.from_bytes(b"PK\x01\x02", "little")
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
_LONGEST_COMMENT: Final = 65_535
_LONGEST_EXTRA: Final = 65_535
_LONGEST_DESCRIPTOR: Final = 24


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes to fetch: either [start, stop), or the last `suffix` bytes of an object of any size."""

    start: int | None = None
    stop: int | None = None
    suffix: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ZipIndex:
    """What a zip's directory says of its masks: columns of equal length, in the zip's own order.

    `names`, `offset` and `stop` of every row are safe to use: a flat mask name (see `MASK_NAME`),
    unique, and a span before the directory that overlaps no other.
    """

    name: str
    """What errors call the zip."""
    total: int
    """Bytes of the zip."""
    directory_start: int
    ignored: int
    """Members left out: of no mask's name (folders, paths), or of a name that occurs twice."""
    names: list[str]
    offset: NDArray[np.uint64]
    """Where the member's local header begins."""
    stop: NDArray[np.uint64]
    """Where the next member or the directory begins, or earlier if that is far off."""
    csize: NDArray[np.uint64]
    usize: NDArray[np.uint64]
    crc32: NDArray[np.uint32]
    method: NDArray[np.uint16]
    flags: NDArray[np.uint16]

    def __len__(self) -> int:
        """Count the members that were kept."""
        return len(self.names)

    def rows(self) -> dict[str, int]:
        """Make a look-up of name -> row."""
        return {name: row for row, name in enumerate(self.names)}

    def member(self, row: int) -> Member:
        """Give one member.

        Raises:
            IntegrityError: it is encrypted, packed by an unknown method, or larger than
                `LARGEST_MEMBER`.
        """
        member = Member(
            self.names[row],
            offset=int(self.offset[row]),
            stop=int(self.stop[row]),
            csize=int(self.csize[row]),
            usize=int(self.usize[row]),
            crc32=int(self.crc32[row]),
            method=int(self.method[row]),
            flags=int(self.flags[row]),
        )
        check_readable(member, where=f"{member.name} in {self.name}")
        return member


@dataclass(frozen=True, slots=True)
class _Ends:
    """What the end records say of the directory."""

    start: int
    size: int
    entries: int
    is_zip64: bool


class _MoreError(Exception):
    """The bytes from `start` on have to be there before anything can be said."""

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


class DirectoryReader:
    """Read the directory of a zip whose bytes somebody else fetches.

    Ask `need()`, fetch that, `feed()` it, until `need()` is None; then `index()`. The end of the
    zip is asked for first, then what of the directory lies before it: usually one request for a
    small zip and two for a large one, and no byte twice.
    """

    def __init__(self, *, name: str, tail: int = 65_536) -> None:
        """Begin with the last *tail* bytes of the zip that errors call *name*."""
        self._name = name
        self._need: Need | None = Need(suffix=max(tail, _END.size))
        self._data = b""
        self._start = 0
        self._total: int | None = None
        self._ends: _Ends | None = None

    def need(self) -> Need | None:
        """Say which bytes to fetch next; None when the whole directory is here."""
        return self._need

    def feed(self, data: bytes, *, start: int, total: int) -> None:
        """Take bytes [start, start + len(data)) of the zip, which is *total* bytes long.

        More than was needed is welcome, as from a server that sends the whole object.

        Raises:
            IntegrityError: the bytes are fewer than was needed, or no zip that can be read.
        """
        if self._need is None:
            return
        stop = start + len(data)
        if self._total is None:
            complete = stop == total
            self._data, self._start = bytes(data), start
        else:
            first, last = self._need.start or 0, self._need.stop or 0
            complete = start <= first and stop >= last and total == self._total
            self._data = bytes(data[first - start : last - start]) + self._data
            self._start = first
        if not complete or start < 0:
            cause = f"bytes {start} to {stop} of {total} of {self._name} are not what was asked"
            raise IntegrityError(cause, remedy="run the same command again")
        self._total = total
        try:
            self._ends = self._find_ends(total)
            lacking = self._ends.start
        except _MoreError as more:
            lacking = more.start
        self._need = Need(start=lacking, stop=self._start) if lacking < self._start else None

    def index(self) -> ZipIndex:
        """Parse the directory.

        Raises:
            IntegrityError: its entries are broken, outside of the zip or overlap.
            RuntimeError: `need()` is not None yet.
        """
        if self._ends is None or self._need is not None or self._total is None:
            message = "the directory is not complete: feed what need() says first"
            raise RuntimeError(message)
        first = self._ends.start - self._start
        directory = self._data[first : first + self._ends.size]
        return _parse(directory, self._ends, name=self._name, total=self._total)

    def _find_ends(self, total: int) -> _Ends:
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
        raise refused or _refusal(self._name, "it has no end record, so it is no zip or was cut")

    def _candidates(self) -> Iterator[int]:
        """Yield where in the data an end record may begin, the last first."""
        at = len(self._data)
        lowest = max(0, at - _END.size - _LONGEST_COMMENT)
        while (at := self._data.rfind(b"PK\x05\x06", lowest, at + 3)) >= 0:
            if at + _END.size <= len(self._data):
                comment = int.from_bytes(self._data[at + 20 : at + 22], "little")
                if at + _END.size + comment == len(self._data):
                    yield at

    def _ends_at(self, at: int, total: int) -> _Ends:
        _, disk, first_disk, here, entries, size, start, _ = _END.unpack_from(self._data, at)
        before = self._start + at
        if disk not in (0, _FULL16) or first_disk not in (0, _FULL16) or here != entries:
            raise _refusal(self._name, "it is one part of a zip in several parts")
        record = self._zip64_record(at)
        if record is not None:
            before, *wide = record
            for narrow, full, agreed in zip(
                (entries, size, start), (_FULL16, _FULL32, _FULL32), wide, strict=True
            ):
                if narrow not in (full, agreed):
                    raise _refusal(self._name, "its two end records do not agree")
            entries, size, start = wide
        if start + size > before:
            raise _refusal(
                self._name,
                f"its directory should be bytes {start} to {start + size}, but the zip of {total}"
                f" bytes has its end record at {before}: it was cut or changed",
            )
        if start + size < before:
            raise _refusal(
                self._name,
                f"{before - start - size} bytes stand before the zip or behind its directory",
            )
        if size > LARGEST_DIRECTORY or entries * _ENTRY_SIZE > size:
            raise _refusal(
                self._name, f"a directory of {size} bytes for {entries} members cannot be"
            )
        return _Ends(start, size, entries, is_zip64=record is not None)

    def _zip64_record(self, at: int) -> tuple[int, int, int, int] | None:
        """Read (where it begins, entries, size, start) of a ZIP64 end record, if there is one."""
        locator = at - _LOCATOR.size
        if locator < 0 < self._start:
            raise _MoreError(max(0, self._start + locator))
        if locator < 0 or self._data[locator : locator + 4] != b"PK\x06\x07":
            return None
        _, disk, begin, disks = _LOCATOR.unpack_from(self._data, locator)
        if disk or disks > 1:
            raise _refusal(self._name, "it is one part of a zip in several parts")
        room = self._start + locator - begin
        if not _END64.size <= room <= _END64.size + _LONGEST_COMMENT:
            raise _refusal(self._name, "its ZIP64 end record is not where it should be")
        if begin < self._start:
            raise _MoreError(begin)
        fields = _END64.unpack_from(self._data, begin - self._start)
        signature, length, _, _, disk, first_disk, here, entries, size, start = fields
        if signature != b"PK\x06\x06" or length + 12 != room:
            raise _refusal(self._name, "its ZIP64 end record is broken")
        if disk or first_disk or here != entries:
            raise _refusal(self._name, "it is one part of a zip in several parts")
        return begin, entries, size, start


def _refusal(name: str, because: str) -> IntegrityError:
    return IntegrityError(f"{name} cannot be read: {because}", remedy=REMEDY)


def _parse(directory: bytes, ends: _Ends, *, name: str, total: int) -> ZipIndex:
    import numpy as np  # commands that read no zip should not wait for it

    starts = _entry_starts(directory, ends, name)
    raw = b"".join([directory[at : at + _ENTRY_SIZE] for at in starts])
    entries = np.frombuffer(raw, dtype=_ENTRY)
    if (entries["signature"] != _ENTRY_SIGNATURE).any():
        raise _refusal(name, "its directory holds something that is no entry")
    if ((entries["disk"] != 0) & (entries["disk"] != _FULL16)).any():
        raise _refusal(name, "it is one part of a zip in several parts")
    # in the order in which a ZIP64 field has them
    wide = {key: entries[key].astype(np.uint64) for key in ("usize", "csize", "offset")}
    saturated = np.logical_or.reduce([column == _FULL32 for column in wide.values()])
    for row in np.flatnonzero(saturated).tolist():
        at = starts[row] + _ENTRY_SIZE + int(entries["name_length"][row])
        extra = directory[at : at + int(entries["extra_length"][row])]
        _widen(wide, row, extra, name)
    order, stop = _spans(wide["offset"], wide["csize"], entries["name_length"], ends, name)
    # Latin-1 keeps every byte, and names of masks are ASCII; no other name leaves this function
    text = directory.decode("latin-1")
    begins = [at + _ENTRY_SIZE for at in starts]
    lengths = entries["name_length"].tolist()
    names = [text[at : at + size] for at, size in zip(begins, lengths, strict=True)]
    names = [names[row] for row in order.tolist()]
    keep = _masks(names)
    rows = order[keep]
    return ZipIndex(
        name=name,
        total=total,
        directory_start=ends.start,
        ignored=len(names) - len(keep),
        names=[names[at] for at in keep],
        offset=wide["offset"][rows],
        stop=stop[keep],
        csize=wide["csize"][rows],
        usize=wide["usize"][rows],
        crc32=entries["crc32"][rows],
        method=entries["method"][rows],
        flags=entries["flags"][rows],
    )


def _spans(
    offset: NDArray[np.uint64],
    csize: NDArray[np.uint64],
    name_length: NDArray[np.uint16],
    ends: _Ends,
    name: str,
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Order the members as they lie in the zip: (their rows, where the span of each stops)."""
    import numpy as np

    order = np.argsort(offset, kind="stable")
    begin, size = offset[order], csize[order]
    following = np.append(begin[1:], np.uint64(ends.start))
    # one comparison after another, as sums and differences of hostile numbers wrap around
    outside = (begin > following).any() or (size > ends.start).any()
    used = size + name_length[order] + np.uint64(LOCAL_HEADER)
    if outside or (used > following - begin).any():
        raise _refusal(name, "its members overlap one another or its directory")
    # what a zip skips over, as after a member was deleted, is not to be fetched
    reach = begin + used + np.uint64(_LONGEST_EXTRA + _LONGEST_DESCRIPTOR)
    return order, np.minimum(following, reach)


def _entry_starts(directory: bytes, ends: _Ends, name: str) -> list[int]:
    starts: list[int] = []
    at, last = 0, len(directory) - _ENTRY_SIZE
    lengths = _LENGTHS.unpack_from
    while at <= last:
        named, extra, comment = lengths(directory, at + 28)
        starts.append(at)
        at += _ENTRY_SIZE + named + extra + comment
    if at != len(directory):
        raise _refusal(name, "its directory ends in the middle of an entry")
    # writers without ZIP64 let the 16 bits of the count wrap around, and all readers allow it
    modulus = 1 << 64 if ends.is_zip64 else 1 << 16
    if len(starts) % modulus != ends.entries % modulus:
        raise _refusal(
            name, f"its directory holds {len(starts)} members, its end record says {ends.entries}"
        )
    return starts


def _widen(wide: dict[str, NDArray[np.uint64]], row: int, extra: bytes, name: str) -> None:
    """Put the 64-bit numbers of an entry's extra field where the 32-bit ones are saturated."""
    values = zip64_values(extra)
    at = 0
    for column in wide.values():
        if column[row] == _FULL32:
            if at + 8 > len(values):
                raise _refusal(name, "a member lacks its ZIP64 sizes")
            column[row] = int.from_bytes(values[at : at + 8], "little")
            at += 8


def _masks(names: list[str]) -> list[int]:
    """Pick the rows whose names are those of masks; none of the rows that share a name.

    Readers disagree on which of two members of one name counts, so neither can be trusted; the
    mask is then missing from the zip, which the caller reports.
    """
    fits = MASK_NAME.fullmatch
    rows = [row for row, name in enumerate(names) if fits(name)]
    if len({names[row] for row in rows}) == len(rows):
        return rows
    times = Counter(names[row] for row in rows)
    return [row for row in rows if times[names[row]] == 1]
