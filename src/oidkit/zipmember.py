"""One member of a mask zip: what the directory says of it, and its content out of fetched bytes.

The local header is that of PKWARE's APPNOTE.TXT 6.3, 4.3.7; the ZIP64 extra field that of 4.5.3,
the Unicode path that of 4.6.9.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from oidkit.errors import IntegrityError

__all__ = [
    "LARGEST_MEMBER",
    "LOCAL_HEADER",
    "REMEDY",
    "Member",
    "check_readable",
    "extract",
    "is_renamed",
    "zip64_values",
]

LARGEST_MEMBER: Final = 16 << 20
"""Bytes of the largest member, packed or unpacked: thousands of times a mean mask."""
REMEDY: Final = (
    "run the same command again; if that does not help, the zip is damaged at the source"
)
"""What to do about any of the errors that a zip raises."""

_LOCAL: Final = struct.Struct("<4s5H3L2H")
LOCAL_HEADER: Final = _LOCAL.size
"""Bytes of a local header before the name."""
_BOTH_SIZES: Final = struct.Struct("<2Q")
_FULL32: Final = 0xFFFFFFFF
_ZIP64: Final = 1
_UNICODE_PATH: Final = 0x7075
_BEFORE_PATH: Final = 5  # a version, and the CRC-32 of the name that it replaces
_STORED: Final = 0
_DEFLATED: Final = 8
_ENCRYPTED: Final = 1 << 0 | 1 << 6 | 1 << 13
_PATCH: Final = 1 << 5
_HAS_DESCRIPTOR: Final = 1 << 3


@dataclass(frozen=True, slots=True)
class Member:
    """One member: bytes [offset, stop) of the zip hold its local header and its packed content."""

    name: str
    offset: int
    stop: int
    csize: int
    usize: int
    crc32: int
    method: int
    flags: int


def extract(member: Member, data: bytes | memoryview, *, start: int) -> bytes:
    """Take a member's content out of bytes [start, start + len(data)) of its zip.

    Args:
        member: what the directory says of it.
        data: bytes of the zip that include the member's whole span.
        start: where in the zip *data* begins.

    Raises:
        IntegrityError: the local header, a size, the CRC-32 or the packed stream does not agree
            with the directory, or *data* does not include the span.
    """
    check_readable(member, where=member.name)
    if not start <= member.offset or start + len(data) < member.stop:
        raise _damaged(member, "its bytes were cut")
    span = memoryview(data)[member.offset - start : member.stop - start]
    packed = _packed(member, span)
    if member.method == _STORED:
        content = bytes(packed)
    else:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # a byte more than there should be, so that too much shows and a bomb does not go off
            content = inflate.decompress(packed, member.usize + 1)
        except zlib.error as error:
            raise _damaged(member, f"it cannot be unpacked ({error})") from error
        if len(content) <= member.usize and (not inflate.eof or inflate.unused_data):
            raise _damaged(member, "its packed stream does not end where it should")
    if len(content) != member.usize:
        raise _damaged(member, f"it is not the {member.usize} bytes that the directory says")
    if zlib.crc32(content) != member.crc32:
        raise _damaged(member, "its CRC-32 does not match")
    return content


def _packed(member: Member, span: memoryview) -> memoryview:
    """Check the local header against the directory, and give the packed bytes behind it."""
    if len(span) < LOCAL_HEADER or bytes(span[:4]) != b"PK\x03\x04":
        raise _damaged(member, "no member begins where the directory says")
    fields = _LOCAL.unpack_from(span)
    _, _, flags, method, _, _, crc32, csize, usize, name_length, extra_length = fields
    begin = LOCAL_HEADER + name_length + extra_length
    if bytes(span[LOCAL_HEADER : LOCAL_HEADER + name_length]) != member.name.encode("ascii"):
        raise _damaged(member, "its local header has another name than the directory")
    if method != member.method or flags & (_ENCRYPTED | _PATCH):
        raise _damaged(member, "its local header says that it is packed otherwise")
    if _FULL32 in (csize, usize):
        values = zip64_values(bytes(span[LOCAL_HEADER + name_length : begin]))
        if len(values) >= _BOTH_SIZES.size:
            usize, csize = _BOTH_SIZES.unpack_from(values)
    said, known = (crc32, csize, usize), (member.crc32, member.csize, member.usize)
    # a header before a data descriptor was written before anything was known, so zeros are fine;
    # the descriptor itself is not read, as the directory repeats it and is checked by content
    unknown = (0,) if flags & _HAS_DESCRIPTOR else ()
    if any(one not in (other, *unknown) for one, other in zip(said, known, strict=True)):
        raise _damaged(member, "its local header has another size or CRC-32 than the directory")
    if begin + member.csize > len(span):
        raise _damaged(member, "it reaches into the next member")
    return span[begin : begin + member.csize]


def check_readable(member: Member, *, where: str) -> None:
    """Refuse a member that is encrypted, a patch, packed by another method, or too large.

    Raises:
        IntegrityError: it is refused; the error calls it *where*.
    """
    because = ""
    if member.flags & _ENCRYPTED:
        because = "it is encrypted"
    elif member.flags & _PATCH:
        because = "it is a patch of another file"
    elif member.method not in (_STORED, _DEFLATED):
        because = f"it is packed by method {member.method}, not stored or deflated"
    elif max(member.csize, member.usize) > LARGEST_MEMBER:
        because = f"{max(member.csize, member.usize)} bytes are too many for a mask"
    if because:
        cause = f"{where} is refused: {because}"
        raise IntegrityError(cause, remedy=REMEDY)


def _damaged(member: Member, because: str) -> IntegrityError:
    return IntegrityError(f"{member.name} is damaged in its zip: {because}", remedy=REMEDY)


def zip64_values(extra: bytes) -> bytes:
    """Find the body of the ZIP64 field among extra fields; empty if there is none."""
    return _field(extra, _ZIP64) or b""


def is_renamed(name: bytes, extra: bytes) -> bool:
    """Whether a Unicode path field gives a member another name, which some readers go by."""
    body = _field(extra, _UNICODE_PATH)
    return body is not None and body[_BEFORE_PATH:] != name


def _field(extra: bytes, wanted: int) -> bytes | None:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == wanted:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return None
