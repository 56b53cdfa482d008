"""A made release has the quirks of the real files, exact numbers, and the same bytes each time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import struct
import time
import zipfile
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from oidkit import catalog
from oidkit.catalog import SHARDS, SPLITS, Release, Split
from oidkit.errors import UsageError
from oidkit.testing import MadeRelease, PerSplit, ReleaseSpec, make_release
from oidkit.testing.__main__ import main
from oidkit.testing.masks import deflated
from oidkit.testing.zips import write_zip

if TYPE_CHECKING:
    from pathlib import Path

HANDGUN = "/m/0gxl3"
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
Row = dict[str, str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> MadeRelease:
    """Make a few hundred images with everything, once for all tests."""
    return make_release(tmp_path_factory.mktemp("small"), ReleaseSpec.small())


def rows(made: MadeRelease, key: str) -> list[Row]:
    """Read a CSV with the csv module."""
    with (made.root / key).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def boxes(made: MadeRelease, split: Split, release: Release = "v7") -> list[Row]:
    """Read the box rows of a split."""
    return rows(made, catalog.tables(release, "boxes", split)[0].key)


def masks(made: MadeRelease, split: Split) -> list[Row]:
    """Read the mask rows of a split."""
    return rows(made, catalog.tables("v7", "masks", split)[0].key)


def members(made: MadeRelease, split: Split) -> dict[str, bytes]:
    """Read every member of the split's zips with the zipfile module, which checks the CRCs."""
    contents: dict[str, bytes] = {}
    for file in catalog.mask_zips(split):
        with zipfile.ZipFile(made.root / file.key) as archive:
            for name in archive.namelist():
                assert name not in contents
                contents[name] = archive.read(name)
    return contents


def tree(root: Path) -> dict[str, tuple[str, float]]:
    """Map each file below a folder to its MD5 and time."""
    return {
        str(path.relative_to(root)): (
            hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
            path.stat().st_mtime,
        )
        for path in root.rglob("*")
        if path.is_file()
    }


def test_the_same_spec_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two trees of one spec are equal to the byte and the time; another seed differs."""
    spec = ReleaseSpec.tiny()
    one, two, other = (
        tree(make_release(tmp_path / str(nth), each).root)
        for nth, each in enumerate((spec, spec, replace(spec, seed=1)))
    )
    assert one == two
    kinds = ("annotations-bbox", "object-segmentation", "with-rotation", "imagelabels")
    drawn = [key for key in one if any(kind in key for kind in kinds)]
    assert len(drawn) > 20
    assert not [key for key in drawn if one[key][0] == other[key][0]]
    assert not {key for key in one if key.endswith(".jpg")} & set(other)
    assert {time for _, time in one.values()}.isdisjoint(time for _, time in other.values())


def test_every_table_of_every_release_is_there(small: MadeRelease) -> None:
    """Each file that the catalog lists and that is still given out exists with its rows."""
    for release in catalog.RELEASES:
        keys = [catalog.class_file(release).key, catalog.hierarchy_file().key]
        for split in SPLITS:
            keys.append(catalog.image_list(release, split).key)
            for label in catalog.labels_of(release):
                files = catalog.tables(release, label, split)
                keys += [file.key for file in files if not file.gone]
        missing = [key for key in keys if not (small.root / key).is_file()]
        assert not missing
    for key, count in small.rows.items():
        if key.endswith(".csv"):
            assert len(rows(small, key)) == count


def test_class_files_differ_as_the_real_ones_do(small: MadeRelease) -> None:
    """Header, line ends, order and names are those that each release has."""
    v4, v5, v7 = (
        (small.root / catalog.class_file(release).key).read_bytes()
        for release in ("v4", "v5", "v7")
    )
    assert v4.count(b"\n") == 60
    assert b"\r" not in v4
    assert (v5.count(b"\r\n"), v5.count(b"\n")) == (59, 60)
    assert not v5.endswith(b"\r\n")
    assert v7.startswith(b"LabelName,DisplayName\r\n")
    assert v7.count(b"\r\n") == v7.count(b"\n") == 61
    names = [line["DisplayName"] for line in rows(small, catalog.class_file("v7").key)]
    assert names == sorted(names)
    assert b"/m/0cmf2,Airplane" in v4
    assert b"/m/0cmf2,Airplane" in v5
    assert b"/m/0cmf2,Fixed-wing aircraft" in v7
    assert b"/m/013y1f,Organ\n" in v4
    assert b"/m/0cyhj_,Orange (fruit)" in v7


def test_full_class_lists_have_commas_accents_and_twins(small: MadeRelease) -> None:
    """V7 quotes commas and has no name twice; V6 has names that occur twice in some case."""
    v6 = catalog.all_classes_file("v6")
    v7 = catalog.all_classes_file("v7")
    assert v6 is not None
    assert v7 is not None
    assert b"\r" not in (small.root / v6.key).read_bytes()
    names6 = Counter(line["DisplayName"].casefold() for line in rows(small, v6.key))
    names7 = Counter(line["DisplayName"].casefold() for line in rows(small, v7.key))
    assert max(names6.values()) == 2
    assert max(names7.values()) == 1
    assert any("," in name for name in names7)
    assert any(not name.isascii() for name in names7)
    assert any(line["LabelName"].startswith("/g/") for line in rows(small, v7.key))


def test_the_hierarchy_is_a_dag_written_as_a_tree(small: MadeRelease) -> None:
    """Every class is in it, some in several branches, some as a part."""
    text = (small.root / catalog.hierarchy_file().key).read_text(encoding="utf-8")
    seen: Counter[str] = Counter()
    parts = 0
    waiting = [json.loads(text)]
    while waiting:
        node = waiting.pop()
        seen[node["LabelName"]] += 1
        parts += len(node.get("Part", ()))
        waiting += [*node.get("Subcategory", ()), *node.get("Part", ())]
    assert set(seen) == {"/m/0bl9f", *(each.mid for each in small.classes)}
    assert seen["/m/0zvk5"] == 2
    assert parts >= 4


@pytest.mark.parametrize("split", SPLITS)
def test_box_files_have_their_columns_and_order(small: MadeRelease, split: Split) -> None:
    """Ids ascend, boxes have an extent within the image, flags are -1, 0 or 1."""
    read = boxes(small, split)
    ids = [row["ImageID"] for row in read]
    assert ids == sorted(ids)
    assert len(set(ids)) == small.spec.images.of(split)
    assert len(read) == small.spec.boxes_of(split)
    assert len(read[0]) == (21 if split == "train" else 13)
    known = {each.mid for each in small.classes}
    for row in read:
        assert row["LabelName"] in known
        assert 0 <= float(row["XMin"]) < float(row["XMax"]) <= 1
        assert 0 <= float(row["YMin"]) < float(row["YMax"]) <= 1
        assert {row[flag] for flag in FLAGS} <= {"-1", "0", "1"}
    assert {row["Source"] for row in read} == (
        {"xclick", "activemil"} if split == "train" else {"xclick", "freeform"}
    )
    assert any(row["IsOccluded"] == "-1" for row in read) or split != "train"


def test_coordinates_are_written_as_in_the_real_files(small: MadeRelease) -> None:
    """Train has six decimals; validation has up to nine and no final zeros."""
    train = {row["XMin"] for row in boxes(small, "train")}
    assert {len(text) for text in train} == {8}
    validation = {row["XMin"] for row in boxes(small, "validation")} - {"0.0"}
    decimals = {len(text.split(".")[1]) for text in validation}
    assert len(decimals) > 2
    assert max(decimals) <= 9
    assert not any(text.endswith("0") for text in validation)


def test_clicks_lie_on_the_sides_of_their_box(small: MadeRelease) -> None:
    """Top, left, bottom and right click touch the box; boxes by a machine have none."""
    for row in boxes(small, "train"):
        xs = [row[f"XClick{nth}X"] for nth in range(1, 5)]
        ys = [row[f"XClick{nth}Y"] for nth in range(1, 5)]
        if row["Source"] == "activemil":
            assert {*xs, *ys} == {"-1"}
            continue
        assert (xs[1], xs[3]) == (row["XMin"], row["XMax"])
        assert (ys[0], ys[2]) == (row["YMin"], row["YMax"])
        assert float(row["XMin"]) <= float(xs[0]) <= float(row["XMax"])
        assert float(row["YMin"]) <= float(ys[3]) <= float(row["YMax"])


def test_releases_share_and_vary_their_boxes(small: MadeRelease) -> None:
    """V4's train rows are V6's without clicks; its validation rows are two thirds of V5's."""
    columns = list(boxes(small, "train", "v4")[0])
    new = [[row[name] for name in columns] for row in boxes(small, "train", "v6")]
    assert [list(row.values()) for row in boxes(small, "train", "v4")] == new
    v4, v5 = boxes(small, "validation", "v4"), boxes(small, "validation", "v5")
    assert 0.5 < len(v4) / len(v5) < 0.85
    assert not [row for row in v4 if row not in v5]


@pytest.mark.parametrize("split", SPLITS)
def test_mask_rows_agree_with_boxes_and_zips(small: MadeRelease, split: Split) -> None:
    """Each row is a box of the box file, and a member of the zip that its id names."""
    read = masks(small, split)
    assert len(read) == small.spec.masks_of(split)
    ids = [row["ImageID"] for row in read]
    assert ids != sorted(ids)
    by_class: dict[tuple[str, str], list[Row]] = {}
    for row in boxes(small, split):
        by_class.setdefault((row["ImageID"], row["LabelName"]), []).append(row)
    for row in read:
        stem = row["LabelName"].replace("/", "")
        assert row["MaskPath"] == f"{row['ImageID']}_{stem}_{row['BoxID']}.png"
        # the mask files have six decimals in every split, the box files of train alone
        (box,) = (
            each
            for each in by_class[row["ImageID"], row["LabelName"]]
            if all(
                float(each[side]) == pytest.approx(float(row[f"Box{side}"]), abs=1.1e-6)
                for side in ("XMin", "XMax", "YMin", "YMax")
            )
        )
        assert {box["IsGroupOf"], box["IsDepiction"], box["IsInside"]} == {"0"}
        if split == "train":
            assert not [click for click in row["Clicks"].split(";") if len(click.split(" ")) != 3]
        else:
            assert (row["PredictedIoU"], row["Clicks"]) == ("0.00000", "")
    for shard in SHARDS:
        with zipfile.ZipFile(small.root / catalog.mask_zip(split, shard).key) as archive:
            wanted = {row["MaskPath"] for row in read if row["ImageID"][0] == shard}
            assert set(archive.namelist()) == wanted
            assert {info.compress_type for info in archive.infolist()} <= {zipfile.ZIP_DEFLATED}


def test_masks_are_one_bit_pngs_that_fit_their_box(small: MadeRelease) -> None:
    """Colour type 0, depth 1, three chunks; the drawn extent is the box to a pixel or two."""
    sizes: Counter[bool] = Counter()
    contents = members(small, "train")
    jpegs = small.root / "open-images-dataset" / "train"
    for row in masks(small, "train"):
        png = contents[row["MaskPath"]]
        chunks, at = [], 8
        while at < len(png):
            (length,) = struct.unpack_from(">I", png, at)
            chunks.append(png[at + 4 : at + 8])
            at += 12 + length
        assert chunks == [b"IHDR", b"IDAT", b"IEND"]
        assert png[24:29] == bytes([1, 0, 0, 0, 0])
        with Image.open(io.BytesIO(png)) as picture:
            width, height = picture.size
            drawn = picture.getbbox()
        assert drawn is not None
        sides = (row["BoxXMin"], row["BoxYMin"], row["BoxXMax"], row["BoxYMax"])
        box = [float(side) * size for side, size in zip(sides, (width, height) * 2, strict=True)]
        assert np.allclose(drawn, box, atol=1.01)
        if (jpegs / f"{row['ImageID']}.jpg").exists():
            with Image.open(jpegs / f"{row['ImageID']}.jpg") as image:
                sizes[image.size == (width, height)] += 1
    assert 0 < sizes[True] < sizes[False] / 4


def test_objects_are_drawn_inside_their_boxes(small: MadeRelease) -> None:
    """What a Handgun's mask covers has nearly one colour in the image, unlike its surroundings."""
    contents = members(small, "test")
    checked = 0
    taken = Counter(row["ImageID"] for row in boxes(small, "test"))
    for row in masks(small, "test"):
        path = small.root / catalog.image_key("test", row["ImageID"])
        if row["LabelName"] != HANDGUN or taken[row["ImageID"]] > 1 or not path.exists():
            continue
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"), dtype=float)
        with Image.open(io.BytesIO(contents[row["MaskPath"]])) as mask:
            size = (pixels.shape[1], pixels.shape[0])
            inside = np.asarray(mask.resize(size, Image.Resampling.NEAREST))
        assert abs(np.median(pixels[inside]) - np.median(pixels[~inside])) > 30
        checked += 1
    assert checked


@pytest.mark.parametrize("split", SPLITS)
def test_handguns_are_in_every_split_with_masks(small: MadeRelease, split: Split) -> None:
    """The class of the demo has boxes, masks and JPEGs everywhere."""
    read = [row for row in boxes(small, split) if row["LabelName"] == HANDGUN]
    assert len(read) >= 5
    assert sum(row["LabelName"] == HANDGUN for row in masks(small, split)) >= 5
    keys = {catalog.image_key(split, row["ImageID"]) for row in read}
    assert sum((small.root / key).exists() for key in keys) >= 5


def test_classes_have_a_long_tail(small: MadeRelease) -> None:
    """Person is the most frequent class but for the planted one, and the tail is long."""
    counts = Counter(row["LabelName"] for row in boxes(small, "train"))
    counts.pop(HANDGUN)
    assert counts.most_common(1)[0][0] == "/m/01g317"
    assert max(counts.values()) > 8 * min(counts.values())


def test_image_lists_have_the_quirks_of_the_real_ones(small: MadeRelease) -> None:
    """Twelve columns, unsorted, quoted commas, accents, empty thumbnails, all kinds of rotation."""
    read = rows(small, catalog.image_list("v7", "train").key)
    ids = [row["ImageID"] for row in read]
    assert ids != sorted(ids)
    assert set(ids) == {row["ImageID"] for row in boxes(small, "train")}
    assert {len(row) for row in read} == {12}
    assert {"0.0", "0", "", "NaN", "90.0", "270.0"} <= {row["Rotation"] for row in read}
    assert any("," in row["Title"] for row in read)
    assert any('"' in row["Title"] for row in read)
    assert any(not row["Title"].isascii() for row in read)
    assert 0 < sum(not row["Thumbnail300KURL"] for row in read) < 0.1 * len(read)
    assert {len(row["OriginalMD5"]) for row in read} == {24}


def test_the_bucket_lacks_the_asked_share_of_images(small: MadeRelease) -> None:
    """One in ten images has no JPEG, none is there that no list names, some are odd."""
    modes: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    exif = 0
    for split in SPLITS:
        folder = small.root / "open-images-dataset" / split
        there = {path.stem for path in folder.iterdir()}
        listed = {row["ImageID"] for row in rows(small, catalog.image_list("v7", split).key)}
        assert there < listed
        assert len(there) == small.jpegs[split] == round(0.9 * len(listed))
        for path in folder.iterdir():
            with Image.open(path) as image:
                image.load()
                modes[image.mode] += 1
                sizes[max(image.size)] += 1
                exif += len(image.getexif()) > 0
    assert 0 < modes["L"] < modes["RGB"]
    assert len(sizes) > 2
    assert exif == 1


def test_image_labels_agree_with_the_boxes(small: MadeRelease) -> None:
    """A class with a box is verified as there, one verified as absent has no box."""
    there = {(row["ImageID"], row["LabelName"]) for row in boxes(small, "validation")}
    read = rows(small, catalog.boxable_image_labels("v7", "validation").key)
    for row in read:
        assert ((row["ImageID"], row["LabelName"]) in there) == (row["Confidence"] == "1")
    assert {row["Confidence"] for row in read} == {"0", "1"}
    assert [row["ImageID"] for row in read] == sorted(row["ImageID"] for row in read)
    human, machine = catalog.tables("v7", "image-labels", "validation")
    assert not [row for row in rows(small, machine.key) if not 0.5 <= float(row["Confidence"]) <= 1]
    boxable = {each.mid for each in small.classes}
    assert any(row["LabelName"] not in boxable for row in rows(small, human.key))


def test_relationships_points_and_narratives_are_about_the_images(small: MadeRelease) -> None:
    """They name images of their split; attributes are `is` and a MID of no class."""
    ids = {row["ImageID"] for row in boxes(small, "train")}
    related = rows(small, catalog.tables("v7", "relationships", "train")[0].key)
    assert {row["ImageID"] for row in related} <= ids
    known = {each.mid for each in small.classes}
    assert not [
        row for row in related if (row["RelationshipLabel"] == "is") == (row["LabelName2"] in known)
    ]
    points = rows(small, catalog.tables("v7", "points", "train")[0].key)
    assert {row["ImageId"] for row in points} <= ids
    assert {row["EstimatedYesNo"] for row in points} == {"yes", "no", "unsure"}
    told = [
        json.loads(line)
        for file in catalog.tables("v7", "narratives", "train")
        for line in (small.root / file.key).read_text(encoding="utf-8").splitlines()
    ]
    assert {each["image_id"] for each in told} <= ids
    assert len(told) == len({each["image_id"] for each in told}) > 30


def test_exact_numbers_of_rows_and_members(tmp_path: Path) -> None:
    """Box rows and members of each zip are what the spec says, ZIP64 above 65,535 members."""
    spec = ReleaseSpec(
        releases=("v7",),
        labels=("boxes", "masks"),
        images=PerSplit(4_000, 40, 40),
        boxes=PerSplit(20_011, 100, 16),
        members_per_zip=PerSplit(500, 3, 1),
        jpegs=20,
        long_side=128,
    )
    made = make_release(tmp_path / "made", spec)
    assert len(boxes(made, "train")) == 20_011
    assert [len(boxes(made, split)) for split in ("validation", "test")] == [100, 16]
    for split, count in zip(SPLITS, (500, 3, 1), strict=True):
        assert len(masks(made, split)) == 16 * count
        assert set(members(made, split)) == {row["MaskPath"] for row in masks(made, split)}
        for file in catalog.mask_zips(split):
            assert made.rows[file.key] == count
    assert made.jpegs == {"train": 20, "validation": 20, "test": 20}
    handguns = {row["ImageID"] for row in boxes(made, "train") if row["LabelName"] == HANDGUN}
    there = {path.stem for path in (made.root / "open-images-dataset" / "train").iterdir()}
    assert there <= handguns


@pytest.mark.parametrize("count", [0, 1, 65_534, 65_535, 65_536, 70_001])
def test_zips_of_every_size_open(count: int) -> None:
    """The zipfile module reads them all; from 65,535 members on they have ZIP64 records."""
    contents = [deflated(bytes([nth]) * (nth + 1)) for nth in range(7)]
    file = io.BytesIO()
    assert (
        write_zip(file, ((f"{nth:016x}.png", contents[nth % 7]) for nth in range(count))) == count
    )
    assert (b"PK\x06\x07" in file.getvalue()[-42:]) == (count >= 65_535)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        assert names == [f"{nth:016x}.png" for nth in range(count)]
        for nth in range(0, count, max(1, count // 50)):
            assert archive.read(names[nth]) == bytes([nth % 7]) * (nth % 7 + 1)


def test_box_rows_are_written_fast_enough_for_the_full_size(tmp_path: Path) -> None:
    """At the rate of half a million rows, 14,610,229 take less than two minutes."""
    spec = ReleaseSpec(
        releases=("v7",),
        labels=("boxes",),
        image_lists=False,
        images=PerSplit(60_000, 0, 0),
        boxes=PerSplit(500_000, 0, 0),
        classes=601,
        jpegs=0,
    )
    started = time.perf_counter()
    made = make_release(tmp_path / "made", spec)
    seconds = time.perf_counter() - started
    (file,) = catalog.tables("v7", "boxes", "train")
    with (made.root / file.key).open("rb") as lines:
        assert sum(1 for _ in lines) == 500_001
    assert seconds / 500_000 * 14_610_229 < 120


def test_jpegs_of_an_exact_size_are_all_different(tmp_path: Path) -> None:
    """Each is as long as asked, opens, and no two are alike, though pictures repeat."""
    spec = replace(ReleaseSpec.tiny(), jpeg_bytes=150_000, jpeg_pool=2, labels=("boxes",))
    made = make_release(tmp_path / "made", spec)
    contents = [path.read_bytes() for path in (made.root / "open-images-dataset").rglob("*.jpg")]
    assert {len(content) for content in contents} == {150_000}
    assert len(set(contents)) == len(contents) == 23
    for content in contents:
        with Image.open(io.BytesIO(content)) as image:
            image.load()


def test_a_split_without_images_has_headers_alone(tmp_path: Path) -> None:
    """Every file of an empty split is there, with its header and empty zips."""
    made = make_release(tmp_path / "made", replace(ReleaseSpec.tiny(), images=PerSplit(6, 0, 0)))
    for label in ("boxes", "masks", "image-labels", "relationships", "points"):
        for file in catalog.tables("v7", label, "test"):
            text = (made.root / file.key).read_text(encoding="utf-8")
            assert text.count("\n") == 1
            assert "," in text
    assert members(made, "test") == {}


def test_one_release_writes_its_own_files_alone(tmp_path: Path) -> None:
    """V4 has no masks, and nothing of later releases is made."""
    made = make_release(tmp_path / "made", replace(ReleaseSpec.tiny(), releases=("v4",)))
    folders = {path.name for path in (made.root / "openimages").iterdir()}
    assert folders <= {"2018_04", "2019_01", "v5"}
    assert not (made.root / catalog.mask_zip("train", "0").key).exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 5},
        {"classes": 602},
        {"boxes": PerSplit(10, 0, 0), "masks": PerSplit(11, 0, 0)},
        {"images": PerSplit(0, 1, 1), "boxes": PerSplit(5, 1, 1)},
        {"images": PerSplit(15, 1, 1), "members_per_zip": PerSplit(1, 0, 0)},
        {"masks": PerSplit(1, 1, 1), "members_per_zip": PerSplit(1, 1, 1)},
        {"images": PerSplit(-1, 1, 1)},
    ],
)
def test_numbers_that_cannot_be_met_are_refused(wrong: dict[str, object]) -> None:
    """A spec says at once what is wrong with it."""
    with pytest.raises(UsageError):
        replace(ReleaseSpec.tiny(), **wrong)  # type: ignore[arg-type]


def test_a_mirror_is_not_written_over(small: MadeRelease) -> None:
    """What is there stays, and the error names the folder."""
    before = tree(small.root)
    with pytest.raises(UsageError, match="openimages"):
        make_release(small.root, ReleaseSpec.tiny())
    assert tree(small.root) == before


def test_the_command_makes_what_it_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make` takes a preset and numbers; a second try in the same folder ends with exit 2."""
    folder = tmp_path / "made"
    command = ["make", str(folder), "--preset", "tiny", "--boxes", "77", "--jpegs", "1"]
    assert main(command) == 0
    assert "3 JPEGs" in capsys.readouterr().out
    text = (folder / catalog.tables("v7", "boxes", "train")[0].key).read_text(encoding="utf-8")
    assert text.count("\n") == 78
    assert main(command) == 2
    assert "empty folder" in capsys.readouterr().err
    assert main(["serve", str(tmp_path / "nowhere")]) == 2
