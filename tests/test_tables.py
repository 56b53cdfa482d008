"""Tables hold what the csv module reads, text for text, however the bytes came."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from made_tables import made, pieces
from oidkit import catalog
from oidkit.api import Settings, download, index_build
from oidkit.errors import IntegrityError, MalformedError
from oidkit.schema import BOXES, IMAGES, MASKS
from oidkit.selection import Selection
from oidkit.store import Checksums
from oidkit.tables import Cache, Table, TableBuilder, build, image_ids, printed, sorting, stretches
from oidkit.tables import (
    pieces as pieces_of_blocks,
)
from oidkit.tables import table as tables_table
from oidkit.testing import PerSplit, ReleaseSpec, make_release
from oracle import SPLITS, Mirror, Row, Sheet, tree_of

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = f'"format": {tables_table.FORMAT}'.encode()
HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
GOOD = "00000000000000{:02x},xclick,/m/0gxl3,1,0.1,0.2,0.3,0.4,0,0,0,0,0"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Make a release of some thousand rows, without pictures."""
    spec = ReleaseSpec(
        seed=9, images=PerSplit(300, 60, 90), labels=("boxes", "masks"), jpegs=0, classes=90
    )
    return Mirror(make_release(tmp_path_factory.mktemp("mirror"), spec).root)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks, buckets and parts so small that a small file needs many of each."""
    monkeypatch.setattr(build, "BLOCK_BYTES", 9_000)
    monkeypatch.setattr(sorting, "MOST_ROWS", 40)
    monkeypatch.setattr(sorting, "PART_ROWS", 40)
    monkeypatch.setattr(stretches, "STRETCH_BYTES", 2_000)
    monkeypatch.setattr(pieces_of_blocks, "BUCKETS", 5)


def csv_file(mirror: Mirror, key: str) -> bytes:
    """Read a file of the mirror."""
    return (mirror.root / key).read_bytes()


def same_rows(table: Table, sheet: Sheet) -> None:
    """Compare every class of a table with what the csv module says, field for field."""
    assert list(table.columns) == sheet.columns
    assert (table.rows, table.rejects) == (len(sheet.rows), 0)
    label, image = sheet.column("LabelName"), sheet.column("ImageID")
    by_class: dict[str, list[Row]] = {}
    for row in sheet.rows:
        by_class.setdefault(row[label], []).append(row)
    assert set(table.labels) == set(by_class)
    for mid, rows in by_class.items():
        expected = sorted(rows, key=lambda row: row[image])
        assert [list(row) for row in table.rows_of([mid]).iter_rows()] == expected
        images = sorted({row[image] for row in rows})
        assert table.count(mid) == (len(rows), len(images))
        assert [f"{number:016x}" for number in table.images_of(mid).tolist()] == images


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("release", catalog.RELEASES)
def test_every_class_of_every_box_file_is_as_published(
    mirror: Mirror, tmp_path: Path, release: catalog.Release, split: catalog.Split
) -> None:
    """All rows of all classes come back in ImageID order with their text, in each release."""
    (file,) = catalog.tables(release, "boxes", split)
    sheet = Mirror(mirror.root, release).sheets["boxes", split]
    texts = {text for row in sheet.rows for text in row[4:8]}
    assert len({len(text) for text in texts}) > 1 or split == "train"
    same_rows(made(tmp_path, BOXES, csv_file(mirror, file.key)), sheet)


@pytest.mark.parametrize("split", SPLITS)
def test_every_class_of_the_mask_files_is_as_published(
    mirror: Mirror, tmp_path: Path, little: None, split: catalog.Split
) -> None:
    """Mask rows, which are not sorted in the file, come in ImageID order, empty Clicks and all."""
    (file,) = catalog.tables("v7", "masks", split)
    table = made(tmp_path, MASKS, csv_file(mirror, file.key), sizes=[1_000])
    same_rows(table, mirror.sheets["masks", split])


@pytest.mark.parametrize("sizes", [[1], [7], [4_096], [9_000], [8_999, 2, 9_001], [10**9]])
def test_the_pieces_in_which_a_file_comes_change_nothing(
    mirror: Mirror, tmp_path: Path, little: None, sizes: list[int]
) -> None:
    """One byte at a time, odd sizes or all at once: many blocks and parts hold the same rows."""
    key = "openimages/v5/validation-annotations-bbox.csv"
    table = made(tmp_path, BOXES, csv_file(mirror, key), sizes=sizes)
    assert table.parts > (10 if len(sizes) > 1 or sizes[0] < 10_000 else 3)
    same_rows(table, mirror.sheets["boxes", "validation"])


@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("mark", [False, True])
def test_line_ends_and_byte_order_marks_are_nobodys_text(
    mirror: Mirror, tmp_path: Path, little: None, *, crlf: bool, final: bool, mark: bool
) -> None:
    """CRLF, a last line without an end and a byte-order mark leave the rows as they are."""
    data = csv_file(mirror, "openimages/v5/validation-annotations-bbox.csv")
    data = data if final else data.rstrip(b"\n")
    data = data.replace(b"\n", b"\r\n") if crlf else data
    data = b"\xef\xbb\xbf" + data if mark else data
    same_rows(made(tmp_path, BOXES, data, sizes=[333]), mirror.sheets["boxes", "validation"])


def test_one_class_larger_than_a_part_is_cut_by_image(tmp_path: Path, little: None) -> None:
    """Rows of one class spill over many parts, and come back whole and in order."""
    seeded = random.Random(4)
    rows = [
        f"{seeded.getrandbits(64):016x},xclick,/m/0gxl3,1,0.1,0.{at},0.3,0.4,0,0,0,0,-1".split(",")
        for at in range(2_000, 2_900)
    ]
    rows += [[rows[at][0], *rows[-at - 1][1:]] for at in range(0, 900, 3)]
    data = "".join(",".join(row) + "\n" for row in [HEADER.split(","), *rows]).encode()
    table = made(tmp_path, BOXES, data, sizes=[5_000])
    assert len(table.labels["/m/0gxl3"]) > 16
    same_rows(table, Sheet(HEADER.split(","), rows))


def test_several_classes_come_in_the_order_of_images(
    mirror: Mirror, tmp_path: Path, little: None
) -> None:
    """Rows of three classes together are sorted by image, each class once however often named."""
    sheet = mirror.sheets["boxes", "test"]
    table = made(tmp_path, BOXES, csv_file(mirror, "openimages/v5/test-annotations-bbox.csv"))
    mids = ["/m/0gxl3", "/m/01g317", "/m/04yx4"]
    found = [list(row) for row in table.rows_of([*mids, mids[0]]).iter_rows()]
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert sorted(found) == sorted(sheet.having("LabelName", mids))


@pytest.mark.parametrize("split", SPLITS)
def test_image_lists_are_found_by_image(
    mirror: Mirror, tmp_path: Path, little: None, split: catalog.Split
) -> None:
    """Titles with commas, quotes and letters of any script come back as the csv module has them."""
    sheet = mirror.image_list(split)
    key = catalog.image_list("v7", split).key
    table = made(tmp_path, IMAGES, csv_file(mirror, key), sizes=[2_048])
    chosen = sorted(row[0] for row in sheet.rows)[::3]
    numbers = np.array([int(name, 16) for name in chosen], dtype=np.uint64)
    found = table.rows_by_image(numbers)
    want = sorted(sheet.having("ImageID", chosen), key=lambda row: row[0])
    assert any("," in row[7] for row in want)
    assert any('"' in row[7] for row in want)
    assert [list(row) for row in found.iter_rows()] == want
    assert image_ids(found).tolist() == numbers.tolist()
    assert list(csv.reader(io.StringIO(printed(found).decode(), newline="")))[1:] == want


_field = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)


@hypothesis_settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(_field, _field, _field), min_size=1, max_size=12))
def test_any_text_of_an_image_list_survives(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    """Whatever titles hold within a line, they come back and are printed so that csv reads them."""
    sheet = [["ImageID", "Author", "Title", "Rotation"]]
    sheet += [[f"{at:016x}", *row] for at, row in enumerate(rows)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(sheet)
    folder = tmp_path_factory.mktemp("text")
    table = made(folder, IMAGES, text.getvalue().encode(), sizes=[5])
    assert table.rejects == 0
    found = table.rows_by_image(np.arange(len(rows), dtype=np.uint64))
    assert [list(row) for row in found.iter_rows()] == sheet[1:]
    assert list(csv.reader(io.StringIO(printed(found).decode("utf-8"), newline=""))) == sheet


@pytest.mark.parametrize("source", ["x\rclick", "xclick\r", "\rxclick"])
def test_a_carriage_return_within_a_field_stays(tmp_path: Path, source: str) -> None:
    """The table engine's reader drops one before a comma."""
    rows = [GOOD.format(1), GOOD.format(2).replace("xclick", source), GOOD.format(3)]
    table = made(tmp_path, BOXES, "\n".join([HEADER, *rows, ""]).encode())
    assert table.rows_of(["/m/0gxl3"])["Source"].to_list() == ["xclick", source, "xclick"]


# -- going on after a run that died -------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_build_goes_on_where_the_last_one_died(
    mirror: Mirror, tmp_path: Path, little: None, share: float
) -> None:
    """A new builder begins at the last whole block, and the table is that of one go."""
    data = csv_file(mirror, "openimages/v5/validation-annotations-bbox.csv")
    known = Checksums(size=len(data), crc32c=google_crc32c.value(data))
    where = (tmp_path / "tables", tmp_path / "work", BOXES)
    first = TableBuilder(*where, name="boxes.csv")
    first.begin('"etag"', known)
    for piece in pieces(data[: int(len(data) * share)], [700]):
        first.feed(piece)
    # What a killed run leaves: the blocks that are written down, and one that is half written.
    first.close()
    state = json.loads((tmp_path / "work/state.json").read_bytes()) if share else {"blocks": 0}
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "work" / f"000-{state['blocks']:06d}.arrow").write_bytes(b"half a block")

    second = TableBuilder(*where, name="boxes.csv")
    offset = second.offset
    assert max(0, len(data) * share - 20_000) <= offset <= len(data) * share
    if offset == 0:
        second.begin('"etag"', known)
    assert second.etag == '"etag"'
    for piece in pieces(data[second.offset :], [999]):
        second.feed(piece)
    assert second.complete
    table = second.finish()
    second.close()
    same_rows(table, mirror.sheets["boxes", "validation"])
    assert not (tmp_path / "work").exists()
    whole = made(tmp_path / "one-go", BOXES, data)
    assert _contents(table) == _contents(whole)


def _contents(table: Table) -> dict[str, list[tuple[str, ...]]]:
    return {mid: list(table.rows_of([mid]).iter_rows()) for mid in table.labels}


def test_a_broken_transfer_goes_back_to_the_last_block(
    mirror: Mirror, tmp_path: Path, little: None
) -> None:
    """After `rewind` the bytes from its offset on are fed again, and nothing is twice in it."""
    data = csv_file(mirror, "openimages/v5/validation-annotations-bbox.csv")
    builder = TableBuilder(tmp_path / "tables", tmp_path / "work", BOXES, name="boxes.csv")
    builder.begin('"etag"', Checksums(size=len(data)))
    at = 0
    for stop in (5_000, 15_000, 31_000, len(data)):
        for piece in pieces(data[at:stop], [1_111]):
            builder.feed(piece)
        if stop < len(data):
            at = builder.rewind()
            assert at == builder.offset <= stop
    same_rows(builder.finish(), mirror.sheets["boxes", "validation"])
    builder.close()


def test_damaged_records_of_a_build_begin_it_anew(
    mirror: Mirror, tmp_path: Path, little: None
) -> None:
    """A state file that is cut, or of another kind, counts as none."""
    data = csv_file(mirror, "openimages/v5/validation-annotations-bbox.csv")
    for broken in (b"", b"{", b"[]", b'{"offset": 5}', b'{"offset": "x", "etag": 3}'):
        builder = TableBuilder(tmp_path / "t", tmp_path / "work", BOXES, name="boxes.csv")
        builder.begin('"etag"', Checksums())
        for piece in pieces(data[:20_000], [500]):
            builder.feed(piece)
        builder.close()
        (tmp_path / "work/state.json").write_bytes(broken)
        assert TableBuilder(tmp_path / "t", tmp_path / "work", BOXES, name="x").offset == 0
    same_rows(made(tmp_path, BOXES, data), mirror.sheets["boxes", "validation"])


# -- what is checked ----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["size", "md5", "crc32c"])
def test_a_file_that_differs_from_its_checksum_makes_no_table(
    mirror: Mirror, tmp_path: Path, little: None, which: str
) -> None:
    """Size, MD5 and CRC-32C each pass for the right bytes, and fail for one flipped bit."""
    data = csv_file(mirror, "openimages/v5/validation-annotations-bbox.csv")
    known = {
        "size": len(data),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "crc32c": google_crc32c.value(data),
    }
    table = made(tmp_path / "right", BOXES, data, sizes=[5_000], **{which: known[which]})
    assert table.rows == len(mirror.sheets["boxes", "validation"].rows)
    # a digit of a coordinate: the row is as good as before, only the checksum can tell
    at = data.index(b"0.", 30_000) + 2
    spoilt = data[:at] + (b"1" if data[at : at + 1] != b"1" else b"2") + data[at + 1 :]
    spoilt = spoilt if which != "size" else data[: data.rindex(b"\n", 0, -1) + 1]
    words = {"size": "bytes instead of", "md5": "MD5", "crc32c": "CRC-32C"}
    with pytest.raises(IntegrityError, match=words[which]) as caught:
        made(tmp_path / "wrong", BOXES, spoilt, sizes=[5_000], **{which: known[which]})
    assert not isinstance(caught.value, MalformedError)
    assert not list((tmp_path / "wrong").glob("tables/*/table.json"))


BAD = {
    "0000000000000,xclick,/m/0gxl3,1,0.1,0.2,0.3,0.4,0,0,0,0,0": "ImageID is not 16 hex digits",
    "../../../../etcx,xclick,/m/0gxl3,1,0.1,0.2,0.3,0.4,0,0,0,0,0": "ImageID is not 16 hex digits",
    "00000000000000ff,xclick,Handgun,1,0.1,0.2,0.3,0.4,0,0,0,0,0": "LabelName is not a MID",
    "00000000000000ff,xclick,/m/0gxl3,1,0.1,0.2,0.3": "has 7 fields where the header has 13",
    "00000000000000ff,xclick,/m/0gxl3,1,0.1,0.2,0.3,0.4,0,0,0,0,0,7": "has 14 fields where",
    "00000000000000ff,xclick,/m/0gxl3,1,0.1,1.2,0.3,0.4,0,0,0,0,0": "XMax is not a number from 0",
    "00000000000000ff,xclick,/m/0gxl3,1,0.1,nan,0.3,0.4,0,0,0,0,0": "XMax is not a number from 0",
    "00000000000000ff,xclick,/m/0gxl3,1,,0.2,0.3,0.4,0,0,0,0,0": "XMin is not a number from 0",
    "00000000000000ff,xclick,/m/0gxl3,1,0.5,0.2,0.3,0.4,0,0,0,0,0": "XMin is larger than XMax",
    "00000000000000ff,xclick,/m/0gxl3,1,0.1,0.2,0.9,0.4,0,0,0,0,0": "YMin is larger than YMax",
    "00000000000000ff,xclick,/m/0gxl3,1,0.1,0.2,0.3,0.4,2,0,0,0,0": "IsOccluded is not -1, 0 or 1",
    "00000000000000ff,xclick,/m/0gxl3,1,0.1,0.2,0.3,0.4,0,0,0,0,": "IsInside is not -1, 0 or 1",
    "00000000000000ff,xcl\0ck,/m/0gxl3,1,0.1,0.2,0.3,0.4,0,0,0,0,0": "holds a NUL",
    "00000000000000ff,xcl\udce9ck,/m/0gxl3,1,0.1,0.2,0.3,0.4,0,0,0,0,0": "is not UTF-8",
    "": "has 1 fields where the header has 13",
}


def test_bad_rows_are_set_aside_with_line_number_and_reason(tmp_path: Path, little: None) -> None:
    """Each kind of bad row stands in the rejects with its line, and the good ones in the table."""
    lines = [HEADER, *(GOOD.format(at % 256) for at in range(2_000))]
    wrong: dict[int, str] = {}
    for nth, bad in enumerate(BAD):
        at = 17 + nth * 97
        lines.insert(at, bad)
        wrong[at + 1] = bad
    data = "\n".join(lines).encode("utf-8", errors="surrogateescape") + b"\n"
    table = made(tmp_path, BOXES, data, sizes=[1_234])
    assert (table.rows, table.rejects) == (2_000, len(BAD))
    with table.rejects_file.open(encoding="utf-8", newline="") as file:
        header, *rejects = csv.reader(file)
    assert header == ["line", "reason", "text"]
    assert [int(line) for line, _, _ in rejects] == sorted(wrong)
    for line, reason, text in rejects:
        bad = wrong[int(line)]
        assert reason.startswith(BAD[bad]), (line, reason)
        shown = bad.replace("\0", "\\x00").replace("\udce9", "\\xe9")
        assert text == shown
    assert table.count("/m/0gxl3") == (2_000, 256)


@pytest.mark.parametrize(("bad", "refused"), [(0, False), (10, False), (11, True), (500, True)])
def test_one_row_in_a_hundred_may_be_bad_and_no_more(
    tmp_path: Path, *, bad: int, refused: bool
) -> None:
    """Of 1,000 rows 10 bad ones pass; with 11 the file is refused, and the first line named."""
    lines = [HEADER, *(GOOD.format(at % 256) for at in range(1_000 - bad)), *["nonsense"] * bad]
    data = ("\n".join(lines) + "\n").encode()
    if not refused:
        assert made(tmp_path, BOXES, data).rejects == bad
        return
    with pytest.raises(MalformedError, match=f"{bad} of 1000 rows of boxes.csv are bad") as caught:
        made(tmp_path, BOXES, data)
    assert f"line {1_002 - bad}: has 1 fields" in str(caught.value)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>\n<html></html>\n", "it has no column ImageID"),
        (HEADER.replace("LabelName", "Label").encode() + b"\n", "it has no column LabelName"),
        (HEADER.encode() + b",XMin\n", "names a column twice"),
        (HEADER.replace(",", ";").encode() + b"\n", "it has no column ImageID"),
    ],
)
def test_what_is_no_file_of_boxes_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """An empty file, a web page, and a header without a needed column each say what is wrong."""
    with pytest.raises(MalformedError, match=says):
        made(tmp_path, BOXES, data)
    assert not list(tmp_path.glob("tables/*/table.json"))


def test_a_file_of_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    """No row at all is no error: the table is empty and has the columns."""
    table = made(tmp_path, BOXES, HEADER.encode() + b"\n")
    assert (table.rows, table.rejects, list(table.columns)) == (0, 0, HEADER.split(","))
    assert table.rows_of(["/m/0gxl3"]).height == 0
    assert printed(table.rows_of(["/m/0gxl3"])).decode() == HEADER + "\n"


def test_a_damaged_table_is_not_taken_for_one(mirror: Mirror, tmp_path: Path) -> None:
    """A table of another format, or whose description is cut, counts as not there."""
    key = "openimages/v5/validation-annotations-bbox.csv"
    cache = Cache(tmp_path)
    cache.make("a mirror")
    with cache.building(key, BOXES) as builder:
        builder.begin('"one"', Checksums())
        builder.feed(csv_file(mirror, key))
        table = builder.finish()
    assert cache.table(key) == table
    note = table.folder / "table.json"
    good = note.read_bytes()
    for broken in (b"", good[:100], good.replace(FORMAT, b'"format": 99'), b"[]"):
        note.write_bytes(broken)
        assert cache.table(key) is None
    note.write_bytes(good)
    assert cache.table(key) == table


@pytest.mark.parametrize("how", ["cut", "gone", "empty"])
def test_a_table_that_lacks_a_part_is_built_again(mirror: Mirror, tmp_path: Path, how: str) -> None:
    """Where a part is gone or shorter than it was, the download builds the table anew."""
    settings = Settings(source=str(mirror.root), cache=tmp_path / "cache")
    wanted = Selection(("Person",), ("test",), images=False)
    download(wanted, tmp_path / "before", settings=settings)
    parts = list((tmp_path / "cache").glob("*/tables/*bbox*/*/part-*.parquet"))
    assert parts
    for part in parts:
        data = part.read_bytes()
        part.unlink() if how == "gone" else part.write_bytes(data[: -100 if how == "cut" else 0])
    download(wanted, tmp_path / "after", settings=settings)
    assert tree_of(tmp_path / "after") == tree_of(tmp_path / "before")


def test_bytes_that_rotted_in_a_table_are_named(mirror: Mirror, tmp_path: Path) -> None:
    """A part of its length with other bytes is named, and `oid index build --check` mends it."""
    settings = Settings(source=str(mirror.root), cache=tmp_path / "cache")
    wanted = Selection(("Person",), ("test",), images=False, metadata=False)
    download(wanted, tmp_path / "before", settings=settings)
    for path in (tmp_path / "cache").glob("*/tables/*bbox*/*/part-*.parquet"):
        data = path.read_bytes()
        path.write_bytes(data[:4] + bytes(120) + data[124:])
    with pytest.raises(IntegrityError, match="oid index build --check") as caught:
        download(wanted, tmp_path / "after", settings=settings)
    assert (tmp_path / str(caught.value).split(" in the cache")[0]).exists()
    index_build(splits=["test"], labels=["boxes"], check=True, settings=settings)
    download(wanted, tmp_path / "after", settings=settings)
    assert tree_of(tmp_path / "after") == tree_of(tmp_path / "before")


def test_a_mask_index_that_rotted_is_read_again(mirror: Mirror, tmp_path: Path) -> None:
    """A directory in the cache with other bytes counts as not there."""
    settings = Settings(source=str(mirror.root), cache=tmp_path / "cache")
    wanted = Selection(("Person",), ("test",), images=False, metadata=False)
    download(wanted, tmp_path / "before", settings=settings)
    for path in (tmp_path / "cache").glob("*/masks/*.parquet"):
        data = path.read_bytes()
        path.write_bytes(data[:4] + bytes(120) + data[124:])
    download(wanted, tmp_path / "after", settings=settings)
    assert tree_of(tmp_path / "after") == tree_of(tmp_path / "before")


# -- memory -------------------------------------------------------------------------------------

_BUILD = """
import resource, sys
from pathlib import Path
from oidkit.schema import BOXES
from oidkit.selection import Selection
from oidkit.store import Checksums
from oidkit.tables import TableBuilder

rows, folder = int(sys.argv[1]), Path(sys.argv[2])
header = b"ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated," \
    b"IsGroupOf,IsDepiction,IsInside\\n"
end = b",1,0.022673031,0.9642005,0.07103825,0.80054647,0,0,0,0,0\\n"
classes = [b",xclick,/m/0zz%03d" % at for at in range(601)]
builder = TableBuilder(folder / "tables", folder / "work", BOXES, name="boxes.csv")
builder.begin('"etag"', Checksums())
builder.feed(header)
for first in range(0, rows, 10_000):
    builder.feed(b"".join(
        b"%016x" % (at // 8 << 40) + classes[at * at % 601] + end
        for at in range(first, first + 10_000)
    ))
table = builder.finish()
builder.close()
assert table.rows == rows
try:
    # what getrusage tells on Linux includes the process that started this one
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
except FileNotFoundError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(table.bytes, peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the peak of a process")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A CSV of 150 MB takes no more memory than one of 54 MB, and both stay below 700 MB."""
    peaks = {}
    for rows in (600_000, 1_700_000):
        command = [sys.executable, "-c", _BUILD, str(rows), str(tmp_path / str(rows))]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        size, peaks[rows] = (int(word) for word in done.stdout.split())
    assert size > 150_000_000
    small, large = peaks.values()
    print(f"peaks: {peaks} bytes for {size} bytes of CSV")
    assert large < small + (48 << 20)
    assert large < 700 << 20
