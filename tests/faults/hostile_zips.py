"""Zips that no honest program writes, made by hand of the masks of an honest one.

Each case is a function from the members of a mask zip, by name and in order, to the bytes of a
hostile zip. The first member is the victim. `CASES` tells for each what has to become of the
victim and of the others: read as `zipfile` reads them, refused, or missing.

The records are those of PKWARE's APPNOTE.TXT 6.3.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["CASES", "Case", "Members", "bomb", "zeros"]

Members = Mapping[str, bytes]
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Header:
    """The fields that a local header and a directory entry share, as they are written."""

    name: bytes
    flags: int = 0
    method: int = 8
    crc: int = 0
    csize: int = 0
    usize: int = 0
    extra: bytes = b""


@dataclass(frozen=True)
class Part:
    """One member as it is written: its two headers, and what stands between them and after."""

    local: Header
    central: Header
    packed: bytes
    behind: bytes = b""
    before: bytes = b""
    needed: int = 20
    disk: int = 0
    external: int = 0
    comment: bytes = b""
    offset: int | None = None
    signature: bytes = b"PK\3\4"


@dataclass(frozen=True)
class End:
    """The end of a zip; numbers that are None are the true ones."""

    disk: int = 0
    count: int | None = None
    size: int | None = None
    start: int | None = None
    comment: bytes = b""
    comment_length: int | None = None
    prefix: bytes = b""
    suffix: bytes = b""
    before_end: bytes = b""
    wide: Mapping[str, int] | None = None
    order: Callable[[list[bytes]], list[bytes]] = field(default=lambda entries: entries)


def deflated(data: bytes) -> bytes:
    """Pack without a header."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(data) + squeeze.flush()


def sound(name: str | bytes, content: bytes, method: int = 8) -> Part:
    """Make an honest member."""
    packed = deflated(content) if method else content
    raw = name if isinstance(name, bytes) else name.encode()
    header = Header(raw, 0, method, zlib.crc32(content), len(packed), len(content))
    return Part(header, header, packed)


def all_sound(members: Members, method: int = 8) -> list[Part]:
    """Make honest members."""
    return [sound(name, content, method) for name, content in members.items()]


def _header(header: Header) -> tuple[bytes, bytes]:
    front = struct.pack("<2H2H3L", header.flags, header.method, 0, 33, header.crc, *_sizes(header))
    return front, struct.pack("<2H", len(header.name), len(header.extra))


def _sizes(header: Header) -> tuple[int, int]:
    return header.csize & FULL32, header.usize & FULL32


def assembled(parts: list[Part], end: End | None = None) -> bytes:
    """Write the members, the directory and the end record."""
    end = end or End()
    body, entries = bytearray(), []
    for part in parts:
        body += part.before
        offset = len(body) if part.offset is None else part.offset
        front, lengths = _header(part.local)
        body += part.signature + struct.pack("<H", part.needed) + front + lengths
        body += part.local.name + part.local.extra + part.packed + part.behind
        front, lengths = _header(part.central)
        entries.append(
            b"PK\1\2"
            + struct.pack("<2H", 0x0300 | part.needed, part.needed)
            + front
            + lengths
            + struct.pack("<3H2L", len(part.comment), part.disk, 0, part.external, offset & FULL32)
            + part.central.name
            + part.central.extra
            + part.comment
        )
    directory = b"".join(end.order(entries))
    made = bytes(body) + directory + end.before_end
    return end.prefix + made + _end(end, len(entries), len(directory), len(body)) + end.suffix


def _end(end: End, entries: int, length: int, begin: int) -> bytes:
    count = entries if end.count is None else end.count
    size = length if end.size is None else end.size
    start = begin if end.start is None else end.start
    wide = b""
    if end.wide is not None:
        told = {"count": entries, "size": length, "start": begin, "at": begin + length}
        told |= {"disks": 1, "length": 44} | dict(end.wide)
        wide = struct.pack(
            "<4sQ2H2L4Q",
            b"PK\6\6",
            told["length"] & (1 << 64) - 1,
            45,
            45,
            0,
            0,
            *(told[name] & (1 << 64) - 1 for name in ("count", "count", "size", "start")),
        )
        wide += struct.pack("<4sLQL", b"PK\6\7", 0, told["at"] & (1 << 64) - 1, told["disks"])
    comment = len(end.comment) if end.comment_length is None else end.comment_length
    numbers = (end.disk, end.disk, count & FULL16, count & FULL16, size & FULL32, start & FULL32)
    return wide + struct.pack("<4s4H2LH", b"PK\5\6", *numbers, comment) + end.comment


# -- changes of one member ------------------------------------------------------------------------


def victim(change: Callable[[Part], Part], method: int = 8) -> Callable[[Members], bytes]:
    """Change the first member."""

    def make(members: Members) -> bytes:
        first, *others = all_sound(members, method)
        return assembled([change(first), *others])

    return make


def both(**fields: object) -> Callable[[Members], bytes]:
    """Write something into both headers of the victim."""
    return victim(lambda part: _both(part, **fields))


def _both(part: Part, **fields: object) -> Part:
    return replace(
        part,
        local=replace(part.local, **fields),  # type: ignore[arg-type]
        central=replace(part.central, **fields),  # type: ignore[arg-type]
    )


def local(**fields: object) -> Callable[[Members], bytes]:
    """Write something into the local header of the victim alone."""
    return victim(lambda part: replace(part, local=replace(part.local, **fields)))  # type: ignore[arg-type]


def central(**fields: object) -> Callable[[Members], bytes]:
    """Write something into the directory entry of the victim alone."""
    return victim(lambda part: replace(part, central=replace(part.central, **fields)))  # type: ignore[arg-type]


def around(**fields: object) -> Callable[[Members], bytes]:
    """Write something else about the victim."""
    return victim(lambda part: replace(part, **fields))  # type: ignore[arg-type]


def sized(kind: str, by: int, method: int = 8) -> Callable[[Members], bytes]:
    """Let both headers lie about a size."""
    return victim(lambda part: _both(part, **{kind: getattr(part.local, kind) + by}), method)


def repacked(method: int, pack: Callable[[bytes], bytes]) -> Callable[[Members], bytes]:
    """Pack the victim in another way."""

    def change(part: Part) -> Part:
        packed = pack(zlib.decompress(part.packed, -15))
        return replace(_both(part, method=method, csize=len(packed)), packed=packed)

    return victim(change)


def named(rename: Callable[[bytes], bytes]) -> Callable[[Members], bytes]:
    """Give the victim another name, in both headers."""
    return victim(lambda part: _both(part, name=rename(part.local.name)))


def ended(end: End, method: int = 8) -> Callable[[Members], bytes]:
    """Write honest members and a hostile end."""
    return lambda members: assembled(all_sound(members, method), end)


def with_more(*more: tuple[str | bytes, bytes]) -> Callable[[Members], bytes]:
    """Put members beside the honest ones."""
    return lambda members: assembled([*all_sound(members), *(sound(n, c) for n, c in more)])


def changed(change: Callable[[bytes], bytes]) -> Callable[[Members], bytes]:
    """Change the bytes of an honest zip."""
    return lambda members: change(assembled(all_sound(members)))


# -- descriptors and ZIP64 ------------------------------------------------------------------------


def descriptor(part: Part, *, signed: bool = True, wide: bool = False) -> Part:
    """Tell sizes and CRC behind the content alone, as a writer that cannot seek does."""
    known = part.central
    behind = b"PK\7\b" if signed else b""
    behind += struct.pack("<L2Q" if wide else "<3L", known.crc, known.csize, known.usize)
    bare = replace(part.local, flags=8, crc=0, csize=0, usize=0)
    return replace(part, local=bare, central=replace(known, flags=8), behind=behind)


def zip64(
    *fields: str, lie: Mapping[str, int] | None = None, cut: int = 0
) -> Callable[[Members], bytes]:
    """Move fields of the victim's directory entry into a ZIP64 field, perhaps with a lie."""

    def change(part: Part) -> Part:
        true = {"usize": part.central.usize, "csize": part.central.csize, "offset": 0}
        told = true | dict(lie or {})
        values = b"".join(
            struct.pack("<Q", told[f] & (1 << 64) - 1)
            for f in ("usize", "csize", "offset")
            if f in fields
        )
        values = values[: len(values) - cut]
        full: dict[str, Any] = {f: FULL32 for f in fields if f != "offset"}
        extra = struct.pack("<2H", 1, len(values)) + values
        offset = FULL32 if "offset" in fields else None
        return replace(
            part, central=replace(part.central, extra=extra, **full), needed=45, offset=offset
        )

    return victim(change)


def zip64_everywhere(members: Members) -> bytes:
    """Move every number of every header into ZIP64 fields."""
    made, at = [], 0
    for part in all_sound(members):
        sizes = struct.pack("<2Q", part.local.usize, part.local.csize)
        wide_local = replace(
            part.local, csize=FULL32, usize=FULL32, extra=struct.pack("<2H", 1, 16) + sizes
        )
        extra = struct.pack("<2H", 1, 24) + sizes + struct.pack("<Q", at)
        wide = replace(part.central, csize=FULL32, usize=FULL32, extra=extra)
        made.append(replace(part, local=wide_local, central=wide, offset=FULL32, needed=45))
        at += 30 + len(part.local.name) + len(wide_local.extra) + len(part.packed)
    return assembled(made, End(count=FULL16, size=FULL32, start=FULL32, wide={}))


# -- overlaps -------------------------------------------------------------------------------------


def overlap_full(members: Members) -> bytes:
    """Let every entry of the directory point to the content of the first member."""
    first, *others = all_sound(members)
    return assembled(
        [first]
        + [
            replace(
                each,
                central=replace(first.central, name=each.central.name),
                offset=0,
            )
            for each in others
        ]
    )


def overlap_quoted(members: Members) -> bytes:
    """Quote each next local header in a deflate block, so that all share one content (CVE-2024).

    This is the zip bomb of D. Fifield: every member is sound for itself.
    """
    names = list(members)
    kernel = deflated(b"\0" * 1_000_000)
    made, content, packed = [], b"\0" * 1_000_000, kernel
    for name in reversed(names):
        header = Header(name.encode(), 0, 8, zlib.crc32(content), len(packed), len(content))
        front, lengths = _header(header)
        whole = b"PK\3\4" + struct.pack("<H", 20) + front + lengths + header.name
        made.append((header, len(whole)))
        # a stored block that is not the last one: what it quotes becomes content
        quote = struct.pack("<B2H", 0, len(whole), len(whole) ^ FULL16)
        content, packed = whole + content, quote + whole + packed
    body, entries, offset = packed[5:], b"", 0
    for header, length in reversed(made):
        front, lengths = _header(header)
        entries += b"PK\1\2" + struct.pack("<2H", 20, 20) + front + lengths
        entries += struct.pack("<3H2L", 0, 0, 0, 0, offset) + header.name
        offset += length + 5
    count = len(names)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(entries), len(body), 0)
    return body + entries + end


def fake_end(members: Members) -> bytes:
    """Put a whole directory with other content, and its end record, into the comment."""
    true = assembled(all_sound(members))
    fake = assembled(all_sound(dict.fromkeys(members, b"another content")))
    comment = fake[:60_000]
    return true[:-2] + struct.pack("<H", len(comment) + 4) + comment + b"tail"


def two_zips(members: Members) -> bytes:
    """Append a zip of the same names and another content."""
    other = assembled(all_sound(dict.fromkeys(members, b"another content")))
    return assembled(all_sound(members)) + other


def duplicated(content: bytes | None) -> Callable[[Members], bytes]:
    """Write the victim twice, the second time with another content."""

    def make(members: Members) -> bytes:
        first = next(iter(members))
        again = members[first] if content is None else content
        return assembled([*all_sound(members), sound(first, again)])

    return make


def unicode_path(members: Members) -> bytes:
    """Name the victim in the Unicode path field, which some readers prefer, in another way."""
    first, *others = all_sound(members)
    raw = first.central.name
    other = b"../../" + raw
    body = struct.pack("<BL", 1, zlib.crc32(raw)) + other
    extra = struct.pack("<2H", 0x7075, len(body)) + body
    return assembled([_both(first, extra=extra), *others])


def encrypted_directory(members: Members) -> bytes:
    """Write no directory that can be read, as PKWARE's encryption of it does."""
    whole = bytearray(assembled(all_sound(members)))
    start = struct.unpack_from("<L", whole, len(whole) - 6)[0]
    for at in range(start, len(whole) - 22):
        whole[at] ^= 0x5A
    return bytes(whole)


def bomb(size: int) -> Callable[[Members], bytes]:
    """Let the victim be zeros, gigabytes when unpacked, with headers that say so or not."""

    def change(part: Part) -> Part:
        packed = zeros(size)
        said = min(size, FULL32 - 1)
        return replace(_both(part, csize=len(packed), usize=said, crc=0), packed=packed)

    return victim(change)


def zeros(size: int) -> bytes:
    """Pack so many zeros, in whole megabytes, without ever holding them."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    # after a full flush nothing points back, so that the same bytes unpack to the same again
    piece = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return piece * (size >> 20) + b"\x03\x00"


def sly_bomb(members: Members) -> bytes:
    """Let the victim unpack to 64 MB, while both headers promise a mask."""
    first, *others = all_sound(members)
    packed = zeros(64 << 20)
    return assembled([replace(_both(first, csize=len(packed)), packed=packed), *others])


def nested(members: Members) -> bytes:
    """Put zips into zips, as in 42.zip, the innermost a bomb."""
    inner = assembled([sound("0.dll", bytes(1 << 20))])
    for level in range(5):
        inner = assembled([sound(f"lib {level}-{nth}.zip", inner) for nth in range(8)])
    return with_more(("lib.zip", inner))(members)


# -- the cases ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """How a zip is made, and what has to become of its victim and of its other members.

    read: as `zipfile` reads it. refused: damaged. missing: not there, as far as anybody can tell.
    """

    make: Callable[[Members], bytes]
    victim: str
    others: str = "read"


def _read(make: Callable[[Members], bytes]) -> Case:
    return Case(make, "read")


def _one(make: Callable[[Members], bytes]) -> Case:
    return Case(make, "refused")


def _missing(make: Callable[[Members], bytes]) -> Case:
    return Case(make, "missing")


def _whole(make: Callable[[Members], bytes]) -> Case:
    return Case(make, "refused", "refused")


def _front(text: bytes) -> Case:
    return _missing(named(lambda name: text + name))


CASES: dict[str, Case] = {
    # what odd but honest writers make
    "stored": _read(lambda members: assembled(all_sound(members, 0))),
    "deflated": _read(changed(bytes)),
    "descriptors": _read(lambda m: assembled([descriptor(p) for p in all_sound(m)])),
    "descriptors without a signature": _read(
        lambda m: assembled([descriptor(p, signed=False) for p in all_sound(m)])
    ),
    "wide descriptors": _read(
        lambda m: assembled([descriptor(p, wide=True) for p in all_sound(m)])
    ),
    "a descriptor that lies": _read(
        victim(lambda part: replace(descriptor(part), behind=b"PK\7\b" + b"\xff" * 12))
    ),
    "zip64 end records": _read(ended(End(wide={}))),
    "zip64 everywhere": _read(zip64_everywhere),
    "zip64 for one size": _read(zip64("usize")),
    "zip64 for both sizes": _read(zip64("usize", "csize")),
    "zip64 for the offset": _read(zip64("offset")),
    "a comment": _read(ended(End(comment=b"made by hand"))),
    "the longest comment": _read(ended(End(comment=b"x" * FULL16))),
    "a comment that is an end record": _read(fake_end),
    "a comment of signatures": _read(ended(End(comment=b"PK\5\6" * 5000))),
    "a directory in another order": _read(ended(End(order=lambda each: each[::-1]))),
    "gaps between the members": _read(around(behind=b"\0" * 5000)),
    "a spanning marker": _read(around(before=b"PK00")),
    "folders": _read(with_more(("masks/", b""), ("a/b/", b""))),
    "empty members": _read(with_more(("empty", b""), ("other.png", b""))),
    "foreign members": _read(with_more(("README.txt", b"hello"), ("__MACOSX/._a.png", b"x"))),
    "names of no encoding": _read(with_more((b"\xff\xfe\x80.png", b"x"), (b"\xc3\x28", b"y"))),
    "a lie of UTF-8": _read(both(flags=1 << 11)),
    "an empty name beside": _read(with_more((b"", b"x"))),
    "climbing names beside": _read(
        with_more(("../evil.png", b"x"), ("/evil.png", b"y"), ("..\\evil.png", b"z"))
    ),
    "attributes of a link": _read(around(external=0o120777 << 16)),
    "attributes of a folder": _read(around(external=0o040777 << 16 | 0x10)),
    "attributes of a device": _read(around(external=0o060777 << 16)),
    "setuid": _read(around(external=0o106777 << 16)),
    "unknown extra fields": _read(both(extra=struct.pack("<2H", 0xCAFE, 4) + b"abcd")),
    "a long extra field in the local header": _read(
        victim(lambda p: replace(p, local=replace(p.local, extra=b"x" * 60_000)))
    ),
    "comments of members": _read(around(comment=b"PK\1\2" * 100)),
    "nested zips": _read(nested),
    # one member is not to be trusted
    "a wrong CRC-32 in the directory": _one(central(crc=0x12345678)),
    "a wrong CRC-32 in both": _one(both(crc=0x12345678)),
    "a wrong CRC-32 in the local header": _one(local(crc=0x12345678)),
    "a packed size too small": _one(sized("csize", -1)),
    "a packed size too small, stored": _one(sized("csize", -1, 0)),
    "a packed size too large": Case(sized("csize", 1), "refused", "refused"),
    "a packed size of nothing": _one(both(csize=0)),
    "a size too small": _one(sized("usize", -1)),
    "a size too large": _one(sized("usize", 1)),
    "a size of nothing": _one(both(usize=0)),
    "a size too large, stored": _one(sized("usize", 1, 0)),
    "other sizes in the local header": _one(local(csize=1, usize=1)),
    "another name in the local header": _one(
        victim(lambda p: replace(p, local=replace(p.local, name=p.local.name[::-1])))
    ),
    "a longer name in the local header": _one(
        victim(lambda p: replace(p, local=replace(p.local, name=b"../" + p.local.name)))
    ),
    "another method in the local header": _one(local(method=0)),
    "encrypted by the local header": _one(local(flags=1)),
    "no local header": _one(around(signature=b"PK\3\5")),
    "encrypted": _one(both(flags=1)),
    "strongly encrypted": _one(both(flags=1 << 6 | 1)),
    "strongly encrypted alone": _one(both(flags=1 << 6)),
    "masked headers": _one(both(flags=1 << 13)),
    "patched data": _one(both(flags=1 << 5)),
    "AES": _one(both(flags=1, method=99)),
    "bzip2": _one(repacked(12, bz2.compress)),
    "lzma": _one(repacked(14, lambda data: lzma.compress(data, lzma.FORMAT_ALONE))),
    "deflate64": _one(both(method=9)),
    "imploded": _one(both(method=6)),
    "zstandard": _one(both(method=93)),
    "an unknown method": _one(both(method=65_000)),
    "a stream that is cut": _one(
        victim(lambda p: replace(_both(p, csize=len(p.packed) - 4), packed=p.packed[:-4]))
    ),
    "a stream with more behind": _one(
        victim(lambda p: replace(_both(p, csize=len(p.packed) + 9), packed=p.packed + b"x" * 9))
    ),
    "noise for a stream": _one(
        victim(lambda p: replace(_both(p, csize=999), packed=bytes(range(27)) * 37))
    ),
    "a bomb of 64 MB": _one(bomb(64 << 20)),
    "a bomb that promises a mask": _one(sly_bomb),
    # the victim's name is no mask's, or nobody can say which member it is
    "a duplicate of the same content": _missing(duplicated(None)),
    "a duplicate of another content": _missing(duplicated(b"another content")),
    "a name that climbs": _front(b"../"),
    "a name that climbs far": _front(b"../../../../../../etc/"),
    "an absolute name": _front(b"/"),
    "a drive letter": _front(b"C:/"),
    "a drive letter and backslashes": _front(b"C:\\windows\\"),
    "backslashes": _front(b"..\\"),
    "a share": _front(b"\\\\host\\share\\"),
    "a dot": _front(b"./"),
    "a folder": _front(b"masks/"),
    "a NUL in front": _front(b"\0"),
    "a line end in front": _front(b"\n"),
    "a NUL and more": _missing(named(lambda name: name + b"\0.txt")),
    "a stream of NTFS": _missing(named(lambda name: name + b":evil")),
    "a trailing space": _missing(named(lambda name: name + b" ")),
    "a line end": _missing(named(lambda name: name + b"\n")),
    "upper case": _missing(named(bytes.upper)),
    "an empty name": _missing(named(lambda _: b"")),
    "a name of 60 kB": _missing(named(lambda name: b"a" * 60_000 + name)),
    "another name in the Unicode field": _missing(unicode_path),
    # the whole of it is not to be trusted
    "overlapping members": _whole(overlap_full),
    "quoted overlap": _whole(overlap_quoted),
    "a cut end record": _whole(changed(lambda data: data[:-1])),
    "half an end record": _whole(changed(lambda data: data[:-11])),
    "no end record": _whole(changed(lambda data: data[:-22])),
    "a cut directory": _whole(changed(lambda data: data[:-80])),
    "half of it": _whole(changed(lambda data: data[: len(data) // 2])),
    "nothing": _whole(changed(lambda _: b"")),
    "an end record and nothing": Case(
        changed(lambda data: b"PK\5\6" + bytes(18)), "missing", "missing"
    ),
    "two zips": _whole(two_zips),
    "bytes before the zip": _whole(changed(lambda data: b"#!/bin/sh\nexit\n" + data)),
    "bytes behind the zip": _whole(changed(lambda data: data + b"garbage")),
    "a zip within a longer file": _whole(changed(lambda data: b"MZ" * 999 + data + b"\0" * 999)),
    "a directory beyond the file": _whole(ended(End(start=0x7FFFFFFF))),
    "a directory at the last byte of 32 bits": _whole(ended(End(start=FULL32))),
    "a directory of 4 GB": _whole(ended(End(size=FULL32))),
    "a directory of nothing": _whole(ended(End(size=0))),
    "a count too small": _whole(ended(End(count=1))),
    "a count too large": _whole(ended(End(count=40_000))),
    "a count of nothing": _whole(ended(End(count=0))),
    "the third disk": _whole(ended(End(disk=3))),
    "a member of another disk": _whole(around(disk=7)),
    "a comment that is too long": _whole(ended(End(comment=b"abc", comment_length=999))),
    "a comment that is too short": _whole(ended(End(comment=b"abcdef", comment_length=2))),
    "a signature behind the directory": _whole(
        ended(End(before_end=b"PK\5\5" + struct.pack("<H", 4) + b"sign"))
    ),
    "zip64: 2^63 members": _whole(ended(End(count=FULL16, wide={"count": 1 << 63}))),
    "zip64: a directory of 2^63 bytes": _whole(ended(End(size=FULL32, wide={"size": 1 << 63}))),
    "zip64: a directory at 2^64 - 1": _whole(ended(End(start=FULL32, wide={"start": -1}))),
    "zip64: sums that wrap around": _whole(
        ended(End(start=FULL32, size=FULL32, wide={"start": -4096, "size": 8192}))
    ),
    "zip64: a record beyond the file": _whole(ended(End(wide={"at": 1 << 40}))),
    "zip64: a record at 2^64 - 1": _whole(ended(End(wide={"at": -1}))),
    "zip64: a record at 0": _whole(ended(End(wide={"at": 0}))),
    "zip64: a record of 2^64 bytes": _whole(ended(End(wide={"length": -1}))),
    "zip64: other numbers than the end record": _whole(ended(End(wide={"count": 1}))),
    "zip64: many disks": _whole(ended(End(wide={"disks": 3}))),
    "zip64: a size of 2^63": _one(zip64("usize", lie={"usize": 1 << 63})),
    "zip64: a packed size of 2^64 - 1": _whole(zip64("csize", lie={"csize": -1})),
    "zip64: an offset of 2^63": _whole(zip64("offset", lie={"offset": 1 << 63})),
    "zip64: an offset of 2^64 - 30": _whole(zip64("offset", lie={"offset": -30})),
    "zip64: a field that is cut": _whole(zip64("usize", "csize", cut=4)),
    "zip64: a field that is not there": _whole(central(usize=FULL32)),
    "an offset beyond the file": _whole(around(offset=0x70000000)),
    "an entry that is none": _whole(changed(lambda data: data.replace(b"PK\1\2", b"PK\1\3", 1))),
    "an encrypted directory": _whole(encrypted_directory),
    "a name beyond the directory": _whole(changed(lambda data: data.replace(b"PK\5\6", b"PK\5\5"))),
    "no name in the local header": _whole(local(name=b"")),
    "a web page": _whole(changed(lambda _: b"<!DOCTYPE html><title>Sign in</title>" * 99)),
    "a gzip": _whole(changed(lambda data: b"\x1f\x8b\x08" + data)),
    "zeros": _whole(changed(lambda data: bytes(len(data)))),
}
