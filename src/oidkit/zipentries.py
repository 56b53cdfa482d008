"""The entries of a zip's directory: their bytes into columns, as they stand there.

Nothing here touches a network or a disk; `oidkit.zipcolumns` puts them together to an index.

The records are those of PKWARE's APPNOTE.TXT 6.3: 4.3.12 directory entry, 4.5.3 the ZIP64 extra
field, 4.6.9 the Unicode path.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from oidkit.errors import IntegrityError
from oidkit.zipmember import (
    REMEDY,
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
    "Fields",
    "entry_starts",
    "reaches",
    "refusal",
]

_PATTERN: Final = r"[0-9a-f]{16}_[mg][0-9a-z_]{2,24}_[0-9a-f]{8}\.png"
MASK_NAME: Final = re.compile(f"^{_PATTERN}$", re.ASCII)
"""A mask's name, for `fullmatch`: image id, MID without slashes, box id; never a path."""
ENTRY_SIZE: Final = 46
"""Bytes of an entry before its name."""

_NAME: Final = re.compile(_PATTERN.encode())
_NAMES: Final = re.compile(rf"(?:{_PATTERN}\n)*".encode())
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


def reaches(begin: NDArray[np.uint64], used: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Say where a member ends at the latest; what a zip skips over then is not to be fetched."""
    import numpy as np

    return begin + used + np.uint64(_LONGEST_EXTRA + _LONGEST_DESCRIPTOR)
