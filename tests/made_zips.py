"""Zips for the tests: written by the zipfile module, by hand, or broken on purpose."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from oidkit.zipindex import DirectoryReader, ZipIndex, extract

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY = b"PK\x05\x06" + bytes(18)


class OneWay(io.RawIOBase):
    """A stream that cannot seek, for which zipfile writes data descriptors."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: object, /) -> int:
        """Take all of the bytes."""
        self.written += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def mask_name(at: int) -> str:
    """Name the mask number *at*, with a MID that has an underscore."""
    return f"{at:016x}_m01_5g_{at:08x}.png"


def contents(count: int) -> dict[str, bytes]:
    """Make masks of different sizes, the first of them empty."""
    seeded = random.Random(count)
    return {mask_name(at): seeded.randbytes(at * 7 % 500) * 2 for at in range(count)}


def zipped(
    members: dict[str, bytes] | Iterable[tuple[str, bytes]],
    *,
    method: int = zipfile.ZIP_DEFLATED,
    comment: bytes = b"",
    zip64: bool = False,
) -> bytes:
    """Write a zip with the zipfile module."""
    out = io.BytesIO()
    pairs = members.items() if isinstance(members, dict) else members
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, content in pairs:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(content)
    return out.getvalue()


def read(data: bytes, *, tail: int = 65_536) -> tuple[ZipIndex, list[tuple[int, int]]]:
    """Feed a reader what it needs, and give the index and the ranges that were asked."""
    reader = DirectoryReader(name="train-masks-0.zip", tail=tail)
    asked: list[tuple[int, int]] = []
    while need := reader.need():
        if need.suffix is not None:
            start, stop = max(0, len(data) - need.suffix), len(data)
        else:
            assert need.start is not None
            assert need.stop is not None
            start, stop = need.start, need.stop
        assert 0 <= start < stop <= len(data)
        asked.append((start, stop))
        reader.feed(data[start:stop], start=start, total=len(data))
        assert len(asked) < 10
    return reader.index(), asked


def everything(index: ZipIndex, data: bytes) -> dict[str, bytes]:
    """Take every member out, each from just the bytes of its span."""
    members = [index.member(row) for row in range(len(index))]
    return {
        each.name: extract(each, data[each.offset : each.stop], start=each.offset)
        for each in members
    }


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """Overwrite bytes of a zip."""
    return data[:at] + value + data[at + len(value) :]


def entry_at(data: bytes, row: int = 0) -> int:
    """Find where the row's directory entry begins in a zip."""
    at = struct.unpack_from("<L", data, data.rindex(b"PK\x05\x06") + 16)[0]
    for _ in range(row):
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    return int(at)


def stored_quickly(count: int, *, zip64: bool) -> bytes:
    """Write a zip of tiny stored members; all 32-bit fields saturated if *zip64*."""
    body, directory = bytearray(), bytearray()
    for at in range(count):
        content, name, offset = b"%d" % at, mask_name(at).encode(), len(body)
        common = (0, 0, 0, 33, zlib.crc32(content))
        size, extra = len(content), b""
        sizes = (size, size, len(name))
        body += struct.pack("<4s5H3L2H", b"PK\3\4", 20, *common, *sizes, 0) + name + content
        if zip64:
            extra = struct.pack("<2H3Q", 1, 24, size, size, offset)
            sizes, offset = (0xFFFFFFFF, 0xFFFFFFFF, len(name)), 0xFFFFFFFF
        directory += struct.pack("<4s6H3L", b"PK\1\2", 20, 20, *common, *sizes[:2])
        directory += struct.pack("<5H2L", len(name), len(extra), 0, 0, 0, 0, offset) + name + extra
    wide = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(body)
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body) + len(directory), 1)
    start = 0xFFFFFFFF if zip64 else len(body)
    size = 0xFFFFFFFF if zip64 else len(directory)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, size, start, 0)
    return bytes(body + directory) + wide + locator + end
