"""Members taken out of mask zips, sound ones and broken ones."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from made_zips import contents, entry_at, mask_name, patched, read, zipped
from oidkit.errors import IntegrityError
from oidkit.zipmember import LARGEST_MEMBER, Member, extract


def one(content: bytes = b"mask" * 50, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make a zip of two masks, the first of which is to be broken."""
    return zipped({mask_name(1): content, mask_name(2): b"fine"}, method=method)


def taken(data: bytes) -> bytes:
    """Take the first mask out of a zip."""
    index, _ = read(data)
    member = index.member(0)
    return extract(member, data[member.offset : member.stop], start=member.offset)


@pytest.mark.parametrize(
    ("offset", "value", "because"),
    [
        (0, b"XX", "no member begins"),
        (6, b"\x01\0", "packed otherwise"),
        (8, b"\0\0", "packed otherwise"),
        (14, b"\1\2\3\4", "another size or CRC-32"),
        (18, b"\1\2\3\4", "another size or CRC-32"),
        (22, b"\1\2\3\4", "another size or CRC-32"),
        # Zeros are fine in front of a data descriptor alone.
        (14, bytes(12), "another size or CRC-32"),
        (26, b"\1\0", "another name"),
        (28, b"\xff\xff", "reaches into the next"),
        (30, b"f", "another name"),
    ],
    ids=[
        *("signature", "encrypted", "method", "crc", "csize", "usize", "zeros"),
        *("length", "extra", "name"),
    ],
)
def test_a_local_header_that_disagrees_is_refused(offset: int, value: bytes, because: str) -> None:
    """Each field of the local header is laid beside the directory."""
    with pytest.raises(IntegrityError, match=because) as caught:
        taken(patched(one(), offset, value))
    assert mask_name(1) in str(caught.value)


@pytest.mark.parametrize(
    ("offset", "value", "because"),
    [
        (8, b"\x01\0", "encrypted"),
        (8, b"\x40\0", "encrypted"),
        (10, b"\x0c\0", "method 12"),
        (24, struct.pack("<L", LARGEST_MEMBER + 1), "too many for a mask"),
    ],
    ids=["encrypted", "strongly encrypted", "bzip2", "bomb"],
)
def test_a_member_that_no_mask_is_stays_in_the_index_and_is_refused_alone(
    offset: int, value: bytes, because: str
) -> None:
    """One such member does not spoil the others of its zip; the error names member and zip."""
    data = one()
    data = patched(data, entry_at(data) + offset, value)
    index, _ = read(data)
    assert len(index) == 2
    with pytest.raises(IntegrityError, match=because) as caught:
        index.member(0)
    assert f"{mask_name(1)} in train-masks-0.zip" in str(caught.value)
    second = index.member(1)
    assert extract(second, data, start=0) == b"fine"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_content_that_does_not_match_its_crc_is_refused(method: int) -> None:
    """A changed byte of content is found, whatever the packing."""
    data = one(random.Random(1).randbytes(300), method=method)
    at = 30 + len(mask_name(1)) + 150
    with pytest.raises(IntegrityError, match=r"CRC-32|unpacked|stream|bytes that"):
        taken(patched(data, at, bytes([data[at] ^ 1])))


def both_sizes(data: bytes, *, usize: int) -> bytes:
    """Let both headers of the first member agree on a wrong size."""
    value = struct.pack("<L", usize)
    return patched(patched(data, 22, value), entry_at(data) + 24, value)


@pytest.mark.parametrize("usize", [0, 10, 199, 201, 5_000])
def test_a_stream_of_another_length_than_both_headers_say_is_refused(usize: int) -> None:
    """Longer content is not even unpacked to its end, shorter content is not passed off."""
    with pytest.raises(IntegrityError, match="bytes that the directory says"):
        taken(both_sizes(one(), usize=usize))


def test_a_bomb_is_not_unpacked() -> None:
    """A stream of 64 MiB that claims to be 100 bytes takes no memory to refuse."""
    data = both_sizes(one(bytes(64 << 20)), usize=100)
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="100 bytes that the directory says"):
        taken(data)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_garbage_behind_the_packed_stream_is_refused() -> None:
    """A member whose packed size holds more than its stream has something hidden in it."""
    content = b"mask" * 50
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(content) + packer.flush() + b"hidden"
    member, span = by_hand(content, packed)
    with pytest.raises(IntegrityError, match="does not end where it should"):
        extract(member, span, start=0)
    whole, span = by_hand(content, packed[:-6])
    assert extract(whole, span, start=0) == content
    short, span = by_hand(content, packed[:-7])
    with pytest.raises(IntegrityError, match=r"does not end|bytes that the directory says"):
        extract(short, span, start=0)


def by_hand(content: bytes, packed: bytes) -> tuple[Member, bytes]:
    """Make a deflated member of any packed bytes, and its span."""
    name = mask_name(1).encode()
    crc = zlib.crc32(content)
    sizes = (len(packed), len(content))
    header = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, *sizes, len(name), 0)
    span = header + name + packed
    return Member(mask_name(1), 0, len(span), *sizes, crc, 8, 0), span


def test_a_member_comes_out_of_a_merged_range_and_of_a_view() -> None:
    """The bytes may begin before and end behind the member, and need not be copied first."""
    data = zipped(contents(9))
    index, _ = read(data)
    member = index.member(4)
    expected = contents(9)[member.name]
    assert extract(member, data, start=0) == expected
    begin = member.offset - 3
    assert extract(member, memoryview(data)[begin : member.stop + 5], start=begin) == expected


def test_bytes_that_do_not_hold_the_whole_member_are_refused() -> None:
    """A range that begins too late or ends too early."""
    data = zipped(contents(9))
    member = read(data)[0].member(4)
    for start, stop in ((member.offset + 1, member.stop), (member.offset, member.stop - 1)):
        with pytest.raises(IntegrityError, match="its bytes were cut"):
            extract(member, data[start:stop], start=start)
