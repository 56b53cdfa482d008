"""Pictures that are small as files, and take gigabytes or minutes to decode."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

from faults.hostile_zips import zeros

__all__ = ["JPEGS", "MASKS", "OTHERS"]

_SOS = b"\xff\xda"


def _jpeg(side: int, *, progressive: bool = False) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 30)).save(out, "JPEG", progressive=progressive)
    return out.getvalue()


def _resized(data: bytes, width: int, height: int) -> bytes:
    """Write another size into the frame header of a JPEG."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">2H", height, width) + data[at + 9 :]


def _with_scans(count: int, side: int) -> bytes:
    """Repeat the last scan of a progressive JPEG, each of which goes over all pixels."""
    data = _jpeg(side, progressive=True)
    last = data.rindex(_SOS)
    return data[:last] + data[last:-2] * count + data[-2:]


def _with_segments(kind: int, count: int) -> bytes:
    """Put segments of nothing before the first one of a JPEG."""
    data = _jpeg(64)
    return data[:2] + struct.pack(">BBH", 0xFF, kind, 2) * count + data[2:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def _png(width: int, height: int, *chunks: bytes, depth: int = 1, colour: int = 0) -> bytes:
    head = struct.pack(">2L5B", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([_chunk(b"IHDR", head), *chunks, _chunk(b"IEND", b"")])


def _zlib(size: int) -> bytes:
    """Pack zeros as zlib does; nobody gets as far as its checksum."""
    return b"\x78\xda" + zeros(size) + bytes(4)


def _plain() -> bytes:
    """Give the pixels of a sound mask of 64 by 64."""
    return _chunk(b"IDAT", zlib.compress(bytes(9 * 64)))


GIGABYTE = 1 << 30
JPEGS = {
    "65500 by 65500": _resized(_jpeg(64), 65500, 65500),
    "65500 by 65500, progressive": _resized(_jpeg(64, progressive=True), 65500, 65500),
    "13000 by 13000, progressive": _resized(_jpeg(64, progressive=True), 13000, 13000),
    "65535 by 1025": _resized(_jpeg(64), 65535, 1025),
    "three thousand scans": _with_scans(3000, 4000),
    "a million comments": _with_segments(0xFE, 1_000_000),
    "a million profiles": _with_segments(0xE2, 1_000_000),
    "a million fills": _jpeg(64)[:2] + b"\xff" * 1_000_000 + _jpeg(64)[2:],
    "cut after its header": _jpeg(64)[:300],
}
"""JPEGs, or what begins like one."""
MASKS = {
    "65500 by 65500": _png(65500, 65500, _chunk(b"IDAT", _zlib(2 * GIGABYTE))),
    "2^31 by 2^31": _png((1 << 31) - 1, (1 << 31) - 1, _chunk(b"IDAT", _zlib(GIGABYTE))),
    "12000 by 12000 of 16 bits": _png(
        12000, 12000, _chunk(b"IDAT", _zlib(GIGABYTE)), depth=16, colour=6
    ),
    "more pixels than the header says": _png(1000, 1000, _chunk(b"IDAT", _zlib(200 << 20))),
    "far more pixels than the header says": _png(1000, 1000, _chunk(b"IDAT", _zlib(4 * GIGABYTE))),
    "a comment": _png(64, 64, _chunk(b"zTXt", b"Comment\0\0" + _zlib(GIGABYTE)), _plain()),
    "a comment of the world": _png(
        64, 64, _chunk(b"iTXt", b"Comment\0\1\0\0\0" + _zlib(GIGABYTE)), _plain()
    ),
    "a colour profile": _png(64, 64, _chunk(b"iCCP", b"sRGB\0\0" + _zlib(GIGABYTE)), _plain()),
    "a thousand comments": _png(
        64, 64, *[_chunk(b"zTXt", b"Comment\0\0" + _zlib(1 << 20))] * 1000, _plain()
    ),
    "a hundred thousand chunks": _png(64, 64, *[_chunk(b"teSt", b"")] * 100_000, _plain()),
    "a chunk of 2 GB": _png(64, 64) + struct.pack(">L", 0x7FFFFFFF) + b"IDAT" + bytes(99),
}
"""PNGs, in place of masks and of images."""
OTHERS = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n",
    "TIFF": b"II*\0\x08\0\0\0" + bytes(400),
    "GIF": b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(900),
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + zeros(GIGABYTE),
}
"""What is no picture of ours at all."""
