"""Zip directories read by range, against the zipfile module."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_zips import (
    EMPTY,
    OneWay,
    contents,
    entry_at,
    everything,
    mask_name,
    patched,
    read,
    stored_quickly,
    zipped,
)
from oidkit.errors import IntegrityError
from oidkit.zipindex import MASK_NAME, DirectoryReader, Need, ZipIndex, extract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


# ------------------------------------------------------------------------------------ sound zips


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("comment", [b"", b"made by hand", b"x" * 65_535])
def test_members_are_those_of_the_zipfile_module(
    method: int, comment: bytes, *, zip64: bool
) -> None:
    """Stored or deflated, with ZIP64 headers or comments: same names, same bytes."""
    data = zipped(contents(60), method=method, comment=comment, zip64=zip64)
    index, _ = read(data)
    with zipfile.ZipFile(io.BytesIO(data)) as oracle:
        assert everything(index, data) == {each: oracle.read(each) for each in oracle.namelist()}
        assert [(int(a), int(b), int(c), int(d)) for a, b, c, d in columns(index)] == [
            (each.header_offset, each.compress_size, each.file_size, each.CRC)
            for each in oracle.infolist()
        ]
        assert index.directory_start == oracle.start_dir
    assert (index.ignored, index.total) == (0, len(data))


def columns(index: ZipIndex) -> Iterable[tuple[int, int, int, int]]:
    """Go over offset, both sizes and CRC-32 of every row."""
    return zip(index.offset, index.csize, index.usize, index.crc32, strict=True)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_with_data_descriptors_are_read(method: int) -> None:
    """A zip written to a pipe has its sizes behind each member; the span holds them too."""
    stream = OneWay()
    expected = contents(20)
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in expected.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    data = bytes(stream.written)
    index, _ = read(data)
    assert not [row for row in range(20) if not index.flags[row] & 8]
    assert everything(index, data) == expected


def test_spans_cover_the_zip_up_to_its_directory_without_overlap() -> None:
    """Each span stops where the next begins, the last where the directory begins."""
    data = zipped(contents(40))
    index, _ = read(data)
    assert index.offset[0] == 0
    assert index.stop[:-1].tolist() == index.offset[1:].tolist()
    assert index.stop[-1] == index.directory_start


def test_bytes_that_no_member_uses_are_not_part_of_a_span() -> None:
    """What lies between members, as after a deletion, is not fetched beyond the longest header."""
    big = ("notes.txt", b"x" * 500_000)
    data = zipped([(mask_name(1), b"one"), big, (mask_name(2), b"two")], method=0)
    hole = data.index(b"notes.txt") - 30
    gone = entry_at(data, 1)
    cut = patched(data, len(data) - 14, struct.pack("<HH", 2, 2))  # entries of the end record
    size = struct.unpack_from("<L", data, len(data) - 10)[0] - 46 - len("notes.txt")
    cut = patched(cut, len(data) - 10, struct.pack("<L", size))
    cut = cut[:gone] + cut[gone + 46 + len("notes.txt") :]
    index, _ = read(cut)
    assert everything(index, cut) == {mask_name(1): b"one", mask_name(2): b"two"}
    assert hole <= index.stop[0] <= hole + 65_535 + 24


def test_an_empty_zip_has_no_members() -> None:
    """The 22 bytes that many published shards of a small mirror are."""
    index, asked = read(EMPTY)
    assert (len(index), index.ignored, index.total, asked) == (0, 0, 22, [(0, 22)])
    assert index.rows() == {}


def test_the_real_masks_of_the_sample_come_out_whole(sample: Path) -> None:
    """All 48 real zips read as zipfile reads them, and every mask is a PNG."""
    paths = sorted((sample / "openimages" / "v5").glob("*-masks/*.zip"))
    assert len(paths) == 48
    masks = 0
    for path in paths:
        data = path.read_bytes()
        found = everything(read(data)[0], data)
        with zipfile.ZipFile(path) as oracle:
            assert found == {each: oracle.read(each) for each in oracle.namelist()}
        assert not [each for each in found.values() if not each.startswith(b"\x89PNG")]
        masks += len(found)
    assert masks == 15


@pytest.mark.parametrize("zip64", [False, True])
def test_a_zip_of_a_train_shards_size_is_read_fast(*, zip64: bool) -> None:
    """168,000 members, so ZIP64 end records: two requests, the directory once, two seconds."""
    count = 168_000
    data = stored_quickly(count, zip64=zip64)
    began = time.process_time()
    index, asked = read(data)
    assert time.process_time() - began < 2
    assert (len(index), index.ignored) == (count, 0)
    assert asked == [(len(data) - 65_536, len(data)), (index.directory_start, len(data) - 65_536)]
    for row in (0, 1, 65_535, 65_536, count - 1):
        member = index.member(row)
        assert member.name == mask_name(row)
        span = data[member.offset : member.stop]
        assert extract(member, span, start=member.offset) == b"%d" % row


def test_the_made_zip64_is_one_that_zipfile_reads_the_same() -> None:
    """The quick writer of these tests writes a sound zip."""
    data = stored_quickly(70_000, zip64=True)
    index, _ = read(data)
    with zipfile.ZipFile(io.BytesIO(data)) as oracle:
        assert index.names == oracle.namelist()
        assert oracle.read(mask_name(69_999)) == b"69999"


def test_a_count_that_wrapped_around_at_16_bits_is_read() -> None:
    """Writers without ZIP64 leave 70,000 members as 4,464, and every reader allows it."""
    data = stored_quickly(70_000, zip64=False)
    end = struct.pack("<2H", 70_000 % 65_536, 70_000 % 65_536)
    old = data[:-98] + patched(data[-22:], 8, end)
    assert len(read(old)[0]) == 70_000


# ---------------------------------------------------------------------------------- what is asked


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 60),
    comment=st.integers(0, 3_000),
    tail=st.integers(1, 5_000),
    zip64=st.booleans(),
)
def test_no_byte_is_asked_twice_and_none_without_need(
    count: int, comment: int, tail: int, *, zip64: bool
) -> None:
    """Ranges end where the last one began and reach no further than the directory or the search."""
    data = zipped(contents(count), comment=b"c" * comment, zip64=zip64)
    index, asked = read(data, tail=tail)
    assert len(index) == count
    assert asked[0][1] == len(data)
    assert not [(earlier, later) for earlier, later in pairwise(asked) if later[1] != earlier[0]]
    needed = len(data) - index.directory_start
    searched = 22 + 65_535 + 20 if comment + 22 > max(tail, 22) else 0
    assert sum(stop - start for start, stop in asked) <= max(tail, 22, needed, searched)


def test_the_first_need_is_a_suffix_and_the_second_the_rest_of_the_directory() -> None:
    """A large directory costs two requests, together not a byte more than directory and ends."""
    data = zipped(contents(2_000), method=0)
    reader = DirectoryReader(name="z", tail=1_000)
    assert reader.need() == Need(suffix=1_000)
    reader.feed(data[-1_000:], start=len(data) - 1_000, total=len(data))
    start = entry_at(data)
    assert reader.need() == Need(start=start, stop=len(data) - 1_000)
    with pytest.raises(RuntimeError, match="not complete"):
        reader.index()
    reader.feed(data[start:-1_000], start=start, total=len(data))
    assert reader.need() is None
    assert len(reader.index()) == 2_000


@pytest.mark.parametrize("tail", [22, 30, 42, 50, 98, 99, 20_000])
@pytest.mark.parametrize("count", [10, 1_000])
def test_zip64_end_records_are_found_wherever_the_tail_begins(count: int, tail: int) -> None:
    """End record, locator and ZIP64 record may each lie before the bytes that came first."""
    data = stored_quickly(count, zip64=True)
    index, asked = read(data, tail=tail)
    assert index.names == [mask_name(at) for at in range(count)]
    needed = len(data) - index.directory_start
    assert sum(stop - start for start, stop in asked) == max(needed, min(tail, len(data)))
    assert not [(earlier, later) for earlier, later in pairwise(asked) if later[1] != earlier[0]]


def test_a_server_that_sends_the_whole_object_is_understood() -> None:
    """An answer with more than was asked is taken, at the first need and at a later one."""
    data = zipped(contents(500))
    reader = DirectoryReader(name="z", tail=100)
    reader.feed(data, start=0, total=len(data))
    assert reader.need() is None
    assert len(reader.index()) == 500
    reader = DirectoryReader(name="z", tail=100)
    reader.feed(data[-100:], start=len(data) - 100, total=len(data))
    reader.feed(data, start=0, total=len(data))
    assert everything(reader.index(), data) == contents(500)


def test_a_comment_longer_than_the_tail_is_searched_through() -> None:
    """The end record lies before the tail: one more request finds it."""
    data = zipped(contents(3), comment=b"c" * 60_000)
    index, asked = read(data, tail=1_000)
    assert len(index) == 3
    assert len(asked) == 2


def test_bytes_that_are_not_what_was_asked_are_refused() -> None:
    """A short answer, and an object that changed its size between two requests."""
    data = zipped(contents(500))
    with pytest.raises(IntegrityError, match="not what was asked"):
        DirectoryReader(name="z").feed(data[:-1], start=0, total=len(data))
    reader = DirectoryReader(name="z", tail=100)
    reader.feed(data[-100:], start=len(data) - 100, total=len(data))
    need = reader.need()
    assert need is not None
    with pytest.raises(IntegrityError, match="not what was asked"):
        reader.feed(data[need.start : need.stop], start=need.start or 0, total=len(data) + 1)


# ----------------------------------------------------------------------------------- broken zips


def cut_end(data: bytes) -> bytes:
    """Lose the last byte."""
    return data[:-1]


def cut_front(data: bytes) -> bytes:
    """Lose the first bytes, so that every offset is wrong."""
    return data[100:]


def prefixed(data: bytes) -> bytes:
    """Put bytes before the zip."""
    return b"#!/bin/sh\n" + data


def other_disk(data: bytes) -> bytes:
    """Say that this is the third part."""
    return patched(data, len(data) - 18, struct.pack("<H", 3))


def few_here(data: bytes) -> bytes:
    """Say that some of the members are in other parts."""
    return patched(data, len(data) - 14, struct.pack("<H", 3))


def other_count(data: bytes) -> bytes:
    """Say that there is a member less."""
    count = struct.unpack_from("<H", data, len(data) - 12)[0] - 1
    return patched(data, len(data) - 14, struct.pack("<2H", count, count))


def absurd_count(data: bytes) -> bytes:
    """Say that there are more members than the directory has room for."""
    return patched(data, len(data) - 14, struct.pack("<2H", 9_999, 9_999))


def no_entry(data: bytes) -> bytes:
    """Spoil the signature of the second entry."""
    return patched(data, entry_at(data, 1), b"XX")


def long_name(data: bytes) -> bytes:
    """Let the last entry reach beyond the directory."""
    return patched(data, entry_at(data, 4) + 28, struct.pack("<H", 60_000))


def overlapping(data: bytes) -> bytes:
    """Let the second member begin where the first does."""
    return patched(data, entry_at(data, 1) + 42, struct.pack("<L", 0))


def outside(data: bytes) -> bytes:
    """Let a member begin behind the directory."""
    return patched(data, entry_at(data, 1) + 42, struct.pack("<L", len(data)))


def too_long(data: bytes) -> bytes:
    """Let a member reach into the next by its packed size."""
    return patched(data, entry_at(data, 1) + 20, struct.pack("<L", 100_000))


def saturated(data: bytes) -> bytes:
    """Promise a ZIP64 field that is not there."""
    return patched(data, entry_at(data, 1) + 24, b"\xff" * 4)


@pytest.mark.parametrize(
    ("broken", "because"),
    [
        (cut_end, "no end record"),
        (cut_front, "was cut or changed"),
        (prefixed, "10 bytes stand before the zip"),
        (other_disk, "several parts"),
        (few_here, "several parts"),
        (other_count, "holds 5 members, its end record says 4"),
        (absurd_count, "cannot be"),
        (no_entry, "no entry"),
        (long_name, "middle of an entry"),
        (overlapping, "overlap"),
        (outside, "overlap one another or its directory"),
        (too_long, "overlap"),
        (saturated, "lacks its ZIP64 sizes"),
    ],
)
@pytest.mark.parametrize("tail", [22, 65_536])
def test_a_broken_directory_is_refused_with_zip_and_cause(
    broken: Callable[[bytes], bytes], because: str, tail: int
) -> None:
    """Whatever does not agree ends in exit code 6, the zip's name and what to do."""
    data = broken(zipped(contents(5), method=0))
    with pytest.raises(IntegrityError, match=because) as caught:
        read(data, tail=tail)
    assert "train-masks-0.zip" in str(caught.value)
    assert caught.value.exit_code == 6
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>not found</html>", b"\0" * 70_000, b"PK\x05\x06", b"PK\x03\x04" * 40_000],
    ids=["empty", "html", "zeros", "signature only", "headers only"],
)
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    """An error page or anything else without an end record."""
    if data:
        with pytest.raises(IntegrityError, match=r"train-masks-0\.zip .* no zip or was cut"):
            read(data)
    with pytest.raises(IntegrityError, match="no zip or was cut"):
        DirectoryReader(name="z").feed(data, start=0, total=len(data))


def test_an_end_record_within_a_comment_is_not_taken_for_the_zips_own() -> None:
    """A comment that holds an end record of another zip does not hide the members."""
    data = zipped(contents(4), comment=b"see " + zipped(contents(2))[-22:])
    assert len(read(data)[0]) == 4


def test_zip64_end_records_that_disagree_are_refused() -> None:
    """A locator that points elsewhere, and two records with different counts."""
    data = stored_quickly(3_000, zip64=True)
    with pytest.raises(IntegrityError, match="not where it should be"):
        read(patched(data, len(data) - 22 - 20 + 8, struct.pack("<Q", 5)))
    with pytest.raises(IntegrityError, match="do not agree"):
        read(patched(data, len(data) - 14, struct.pack("<2H", 2_999, 2_999)))
    with pytest.raises(IntegrityError, match="several parts"):
        read(patched(data, len(data) - 22 - 4, struct.pack("<L", 2)))
    with pytest.raises(IntegrityError, match="broken"):
        read(patched(data, len(data) - 98, b"XX"))
    with pytest.raises(IntegrityError, match="broken"):
        read(patched(data, len(data) - 98 + 4, struct.pack("<Q", 45)))


@pytest.mark.parametrize("size", [1 << 40, (1 << 64) - 1])
def test_hostile_64_bit_numbers_do_not_wrap_around(size: int) -> None:
    """Sizes and offsets near 2 ** 64 are outside of the zip, not small again."""
    data = stored_quickly(50, zip64=True)
    entry = data.index(b"PK\x01\x02") + 46 + len(mask_name(0)) + 4
    for field in (8, 16):
        with pytest.raises(IntegrityError, match="overlap"):
            read(patched(data, entry + field, struct.pack("<Q", size)))
    wide = len(data) - 98
    for field in (40, 48):
        with pytest.raises(IntegrityError, match="was cut or changed"):
            read(patched(data, wide + field, struct.pack("<Q", size)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_does_anything_but_an_integrity_error(drawn: st.DataObject) -> None:
    """A zip with any few bytes changed gives the right content or an error, never wrong content."""
    expected = contents(8)
    data = bytearray(zipped(expected, zip64=drawn.draw(st.booleans())))
    for _ in range(drawn.draw(st.integers(1, 3))):
        data[drawn.draw(st.integers(0, len(data) - 1))] = drawn.draw(st.integers(0, 255))
    try:
        index, _ = read(bytes(data), tail=drawn.draw(st.sampled_from([22, 400, 65_536])))
    except IntegrityError:
        return
    for row in range(len(index)):
        try:
            member = index.member(row)
            found = extract(member, bytes(data[member.offset : member.stop]), start=member.offset)
        except IntegrityError:
            continue
        # a changed name that agrees in both headers is another mask; its bytes are checked anyway
        assert found == expected.get(member.name, found)


# --------------------------------------------------------------------------------- hostile names


def test_names_that_are_no_masks_reach_nobody() -> None:
    """Paths, folders and other files are left out and counted, the masks beside them stay."""
    good = mask_name(1)
    bad = ["../" + good, "/" + good, "C:\\" + good, "train/", "train/" + good, "readme.txt", ""]
    bad += [good.upper(), good + "\n", "..", good[:-4] + ".jpg", "é" + good[1:]]
    data = zipped([(good, b"mask"), *((each, b"evil") for each in bad)], method=0)
    index, _ = read(data)
    assert (index.names, index.ignored) == ([good], len(bad))
    assert everything(index, data) == {good: b"mask"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_neither_is_kept() -> None:
    """Readers disagree on which counts, so the mask is missing rather than perhaps wrong."""
    pairs = [(mask_name(1), b"first"), (mask_name(2), b"fine"), (mask_name(1), b"second")]
    index, _ = read(zipped(pairs))
    assert (index.names, index.ignored) == ([mask_name(2)], 2)


def test_rows_are_in_the_zips_own_order_whatever_the_directory_says() -> None:
    """A directory sorted otherwise than the members gives the same index."""
    data = zipped({mask_name(1): b"one", mask_name(2): b"two"}, method=0)
    at, size = entry_at(data), 46 + len(mask_name(1))
    swapped = patched(data, at, data[at + size : at + 2 * size] + data[at : at + size])
    index, _ = read(swapped)
    assert index.names == [mask_name(1), mask_name(2)]
    assert index.rows() == {mask_name(1): 0, mask_name(2): 1}
    assert everything(index, swapped) == {mask_name(1): b"one", mask_name(2): b"two"}


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("677c122b0eaa5d16_m04yx4_9a041d52.png", True),
        ("677c122b0eaa5d16_m01_5g_9a041d52.png", True),
        ("677c122b0eaa5d16_m0cyhj__9a041d52.png", True),
        ("677c122b0eaa5d16_g11b_9a041d52.png", True),
        ("677c122b0eaa5d1_m04yx4_9a041d52.png", False),
        ("677c122b0eaa5d16_m04yx4_9a041d52.png\n", False),
        ("677c122b0eaa5d16_m04yx4_9A041D52.png", False),
        ("../677c122b0eaa5d16_m04yx4_9a041d52.png", False),
        ("677c122b0eaa5d16_m0/4_9a041d52.png", False),
    ],
)
def test_what_a_masks_name_looks_like(name: str, *, fits: bool) -> None:
    """Image id, MID that may hold underscores, box id."""
    assert bool(MASK_NAME.fullmatch(name)) is fits
