"""Zips of hundreds of thousands of small members, written faster than `zipfile` can.

The format is that of PKWARE's APPNOTE 6.3: local headers with sizes and CRC, deflated members, and
ZIP64 records where there are more than 65,535 members or 4 GiB.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oidkit.testing.masks import Deflated

__all__ = ["write_zip"]

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_VERSION, _VERSION64 = 20, 45
_MADE_ON_UNIX = 3 << 8 | _VERSION
_DEFLATE = 8
# 30 April 2018, the day of V4, at noon
_DATE, _TIME = (38 << 9) | (4 << 5) | 30, 12 << 11
_MOST_MEMBERS, _MOST_BYTES = 0xFFFF, 0xFFFFFFFF
_BUFFERED = 1 << 20


def write_zip(file: IO[bytes], members: Iterable[tuple[str, Deflated]]) -> int:
    """Write a zip of the members (ASCII name, content) in their order; give how many.

    Raises ValueError above 4 GiB of members, which no mask zip comes near.
    """
    directory: list[bytes] = []
    waiting: list[bytes] = []
    offset = held = 0
    for text, content in members:
        name = text.encode("ascii")
        facts = (_TIME, _DATE, content.crc, len(content.stream), content.size, len(name), 0)
        waiting += (_LOCAL.pack(b"PK\3\4", _VERSION, 0, _DEFLATE, *facts), name, content.stream)
        directory.append(
            _CENTRAL.pack(
                b"PK\1\2",
                _MADE_ON_UNIX,
                _VERSION,
                0,
                _DEFLATE,
                *facts,
                0,
                0,
                0,
                0o644 << 16,
                offset,
            )
            + name
        )
        length = _LOCAL.size + len(name) + len(content.stream)
        offset, held = offset + length, held + length
        if held > _BUFFERED:
            file.write(b"".join(waiting))
            waiting.clear()
            held = 0
    if offset > _MOST_BYTES:
        raise ValueError("a zip of more than 4 GiB needs ZIP64 members, which this does not write")
    file.write(b"".join(waiting))
    listing = b"".join(directory)
    file.write(listing)
    file.write(_ending(len(directory), len(listing), offset))
    return len(directory)


def _ending(count: int, size: int, offset: int) -> bytes:
    """Give the records after the directory, with those of ZIP64 where they are needed."""
    if count < _MOST_MEMBERS and offset + size < _MOST_BYTES:
        return _END.pack(b"PK\5\6", 0, 0, count, count, size, offset, 0)
    end64 = _END64.pack(
        b"PK\6\6", _END64.size - 12, _VERSION64, _VERSION64, 0, 0, count, count, size, offset
    )
    locator = _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
    end = _END.pack(
        b"PK\5\6",
        0,
        0,
        min(count, _MOST_MEMBERS),
        min(count, _MOST_MEMBERS),
        min(size, _MOST_BYTES),
        min(offset, _MOST_BYTES),
        0,
    )
    return end64 + locator + end
