"""The entries of a zip's directory, taken in piece by piece and kept as columns.

A mask's name is three numbers: the id of its image, its class and the id of its box. They are kept
as that, so the directory of a train zip takes 7 MB in memory and not the 15 that it has, nor the
130 of an object for each member. Nothing here touches a network or a disk.

The records are those of PKWARE's APPNOTE.TXT 6.3: 4.3.12 directory entry, 4.5.3 the ZIP64 extra
field, 4.6.9 the Unicode path.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from oidkit.errors import IntegrityError
from oidkit.zipmember import (
    LOCAL_HEADER,
    REMEDY,
    Member,
    check_readable,
    is_renamed,
    zip64_values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.unsignedinteger[Any]]

__all__ = [
    "ENTRY_SIZE",
    "MASK_NAME",
    "Ends",
    "EntryReader",
    "Fields",
    "ZipIndex",
    "entry_starts",
    "reaches",
    "refusal",
]

MASK_NAME: Final = re.compile(r"^[0-9a-f]{16}_[mg][0-9a-z_]{2,24}_[0-9a-f]{8}\.png$", re.ASCII)
"""A mask's name, for `fullmatch`: image id, MID without slashes, box id; never a path."""
ENTRY_SIZE: Final = 46
"""Bytes of an entry before its name."""

_NAME: Final = re.compile(rb"[0-9a-f]{16}_[mg][0-9a-z_]{2,24}_[0-9a-f]{8}\.png")
_NAMES: Final = re.compile(rb"(?:[0-9a-f]{16}_[mg][0-9a-z_]{2,24}_[0-9a-f]{8}\.png\n)*")
_ID, _MID, _BOX = slice(0, 16), slice(17, -13), slice(-12, -4)
_NO_MASK: Final = b"0" * 16 + b"__" + b"0" * 8 + b".png"
_LENGTHS: Final = struct.Struct("<3H")
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
_LONGEST_EXTRA: Final = 65_535
_LONGEST_DESCRIPTOR: Final = 24
_BLOCK: Final = 128 << 10
"""Bytes that are turned into columns at once: what they become meanwhile is ten times as large."""
_ROWS: Final = 16_384


def refusal(name: str, because: str) -> IntegrityError:
    """Say that a zip cannot be read."""
    return IntegrityError(f"{name} cannot be read: {because}", remedy=REMEDY)


@dataclass(frozen=True, slots=True)
class Ends:
    """What the end records say of the directory: where it is in the zip, and its entries."""

    start: int
    size: int
    entries: int
    is_zip64: bool

    @property
    def stop(self) -> int:
        """Where the directory ends, in bytes of the zip."""
        return self.start + self.size


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
    """Members left out: of no mask's name (folders, paths), or of two names, or of a name that
    occurs twice."""
    image: NDArray[np.uint64]
    """The first part of the name as a number, `mid` indexes `mids`, `box` is the last part."""
    mid: NDArray[np.uint32]
    box: NDArray[np.uint32]
    mids: Sequence[str]
    offset: Numbers
    """Where the member's local header begins."""
    stop: Numbers
    """Where the next member or the directory begins, or earlier if that is far off."""
    csize: Numbers
    usize: Numbers
    crc32: NDArray[np.uint32]
    method: NDArray[np.uint16]
    flags: NDArray[np.uint16]

    def __len__(self) -> int:
        """Count the members that were kept."""
        return len(self.offset)

    @property
    def names(self) -> list[str]:
        """Write out the names of all members."""
        return _written(self.image, [self.mids[at] for at in self.mid.tolist()], self.box)

    def rows(self) -> dict[str, int]:
        """Make a look-up of name -> row."""
        return {name: row for row, name in enumerate(self.names)}

    def row(self, name: str) -> int | None:
        """Find one member by its name."""
        if MASK_NAME.fullmatch(name) is None:
            return None
        image, mid, box = int(name[_ID], 16), name[_MID], int(name[_BOX], 16)
        found = ((self.image == image) & (self.box == box)).nonzero()[0].tolist()
        return next((at for at in found if self.mids[int(self.mid[at])] == mid), None)

    def member(self, row: int) -> Member:
        """Give one member.

        Raises:
            IntegrityError: it is encrypted, packed by an unknown method, or larger than
                `LARGEST_MEMBER`.
        """
        mid = self.mids[int(self.mid[row])]
        member = Member(
            _written(self.image[row : row + 1], [mid], self.box[row : row + 1])[0],
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


def _written(image: NDArray[np.uint64], mids: Sequence[str], box: NDArray[np.uint32]) -> list[str]:
    ids, boxes = image.astype(">u8").tobytes().hex(), box.astype(">u4").tobytes().hex()
    return [
        f"{ids[16 * at : 16 * at + 16]}_{mid}_{boxes[8 * at : 8 * at + 8]}.png"
        for at, mid in enumerate(mids)
    ]


def entry_starts(data: bytes, at: int = 0) -> tuple[list[int], int]:
    """Say where in *data* each whole entry begins, from *at* on, and where the last one ends."""
    starts: list[int] = []
    last, size = len(data) - ENTRY_SIZE, len(data)
    lengths = _LENGTHS.unpack_from
    while at <= last:
        named, extra, comment = lengths(data, at + 28)
        after = at + ENTRY_SIZE + named + extra + comment
        if after > size:
            break
        starts.append(at)
        at = after
    return starts, at


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Some entries in their order, as columns, with their names as bytes.

    The name is empty where it is that of no mask.
    """

    names: list[bytes]
    name_length: NDArray[np.uint16]
    extra_length: NDArray[np.uint16]
    comment_length: NDArray[np.uint16]
    offset: Numbers
    csize: Numbers
    usize: Numbers
    crc32: NDArray[np.uint32]
    method: NDArray[np.uint16]
    flags: NDArray[np.uint16]

    @classmethod
    def read(cls, data: bytes, starts: Sequence[int], name: str) -> Fields:
        """Read the entries of the zip *name* that begin at *starts* in *data*.

        Raises:
            IntegrityError: one of them is no entry, or of a zip in several parts.

        """
        import numpy as np  # commands that read no zip should not wait for it

        raw = b"".join([data[at : at + ENTRY_SIZE] for at in starts])
        entries = np.frombuffer(raw, dtype=_ENTRY)
        if (entries["signature"] != _ENTRY_SIGNATURE).any():
            raise refusal(name, "its directory holds something that is no entry")
        if ((entries["disk"] != 0) & (entries["disk"] != _FULL16)).any():
            raise refusal(name, "it is one part of a zip in several parts")
        # in the order in which a ZIP64 field has them
        wide: dict[str, Numbers] = {
            key: entries[key].astype(np.uint32) for key in ("usize", "csize", "offset")
        }
        saturated = np.logical_or.reduce([column == _FULL32 for column in wide.values()])
        if saturated.any():
            wide = {key: column.astype(np.uint64) for key, column in wide.items()}
        for row in np.flatnonzero(saturated).tolist():
            at = starts[row] + ENTRY_SIZE + int(entries["name_length"][row])
            _widen(wide, row, data[at : at + int(entries["extra_length"][row])], name)
        return cls(
            names=_names(data, starts, entries),
            name_length=entries["name_length"].copy(),
            extra_length=entries["extra_length"].copy(),
            comment_length=entries["comment_length"].copy(),
            crc32=entries["crc32"].copy(),
            method=entries["method"].copy(),
            flags=entries["flags"].copy(),
            **wide,
        )


def _names(data: bytes, starts: Sequence[int], entries: NDArray[np.void]) -> list[bytes]:
    lengths = entries["name_length"].tolist()
    begins = [at + ENTRY_SIZE for at in starts]
    names = [data[at : at + size] for at, size in zip(begins, lengths, strict=True)]
    joined = b"\n".join((*names, b""))
    # One match for all: there are as many lines as names, and each is that of a mask.
    if joined.count(b"\n") != len(names) or _NAMES.fullmatch(joined) is None:
        names = [name if _NAME.fullmatch(name) else b"" for name in names]
    if b"up" in data:  # a Unicode path, or by chance: to look at each would take long
        more = entries["extra_length"].tolist()
        for row, (at, size) in enumerate(zip(begins, lengths, strict=True)):
            fields = data[at + size : at + size + more[row]]
            if fields and is_renamed(data[at : at + size], fields):
                names[row] = b""
    return names


def _widen(wide: dict[str, Numbers], row: int, extra: bytes, name: str) -> None:
    """Put the 64-bit numbers of an entry's extra field where the 32-bit ones are saturated."""
    values = zip64_values(extra)
    at = 0
    for column in wide.values():
        if column[row] == _FULL32:
            if at + 8 > len(values):
                raise refusal(name, "a member lacks its ZIP64 sizes")
            column[row] = int.from_bytes(values[at : at + 8], "little")
            at += 8


_NARROW: Final = ("offset", "csize", "usize")
_KINDS: Final = {
    **dict.fromkeys((*_NARROW, "crc32", "box", "mid"), "u4"),
    **dict.fromkeys(("method", "flags", "name_length"), "u2"),
    "image": "u8",
}


@dataclass(slots=True)
class EntryReader:
    """Takes in a directory from its beginning, in pieces of any size, then gives the index."""

    ends: Ends
    name: str
    total: int
    _rest: bytearray = field(default_factory=bytearray)
    _count: int = 0
    _mids: dict[bytes, int] = field(default_factory=dict)
    _columns: dict[str, Any] = field(default_factory=dict)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the directory.

        Raises:
            IntegrityError: they hold something that is no entry.

        """
        view = memoryview(data)
        for first in range(0, len(view), _BLOCK):
            self._rest += view[first : first + _BLOCK]
            # What comes in small pieces is gathered: much is done once for each block.
            if len(self._rest) >= _BLOCK:
                self._cut()

    def _cut(self) -> None:
        """Keep the entries that are here as a whole."""
        block = bytes(self._rest)
        starts, after = entry_starts(block)
        self._rest = bytearray(block[after:])
        if starts:
            self._keep(Fields.read(block, starts, self.name))

    def _keep(self, fields: Fields) -> None:
        import numpy as np

        if not self._columns:
            # As many as there can be: memory that is never written to is none.
            most = self.ends.size // ENTRY_SIZE
            self._columns = {name: np.empty(most, kind) for name, kind in _KINDS.items()}
        texts = [each or _NO_MASK for each in fields.names]
        numbers = self._mids
        first, last = self._count, self._count + len(texts)
        if last > len(self._columns["image"]):
            raise refusal(self.name, "its directory is longer than its end record says")
        self._count = last
        for name, column in self._columns.items():
            if name == "image":
                column[first:last] = _hex(texts, _ID, ">u8")
            elif name == "box":
                column[first:last] = _hex(texts, _BOX, ">u4")
            elif name == "mid":
                mids = [numbers.setdefault(each[_MID], len(numbers)) for each in texts]
                column[first:last] = mids
            else:
                found = getattr(fields, name)
                if found.itemsize > column.itemsize:
                    column = self._columns[name] = column.astype(np.uint64)  # noqa: PLW2901
                column[first:last] = found

    def index(self) -> ZipIndex:
        """Give the index; the reader is empty then.

        Raises:
            IntegrityError: the entries are fewer or more than the zip says, end in the middle, or
                their members overlap.

        """
        import numpy as np

        self._cut()
        if self._rest:
            raise refusal(self.name, "its directory ends in the middle of an entry")
        # writers without ZIP64 let the 16 bits of the count wrap around, and all readers allow it
        modulus = 1 << 64 if self.ends.is_zip64 else 1 << 16
        if self._count % modulus != self.ends.entries % modulus:
            raise refusal(
                self.name,
                f"its directory holds {self._count} members, its end record says"
                f" {self.ends.entries}",
            )
        columns = {
            name: self._columns.pop(name)[: self._count] if self._columns else np.empty(0, kind)
            for name, kind in _KINDS.items()
        }
        offset = columns["offset"]
        if (offset[1:] < offset[:-1]).any():
            order = np.argsort(offset, kind="stable")
            columns = {name: column[order] for name, column in columns.items()}
        columns["stop"] = _stops(columns, self.ends, self.name)
        del columns["name_length"]
        keep = self._masks(columns)
        ignored = int(len(keep) - np.count_nonzero(keep))
        if ignored:
            columns = {name: column[keep] for name, column in columns.items()}
        return ZipIndex(
            name=self.name,
            total=self.total,
            directory_start=self.ends.start,
            ignored=ignored,
            mids=[mid.decode("ascii") for mid in self._mids],
            **columns,
        )

    def _masks(self, columns: dict[str, Any]) -> NDArray[np.bool_]:
        """Pick the rows whose names are those of masks; none of the rows that share a name.

        Readers disagree on which of two members of one name counts, so neither can be trusted; the
        mask is then missing from the zip, which the caller reports.
        """
        import numpy as np

        image, box, mid = columns["image"], columns["box"], columns["mid"]
        keep = np.ones(len(image), dtype=np.bool_)
        if b"" in self._mids:
            keep &= mid != self._mids[b""]
        # Names are compared where a hash of them agrees; image ids are hashes themselves.
        key = image.astype(np.uint32) ^ (box << 7) ^ mid
        ordered = np.sort(key)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return keep
        rows = np.flatnonzero(np.isin(key, twice) & keep)
        seen: dict[tuple[int, int, int], int] = {}
        for row in rows.tolist():
            name = int(image[row]), int(box[row]), int(mid[row])
            if (other := seen.setdefault(name, row)) != row:
                keep[[row, other]] = False
        return keep


def _hex(texts: list[bytes], part: slice, kind: str) -> NDArray[np.unsignedinteger[Any]]:
    """Read a part of each name as a number."""
    import numpy as np

    digits = b"".join([each[part] for each in texts]).decode("ascii")
    return np.frombuffer(bytes.fromhex(digits), dtype=kind)


def _stops(columns: dict[str, Any], ends: Ends, name: str) -> Numbers:
    """Say where the span of each member stops, of members in the order of their offsets."""
    import numpy as np

    offset, csize, name_length = (columns[key] for key in ("offset", "csize", "name_length"))
    found: Numbers = np.empty(len(offset), np.uint32 if ends.start <= _FULL32 else np.uint64)
    # By parts, so that what is worked out on the way takes little memory.
    for first in range(0, len(offset), _ROWS):
        last = min(first + _ROWS, len(offset))
        begin, size = (column[first:last].astype(np.uint64) for column in (offset, csize))
        behind = offset[first + 1 : last + 1]
        if last == len(offset):
            behind = np.append(behind, np.uint64(ends.start))
        following = behind.astype(np.uint64)
        # one comparison after another, as sums and differences of hostile numbers wrap around
        outside = (begin > following).any() or (size > ends.start).any()
        used = size + name_length[first:last] + np.uint64(LOCAL_HEADER)
        if outside or (used > following - begin).any():
            raise refusal(name, "its members overlap one another or its directory")
        found[first:last] = np.minimum(following, reaches(begin, used))
    return found


def reaches(begin: NDArray[np.uint64], used: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Say where a member ends at the latest; what a zip skips over then is not to be fetched."""
    import numpy as np

    return begin + used + np.uint64(_LONGEST_EXTRA + _LONGEST_DESCRIPTOR)
