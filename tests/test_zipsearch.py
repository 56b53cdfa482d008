"""Names looked up in the directory of a zip by small ranges, against the zipfile module."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_zips import entry_at, patched, zipped
from oidkit.errors import DiskError
from oidkit.tables import Cache, MaskIndex
from oidkit.zipindex import DirectoryReader, extract
from oidkit.zipsearch import NameSearch, pays, search_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from oidkit.zipindex import Member

TAIL = 4_096
ENTRY = 110
"""Bytes of an entry: what a range cuts through comes once more with its neighbour."""


def names_of(count: int, *, seed: int = 0, shard: int = 7) -> list[str]:
    """Make up names as masks have them, sorted, some of one image."""
    seeded = random.Random(seed)
    images = [shard << 60 | seeded.getrandbits(60) for _ in range(max(1, count * 2 // 3))]
    mids = ("m01_5g", "m0gxl3", "m01g317", "m0bt9lr", "m0c9ph5")
    found: set[str] = set()
    while len(found) < count:
        box = seeded.getrandbits(32)
        found.add(f"{seeded.choice(images):016x}_{seeded.choice(mids)}_{box:08x}.png")
    return sorted(found)


def made(names: Iterable[str], **options: object) -> bytes:
    """Write a zip with the zipfile module whose members say their own names."""
    pairs = [(name, name.encode() * (1 + len(name) % 3)) for name in names]
    return zipped(pairs, **options)  # type: ignore[arg-type]


def look(
    data: bytes, names: Sequence[str], *, known: MaskIndex | None = None
) -> tuple[NameSearch, dict[str, Member], list[tuple[int, int]]]:
    """Look for names; give the search, what was found, and the ranges that were asked for."""
    reader = DirectoryReader(name="z", tail=TAIL)
    reader.feed(data[-TAIL:], start=max(0, len(data) - TAIL), total=len(data))
    assert reader.ends is not None
    search = NameSearch(reader.ends, names, "z")
    if known is None:
        tail, start = reader.tail
        search.feed(tail, start=start)
    else:
        search.know(known.entries())
    asked: list[tuple[int, int]] = []
    while need := search.need():
        assert len(asked) < 5_000
        for start, stop in need:
            assert reader.ends.start <= start < stop <= reader.ends.stop
            assert stop - start <= 64 << 10
            search.feed(data[start:stop], start=start)
        asked += need
    assert overlap(asked) <= ENTRY * 2 * len(asked)
    if search.fallback:
        return search, {}, asked
    index = MaskIndex.of_part(search, key="z", etag='"e"', total=len(data))
    return search, index.find(names), asked


def overlap(asked: list[tuple[int, int]]) -> int:
    """Count the bytes that were asked for twice."""
    pairs = pairwise(sorted(asked))
    return sum(max(0, one[1] - other[0]) for one, other in pairs)


def contents(data: bytes, members: Iterable[Member]) -> dict[str, bytes]:
    """Take members out, each from just the bytes of its span."""
    return {
        each.name: extract(each, data[each.offset : each.stop], start=each.offset)
        for each in members
    }


# ---------------------------------------------------------------------------------- sound zips


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("comment", [b"", b"made by hand" * 20])
@pytest.mark.parametrize("count", [1, 5, 25])
def test_what_is_found_is_what_zipfile_and_the_whole_reading_find(
    count: int, comment: bytes, *, zip64: bool
) -> None:
    """The same bytes, and the same spans as by the whole directory, for less of it."""
    names = names_of(3_000)
    data = made(names, zip64=zip64, comment=comment)
    wanted = random.Random(count).sample(names, count)
    search, found, asked = look(data, wanted)
    assert (search.fallback, sorted(found)) == ("", sorted(wanted))
    with zipfile.ZipFile(io.BytesIO(data)) as oracle:
        assert contents(data, found.values()) == {name: oracle.read(name) for name in wanted}
    reader = DirectoryReader(name="z", tail=len(data))
    reader.feed(data, start=0, total=len(data))
    index = reader.index()
    rows = index.rows()
    assert [index.member(rows[name]) for name in wanted] == [found[name] for name in wanted]
    assert sum(stop - start for start, stop in asked) < search.ends.size
    assert len(asked) <= 3 * count


def test_the_first_and_the_last_name_are_found() -> None:
    """At either end of the directory there is no entry before, or behind."""
    names = names_of(2_000)
    data = made(names)
    for name in (names[0], names[1], names[-1], names[-2]):
        search, found, _ = look(data, [name])
        assert (search.fallback, list(found)) == ("", [name])
        assert contents(data, found.values())[name].startswith(name.encode())


def test_many_masks_of_one_image_are_found_across_ranges() -> None:
    """An image whose entries take more than a range is read to both its ends."""
    busy = sorted(f"7fffffffffffffff_m0gxl3_{at * 999:08x}.png" for at in range(300))
    names = sorted([*names_of(2_000), *busy])
    data = made(names)
    for name in (busy[0], busy[150], busy[-1]):
        search, found, _ = look(data, [name])
        assert (search.fallback, list(found)) == ("", [name])


def test_the_order_within_an_image_does_not_matter() -> None:
    """Sorted by image is enough: the masks of one may stand in any order."""
    names = names_of(3_000)
    seeded = random.Random(3)
    shuffled = sorted(names, key=lambda name: (name[:16], seeded.random()))
    data = made(shuffled)
    search, found, _ = look(data, names[::300])
    assert (search.fallback, sorted(found)) == ("", names[::300])


def test_what_one_class_has_learnt_is_not_asked_for_again_by_the_next() -> None:
    """Known names take no request, others start from what is known; no entry comes twice."""
    names = names_of(4_000)
    data = made(names)
    first, second = names[5::500], names[77::400]
    search, found, asked = look(data, first)
    assert (search.fallback, sorted(found)) == ("", first)
    known = MaskIndex.of_part(search, key="z", etag='"e"', total=len(data))
    again, found, more = look(data, first, known=known)
    assert (again.fallback, sorted(found), more) == ("", first, [])
    then, found, more = look(data, [*first, *second], known=known)
    assert (then.fallback, sorted(found)) == ("", sorted(first + second))
    assert overlap(asked + more) <= ENTRY * 2 * len(asked + more)


def test_a_part_of_a_directory_is_kept_and_opened_again(tmp_path: Path) -> None:
    """What is written to the cache gives the same members, and the same entries to go on with."""
    names = names_of(3_000)
    data = made(names)
    search, found, _ = look(data, names[::200])
    index = MaskIndex.of_part(search, key="z", etag='"e"', total=len(data))
    opened = MaskIndex.load(index.save(tmp_path, "z"))
    assert opened is not None
    assert (opened.part, opened.count) == (search.ends, index.count)
    assert opened.find(names[::200]) == found
    assert look(data, names[::200], known=opened)[2] == []
    edges = [
        name
        for name, stop in zip(search.entries().name, search.entries().stop, strict=True)
        if not stop
    ]
    assert edges
    assert opened.find(edges) == {}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_sorted_zip_gives_what_zipfile_gives(data: st.DataObject) -> None:
    """Whatever the names and the order they are asked for in: right members, or the whole way."""
    seed = data.draw(st.integers(0, 1_000))
    names = names_of(data.draw(st.integers(1, 900)), seed=seed, shard=data.draw(st.integers(0, 15)))
    wanted = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=20, unique=True))
    content = made(names, method=zipfile.ZIP_STORED, zip64=data.draw(st.booleans()))
    search, found, _ = look(content, wanted)
    if search.fallback:
        assert "costs more" in search.fallback
        return
    with zipfile.ZipFile(io.BytesIO(content)) as oracle:
        assert contents(content, found.values()) == {name: oracle.read(name) for name in wanted}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_order_makes_it_give_another_member(data: st.DataObject) -> None:
    """In a zip that is not sorted, or in part, what is found is right, or nothing is said."""
    names = names_of(600, seed=data.draw(st.integers(0, 50)))
    for _ in range(data.draw(st.integers(1, 6))):
        one, other = data.draw(st.tuples(st.integers(0, 599), st.integers(0, 599)))
        names[one], names[other] = names[other], names[one]
    wanted = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=8, unique=True))
    content = made(names, method=zipfile.ZIP_STORED)
    search, found, _ = look(content, wanted)
    if not search.fallback:
        with zipfile.ZipFile(io.BytesIO(content)) as oracle:
            assert contents(content, found.values()) == {name: oracle.read(name) for name in wanted}


# ------------------------------------------------------------------------------- the whole way


def test_a_name_that_is_absent_is_not_found_and_asks_for_the_whole_directory() -> None:
    """Only the whole directory tells that a mask is not in the zip."""
    names = names_of(3_000)
    data = made(name for name in names if name != names[1_234])
    search, found, _ = look(data, [names[1_234], names[5]])
    assert found == {}
    assert "not where it should be" in search.fallback


def test_an_unsorted_directory_is_noticed_by_its_end_alone() -> None:
    """What came with the end records is out of order: nothing more is asked for."""
    names = names_of(3_000)
    random.Random(1).shuffle(names)
    search, _, asked = look(made(names), names[:1])
    assert (search.fallback, asked) == ("its directory is not sorted by image", [])


def test_a_directory_that_is_sorted_at_its_end_alone_is_noticed() -> None:
    """The halves are sorted, and the first comes last."""
    names = names_of(3_000)
    search, found, _ = look(made([*names[1_500:], *names[:1_500]]), names[::150])
    assert found == {}
    assert search.fallback


def test_a_sorted_directory_of_members_in_another_order_is_left_to_the_whole_reading() -> None:
    """A span ends where the next member begins, and the next entry is another one here."""
    names = names_of(500)
    data = made(reversed(names))
    at, parts = entry_at(data), []
    while data[at : at + 4] == b"PK\1\2":
        size = 46 + sum(struct.unpack_from("<3H", data, at + 28))
        parts.append(data[at : at + size])
        at += size
    turned = data[: entry_at(data)] + b"".join(reversed(parts)) + data[at:]
    search, _, _ = look(turned, names[:1])
    assert "do not lie in the order" in search.fallback


@pytest.mark.parametrize(
    ("damage", "because"),
    [
        (lambda data, at: patched(data, at, b"XX"), "no entry"),
        (lambda data, at: patched(data, at + 46, b"z"), "no masks"),
        (lambda data, at: patched(data, at + 34, b"\1\0"), "several parts"),
        (lambda data, at: patched(data, at + 42, b"\xf0\xff\xff\xfe"), "outside"),
        (lambda data, at: patched(data, at + 20, b"\xff\xff\xff\x7f"), "outside"),
        (lambda data, at: patched(data, at + 20, b"\xff\xff\xff\xff"), "ZIP64"),
    ],
)
def test_a_broken_entry_is_left_to_the_whole_reading(
    damage: Callable[[bytes, int], bytes], because: str
) -> None:
    """Whatever the whole reading would refuse is not worked around."""
    names = names_of(2_000)
    data = made(names)
    search, found, _ = look(damage(data, entry_at(data, 1_995)), names[:1])
    assert found == {}
    assert because in search.fallback


def test_a_name_that_is_there_twice_is_not_trusted() -> None:
    """Readers disagree on which of two members counts, as in the whole reading."""
    names = names_of(2_000)
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = made(sorted([*names, names[700]]))
    search, found, _ = look(data, [names[700]])
    assert (found, search.fallback) == ({}, "a name is not where it should be, or there twice")


@pytest.mark.parametrize("kind", ["comment", "extra"])
def test_long_comments_and_extra_fields_are_left_to_the_whole_reading(kind: str) -> None:
    """They could hold what looks like entries."""
    out = io.BytesIO()
    names = names_of(400)
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            if kind == "comment":
                info.comment = b"PK\1\2" * 3
            else:
                info.extra = struct.pack("<2H", 0x7777, 200) + bytes(200)
            archive.writestr(info, b"x")
    search, found, _ = look(out.getvalue(), names[:1])
    assert found == {}
    assert search.fallback


def test_entries_that_look_so_within_an_extra_field_are_not_taken_for_some() -> None:
    """Signatures by chance in sizes and checksums do not shift what is read."""
    names = names_of(2_000)
    data = bytearray(made(names, method=zipfile.ZIP_STORED))
    start = entry_at(bytes(data))
    # The time and date of an entry may be anything: here they are a signature.
    for name in names:
        found = data.index(name.encode(), start)
        data[found - 46 + 12 : found - 46 + 16] = b"PK\1\2"
    search, members, _ = look(bytes(data), names[::250])
    assert (search.fallback, sorted(members)) == ("", names[::250])


def test_few_names_in_a_large_directory_pay_and_others_do_not() -> None:
    """The numbers of a train zip, whose directory is 15 MB."""
    assert pays(1, 15_000_000)
    assert pays(125, 15_000_000)
    assert not pays(2_000, 15_000_000)
    assert not pays(1, 500_000)
    assert search_bytes(125, 15_000_000) < 15_000_000 / 6


# -- beside other runs ---------------------------------------------------------------------------


def kept_in(folder: Path) -> Cache:
    """Make an empty cache."""
    cache = Cache(folder)
    cache.make("here")
    return cache


def part_of(data: bytes, names: Sequence[str]) -> MaskIndex:
    """Look names up, and give what has been seen of the directory."""
    return MaskIndex.of_part(look(data, names)[0], key="z", etag='"e"', total=len(data))


def whole_of(data: bytes, etag: str = '"e"') -> MaskIndex:
    """Read all of the directory."""
    reader = DirectoryReader(name="z")
    while (need := reader.need()) is not None:
        start = len(data) - need.suffix if need.suffix is not None else need.start or 0
        start = max(0, start)
        stop = len(data) if need.suffix is not None else need.stop or 0
        reader.feed(data[start:stop], start=start, total=len(data))
    return MaskIndex.of(reader.index(), key="z", etag=etag)


def test_a_part_needs_its_file_no_more(tmp_path: Path) -> None:
    """Another class replaces it: what was found stays, also for the next search and in a choice."""
    names = names_of(3_000)
    data = made(names)
    first, second = names[::200], names[7::300]
    cache = kept_in(tmp_path)
    index = cache.keep_masks(part_of(data, first))
    assert index.path is not None
    assert index.path.exists()
    cache.keep_masks(part_of(data, second))
    assert not index.path.exists()
    found = look(data, first)[1]
    assert index.find(first) == found
    assert look(data, first, known=index)[2] == []
    assert index.only(first[:3]).find(first) == {name: found[name] for name in first[:3]}


def test_a_whole_directory_whose_file_is_gone_is_looked_for_again(tmp_path: Path) -> None:
    """The newest of the zip tells, if it knows all of the names."""
    names = names_of(3_000)
    data = made(names)
    asked = names[::200]
    cache = kept_in(tmp_path)
    index = cache.keep_masks(whole_of(data))
    newest = cache.keep_masks(whole_of(data, '"other"'))
    assert index.path is not None
    assert not index.path.exists()
    found = cache.find_masks(index, asked)
    assert found is not None
    assert (found[0].etag, found[0].path) == ('"other"', newest.path)
    assert found[1] == newest.find(asked)
    cache.drop_masks("z")
    assert cache.find_masks(index, asked) is None
    cache.keep_masks(part_of(data, asked[:3]))
    assert cache.find_masks(index, asked) is None
    assert cache.find_masks(index, asked[:3]) is not None


def test_a_part_leaves_a_whole_directory_that_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look for one and its own file, another run has kept the whole: that is used."""
    names = names_of(3_000)
    data = made(names)
    cache = kept_in(tmp_path)
    save = MaskIndex.save
    saved: list[Path] = []

    def late(index: MaskIndex, folder: Path, stem: str) -> Path:
        if not saved:
            saved.append(save(whole_of(data), folder, stem))
        return save(index, folder, stem)

    monkeypatch.setattr(MaskIndex, "save", late)
    cache.keep_masks(part_of(data, names[::200]))
    there = cache.masks("z")
    assert there is not None
    assert (there.path, there.part) == (saved[0], None)


def test_an_index_that_cannot_be_kept_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """It names the folder, as everywhere."""
    names = names_of(3_000)
    index = part_of(made(names), names[::200])
    cache = kept_in(tmp_path)
    (tmp_path / "masks").rmdir()
    (tmp_path / "masks").touch()
    with pytest.raises(DiskError, match="masks"):
        cache.keep_masks(index)
    with pytest.raises(DiskError, match="masks"):
        cache.drop_masks("z")
