"""The directory of a mask zip as columns: gathered entry by entry, and then looked up.

A mask's name is three numbers: the id of its image, its class and the id of its box. They are kept
as that, so the directory of a train zip takes 7 MB in memory and not the 15 that it has, nor the
130 of an object for each member. Nothing here touches a network or a disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from oidkit.zipentries import ENTRY_SIZE, MASK_NAME, Fields, entry_starts, reaches, refusal
from oidkit.zipmember import LOCAL_HEADER, Member, check_readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from oidkit.zipentries import Ends, Numbers

__all__ = ["EntryReader", "ZipIndex"]

_ID, _MID, _BOX = slice(0, 16), slice(17, -13), slice(-12, -4)
_NO_MASK: Final = b"0" * 16 + b"__" + b"0" * 8 + b".png"
_FULL32: Final = 0xFFFFFFFF
_BLOCK: Final = 128 << 10
"""Bytes that are turned into columns at once: what they become meanwhile is ten times as large."""
_ROWS: Final = 16_384
_KINDS: Final = {
    **dict.fromkeys(("offset", "csize", "usize", "crc32", "box", "mid"), "u4"),
    **dict.fromkeys(("method", "flags", "name_length"), "u2"),
    "image": "u8",
}


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

        self._end()
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

    def _end(self) -> None:
        """Take in what is left; refuse a directory that has not the entries that it should have."""
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
