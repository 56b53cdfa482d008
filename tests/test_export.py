"""`oid export` as a user has it: what is in the folder comes out, and nothing is half done."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from PIL import Image

import oidkit
from cli_runs import sentence
from mirrors import CLASSES, environment, made_mirror, start, tree
from oidkit.cli import main
from oidkit.errors import DiskError, IntegrityError, InterruptedRunError, OidError, UsageError
from oidkit.events import Fetched
from oidkit.formats.folder import MARKER, replacing
from oidkit.formats.frames import Resizing, frame_of
from oidkit.formats.making import Making
from oidkit.formats.masks import runs
from oidkit.formats.model import Flags, Picture, Thing
from oidkit.formats.objects import mask_file
from oidkit.formats.registry import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oidkit.events import Event

DATASETS: dict[str, Path] = {}
LEFT = ".oid-tmp-export-*"


def downloaded(factory: pytest.TempPathFactory, name: str, **more: Any) -> Path:
    """Download a dataset once for all tests; nobody may change it."""
    if name not in DATASETS:
        root = factory.mktemp("datasets") / name
        settings = oidkit.Settings(
            source=str(made_mirror(factory)), cache=factory.getbasetemp() / "cache-of-exports"
        )
        oidkit.download(oidkit.Selection(CLASSES, **more), root, settings=settings)
        DATASETS[name] = root
    return DATASETS[name]


@pytest.fixture
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset of two classes that share images, with masks; a few images are missing."""
    return downloaded(tmp_path_factory, "two")


@pytest.fixture
def copied(dataset: Path, tmp_path: Path) -> Path:
    """Give a copy of the dataset that a test may change."""
    return Path(shutil.copytree(dataset, tmp_path / "copied"))


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV as the csv module does."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def published(dataset: Path, label: str) -> list[tuple[str, dict[str, str]]]:
    """Read all rows of a label type in the folder, each with its split."""
    return [
        (path.stem.split("_")[-2], row)
        for path in sorted((dataset / "csv").glob(f"m*_{label}.csv"))
        for row in rows(path)
    ]


def there(dataset: Path) -> dict[str, Path]:
    """Give the images that have a file, by id."""
    return {path.stem: path for path in (dataset / "images").rglob("*.jpg")}


def size_of(path: Path) -> tuple[int, int]:
    """Give the width and height of a picture, as Pillow sees them."""
    with Image.open(path) as picture:
        return picture.size


# -- what comes out ------------------------------------------------------------------------------


def test_every_box_is_in_the_table_in_the_pixels_of_its_image(
    dataset: Path, tmp_path: Path
) -> None:
    """The rows of the csv files, read by the csv module and measured by Pillow, are the table's."""
    summary = oidkit.export(dataset, tmp_path / "out", "csv")
    images = there(dataset)
    expected: Counter[tuple[str, ...]] = Counter()
    for split, row in published(dataset, "boxes"):
        if row["ImageID"] not in images:
            continue
        sides = dict(zip("XY", size_of(images[row["ImageID"]]), strict=True))
        corners = (
            f"{float(row[name]) * sides[name[0]]:.2f}" for name in ("XMin", "YMin", "XMax", "YMax")
        )
        expected[split, row["ImageID"], row["LabelName"], *corners, row["IsGroupOf"]] += 1
    names = ("split", "image_id", "mid", "xmin", "ymin", "xmax", "ymax", "group_of")
    found = Counter(
        tuple(row[name] for name in names)
        for row in rows(tmp_path / "out" / "boxes.csv")
        if row["xmin"]
    )
    assert found == expected
    assert summary.boxes == expected.total()
    assert sum(summary.pictures.values()) == len(images)


def test_every_mask_is_there_once_and_with_its_own_box(dataset: Path, tmp_path: Path) -> None:
    """Each mask of an image that is there stands in one row, beside the box of its own row."""
    summary = oidkit.export(dataset, tmp_path / "out", "csv")
    masks = {
        row["MaskPath"]: row
        for _, row in published(dataset, "masks")
        if row["ImageID"] in there(dataset)
    }
    table = [row for row in rows(tmp_path / "out" / "boxes.csv") if row["mask"]]
    assert Counter(Path(row["mask"]).name for row in table) == Counter([*masks])
    assert summary.masks == len(masks) == summary.joined + summary.lone_masks
    assert summary.joined
    for row in table:
        mask = masks[Path(row["mask"]).name]
        assert row["box_id"] == mask["BoxID"]
        source = dataset / "masks" / row["split"] / mask["MaskPath"]
        size = (int(row["width"]), int(row["height"]))
        with Image.open(source) as stored, Image.open(tmp_path / "out" / row["mask"]) as made:
            expected = stored.convert("L").resize(size, Image.Resampling.NEAREST)
            assert made.convert("L").tobytes() == expected.tobytes()
        if row["xmin"]:
            assert abs(float(row["xmin"]) / int(row["width"]) - float(mask["BoxXMin"])) < 1e-3
            assert abs(float(row["ymax"]) / int(row["height"]) - float(mask["BoxYMax"])) < 1e-3


def test_an_image_of_two_classes_is_one_picture_and_a_link(dataset: Path, tmp_path: Path) -> None:
    """However many folders hold an image, it is exported once, and takes no room."""
    oidkit.export(dataset, tmp_path / "out", "csv")
    listed = [row["image_id"] for row in rows(tmp_path / "out" / "images.csv")]
    several = Counter(path.stem for path in (dataset / "images").rglob("*.jpg"))
    assert max(several.values()) > 1
    assert sorted(listed) == sorted(several)
    for path in (tmp_path / "out" / "images").rglob("*.jpg"):
        assert path.samefile(there(dataset)[path.stem])


def test_a_flat_dataset_and_one_by_class_come_out_alike(
    dataset: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The layout of the dataset folder makes no difference to the export."""
    flat = downloaded(tmp_path_factory, "flat", layout="flat")
    for name, root in (("one", dataset), ("other", flat)):
        oidkit.export(root, tmp_path / name, "csv")
    assert tree(tmp_path / "one") == tree(tmp_path / "other")


def test_an_image_without_an_object_is_kept(copied: Path, tmp_path: Path) -> None:
    """A picture that was chosen and has no row, as a verified negative, is exported empty."""
    image_id = min(there(copied))
    for path in (copied / "csv").glob("m*.csv"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if image_id not in line), encoding="utf-8")
    oidkit.export(copied, tmp_path / "out", "csv")
    assert image_id in {row["image_id"] for row in rows(tmp_path / "out" / "images.csv")}
    assert image_id not in {row["image_id"] for row in rows(tmp_path / "out" / "boxes.csv")}


def test_the_objects_of_every_class_are_there_where_they_were_downloaded(
    dataset: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`annotations="all"` takes every class; a dataset without them says how to get them."""
    every = downloaded(tmp_path_factory, "every", annotations="all")
    oidkit.export(every, tmp_path / "all", "csv", annotations="all")
    oidkit.export(every, tmp_path / "some", "csv")
    mids = {row["mid"] for row in rows(tmp_path / "all" / "boxes.csv")}
    rows_of = [row for path in every.glob("csv/all_*_boxes.csv") for row in rows(path)]
    assert mids == {row["LabelName"] for row in rows_of if row["ImageID"] in there(every)}
    assert {row["class"] for row in rows(tmp_path / "some" / "boxes.csv")} == set(CLASSES)
    with pytest.raises(UsageError, match="--annotations all"):
        oidkit.export(dataset, tmp_path / "out", "csv", annotations="all")


def test_rows_that_stand_in_two_files_count_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With all annotations a box of a requested class is in two files, and is one object."""
    every = downloaded(tmp_path_factory, "every", annotations="all")
    summary = oidkit.export(every, tmp_path / "all", "csv", annotations="all")
    rows_of = [row for path in every.glob("csv/all_*_boxes.csv") for row in rows(path)]
    assert summary.boxes == sum(row["ImageID"] in there(every) for row in rows_of)


def test_image_labels_tell_what_is_verified(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, sample: Path
) -> None:
    """Of real labels by human, confidence 1 is present and 0 is absent, as csv reads them."""
    root = tmp_path / "real"
    settings = oidkit.Settings(source=str(sample), cache=tmp_path / "cache")
    names = ("Dog", "Apple", "Person")
    chosen = oidkit.Selection(names, labels=("boxes", "image-labels"), negatives=True)
    oidkit.download(chosen, root, settings=settings)
    oidkit.export(root, tmp_path / "out", "openimages")
    expected = {
        (row["ImageID"], row["LabelName"], row["Confidence"])
        for _, row in published(root, "image-labels")
        if row["ImageID"] in there(root) and "verification" in row["Source"]
    }
    found = [
        (row["ImageID"], row["LabelName"], row["Confidence"])
        for path in (tmp_path / "out" / "annotations").glob("*imagelabels.csv")
        for row in rows(path)
    ]
    assert {(image, mid) for image, mid, _ in found} == {(image, mid) for image, mid, _ in expected}
    assert set(found) <= expected
    assert len(found) == len(set(found))


# -- classes, splits and sizes -------------------------------------------------------------------


def test_classes_are_merged_and_their_order_is_kept(dataset: Path, tmp_path: Path) -> None:
    """A map renames rows; the order that one export wrote keeps the numbers of the next."""
    oidkit.export(dataset, tmp_path / "one", "csv", class_map="handgun=zz weapon")
    assert (tmp_path / "one" / "classes.txt").read_text().splitlines() == ["Person", "zz weapon"]
    names = {row["class"]: row["mid"] for row in rows(tmp_path / "one" / "boxes.csv")}
    assert names["zz weapon"] == "/m/0gxl3"
    order = tmp_path / "order.txt"
    order.write_text("Zebra\nPerson\n")
    oidkit.export(dataset, tmp_path / "two", "csv", class_order=order)
    numbers = {row["class"]: row["class_number"] for row in rows(tmp_path / "two" / "boxes.csv")}
    assert numbers == {"Person": "1", "Handgun": "2"}
    oidkit.export(dataset, tmp_path / "three", "csv", class_map={"Person": "x", "/m/0gxl3": "x"})
    assert {row["class"] for row in rows(tmp_path / "three" / "boxes.csv")} == {"x"}


def test_a_new_split_takes_every_image_once(dataset: Path, tmp_path: Path) -> None:
    """All published splits are dealt out anew; a seed and fewer images change nothing else."""
    shares = {"train": 0.7, "val": 0.3}
    oidkit.export(dataset, tmp_path / "out", "csv", split_ratio=shares, seed=5)
    where = {row["image_id"]: row["split"] for row in rows(tmp_path / "out" / "images.csv")}
    assert set(where) == set(there(dataset))
    assert set(where.values()) == {"train", "val"}
    oidkit.export(
        dataset, tmp_path / "less", "csv", split_ratio=shares, seed=5, splits=("validation",)
    )
    less = {row["image_id"]: row["split"] for row in rows(tmp_path / "less" / "images.csv")}
    assert less
    assert less.items() < where.items()
    for row in rows(tmp_path / "out" / "boxes.csv"):
        assert row["split"] == where[row["image_id"]]


@pytest.mark.parametrize("processes", [1, 2])
def test_pictures_boxes_and_files_are_resized_alike(
    dataset: Path, tmp_path: Path, processes: int
) -> None:
    """A letterbox of 96 pixels moves each box as the csv files and plain arithmetic say."""
    oidkit.export(dataset, tmp_path / "whole", "csv")
    oidkit.export(
        dataset, tmp_path / "out", "csv", image_size=96, resize="letterbox", workers=processes
    )
    small = rows(tmp_path / "out" / "boxes.csv")
    for before, after in zip(rows(tmp_path / "whole" / "boxes.csv"), small, strict=True):
        width, height = int(before["width"]), int(before["height"])
        inner = [round(side * 96 / max(width, height)) for side in (width, height)]
        left, top = ((96 - side) // 2 for side in inner)
        assert (after["width"], after["height"]) == ("96", "96")
        if before["xmin"]:
            assert (
                abs(float(before["xmin"]) * inner[0] / width + left - float(after["xmin"])) < 0.02
            )
            assert (
                abs(float(before["ymax"]) * inner[1] / height + top - float(after["ymax"])) < 0.02
            )
    for path in (tmp_path / "out" / "images").rglob("*.jpg"):
        assert size_of(path) == (96, 96)


def test_a_picture_of_the_size_already_is_linked(dataset: Path, tmp_path: Path) -> None:
    """Nothing is decoded that need not be: a picture whose longest side is right stays as it is."""
    sides = Counter(max(size_of(path)) for path in there(dataset).values())
    usual = sides.most_common(1)[0][0]
    oidkit.export(dataset, tmp_path / "out", "csv", image_size=usual)
    same = [
        path
        for path in (tmp_path / "out" / "images").rglob("*.jpg")
        if path.samefile(there(dataset)[path.stem])
    ]
    assert len(same) == sides[usual]


def test_the_table_has_types_that_a_data_frame_finds_by_itself(
    dataset: Path, tmp_path: Path
) -> None:
    """Polars reads `boxes.csv` with numbers as numbers, and ids as text."""
    oidkit.export(dataset, tmp_path / "out", "csv")
    table = pl.read_csv(tmp_path / "out" / "boxes.csv", infer_schema_length=None)
    assert table.schema["width"] == table.schema["class_number"] == pl.Int64
    assert table.schema["occluded"] == pl.Int64
    assert table.schema["xmin"] == table.schema["ymax"] == pl.Float64
    assert table.schema["image_id"] == table.schema["mask"] == pl.String
    assert table.filter(pl.col("xmax") > pl.col("width") + 0.01).is_empty()


# -- openimages and oidv4 ------------------------------------------------------------------------


def test_openimages_has_the_published_rows_again(dataset: Path, tmp_path: Path) -> None:
    """Boxes and masks come out with the coordinates, flags and classes that they came in with."""
    oidkit.export(dataset, tmp_path / "out", "openimages")
    folder = tmp_path / "out" / "annotations"
    for label, name in (
        ("boxes", "annotations-bbox"),
        ("masks", "annotations-object-segmentation"),
    ):
        start_of = "" if label == "boxes" else "Box"
        sides = [f"{start_of}{side}" for side in ("XMin", "XMax", "YMin", "YMax")]
        others = ("ImageID", "LabelName", "IsTruncated" if label == "boxes" else "MaskPath")

        def key(split: str, row: dict[str, str], names: Any = (sides, others)) -> tuple[Any, ...]:
            corners = tuple(round(float(row[side]), 5) for side in names[0])
            return (split, *(row[other] for other in names[1]), *corners)

        expected = Counter(
            key(split, row)
            for split, row in published(dataset, label)
            if row["ImageID"] in there(dataset)
        )
        found = Counter(
            key(path.name.split("-")[0], row)
            for path in folder.glob(f"*-{name}.csv")
            for row in rows(path)
            if row[sides[0]]
        )
        assert found == expected
    for line in (folder / "images.meta").read_text().splitlines():
        image_id, height, width = line.split()
        assert size_of(there(dataset)[image_id]) == (int(width), int(height))


@pytest.mark.parametrize("name", ["csv", "openimages"])
@pytest.mark.parametrize("more", [{}, {"image_size": 50}, {"image_size": 50, "resize": "stretch"}])
def test_masks_as_files_have_the_pixels_of_their_picture(
    dataset: Path, tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    """A mask of another size than its image is brought to the size of the exported picture."""
    oidkit.export(dataset, tmp_path / "out", name, **more)
    masks = sorted((tmp_path / "out" / "masks").rglob("*.png"))
    assert masks
    for path in masks:
        picture = tmp_path / "out" / "images" / path.parent.name / f"{path.name[:16]}.jpg"
        assert size_of(path) == size_of(picture)


def test_a_mask_file_is_padded_by_a_single_pixel(tmp_path: Path) -> None:
    """A published mask that has the size of the padded picture is not taken for the padded one."""
    Image.new("1", (30, 30), 1).save(tmp_path / "mask.png")
    picture = Picture("train", "0" * 16, tmp_path / "a.jpg", 60, 58)
    frame = frame_of(60, 58, Resizing(30, "letterbox"))
    thing = Thing(0, "/m/0gxl3", None, tmp_path / "mask.png", Flags(), 0)
    shape = runs(tmp_path / "mask.png", picture, frame)
    made = mask_file("masks/mask.png", shape, thing=thing, picture=picture, frame=frame)
    with Image.open(io.BytesIO(made.content or b"")) as mask:
        assert (mask.size, mask.getbbox()) == ((30, 30), (0, 0, 30, 29))


def test_openimages_moves_masks_into_a_letterbox(dataset: Path, tmp_path: Path) -> None:
    """Where pictures are padded, masks are too, and cover what their boxes cover."""
    oidkit.export(dataset, tmp_path / "out", "openimages", image_size=160, resize="letterbox")
    found = sorted((tmp_path / "out" / "masks").rglob("*.png"))
    images = there(dataset)
    masks = [path for path in found if len(set(size_of(images[path.name[:16]]))) > 1]
    assert masks
    for path in masks:
        with Image.open(path) as mask:
            assert (mask.size, mask.mode) == ((160, 160), "1")
            assert mask.getbbox() is not None


def test_oidv4_is_what_its_toolkit_writes(dataset: Path, tmp_path: Path) -> None:
    """Each label file has the lines that the toolkit's own arithmetic gives, in the rows' order."""
    summary = oidkit.export(dataset, tmp_path / "out", "oidv4")
    expected: dict[str, str] = {}
    names = {"/m/0gxl3": "Handgun", "/m/01g317": "Person"}
    for split, row in published(dataset, "boxes"):
        if row["ImageID"] not in there(dataset):
            continue
        width, height = size_of(there(dataset)[row["ImageID"]])
        name = names[row["LabelName"]]
        box = [float(row[side]) for side in ("XMin", "YMin", "XMax", "YMax")]
        line = " ".join(
            str(side * size) for side, size in zip(box, (width, height) * 2, strict=True)
        )
        path = f"{split}/{name}/Label/{row['ImageID']}.txt"
        expected[path] = expected.get(path, "") + f"{name} {line}\n"
    found = tree(tmp_path / "out")
    assert {path: data.decode() for path, data in found.items() if "/Label/" in path} == expected
    pictures = {path for path in found if path.endswith(".jpg")}
    assert pictures == {path.replace("/Label/", "/").replace(".txt", ".jpg") for path in expected}
    without = {row["ImageID"] for _, row in published(dataset, "boxes")}
    lost = len(set(there(dataset)) - without)
    assert [note.split()[0] for note in summary.notes if "no box" in note] == [str(lost)] * (
        lost > 0
    )


# -- what is missing or wrong --------------------------------------------------------------------


def test_missing_images_are_left_out_and_counted(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command exports what is there with exit code 0, and says how many images are not."""
    gone = min(there(copied))
    for path in (copied / "images").rglob(f"{gone}.jpg"):
        path.unlink()
    code = main(
        ["export", str(copied), "--format", "csv", "--out", str(tmp_path / "out"), "--json"]
    )
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    listed = {row["image_id"] for row in rows(tmp_path / "out" / "images.csv")}
    assert code == 0
    assert gone not in listed
    assert f"{found['missing']:,} images" in printed.err
    assert any(each.endswith(gone) for each in found["left_out"])
    assert sum(found["pictures"].values()) == len(listed) == len(there(copied))


def never_wanted(dataset: Path, part: str) -> None:
    """Let a dataset be one that was downloaded with --no-images or --no-metadata."""
    path = dataset / ".oid" / "dataset.json"
    said = json.loads(path.read_text())
    for each in said["selections"]:
        each[part] = False
    path.unlink()
    path.write_text(json.dumps(said))


def test_images_that_have_not_come_yet_are_asked_for(copied: Path, tmp_path: Path) -> None:
    """The remedy is that of what happened: a run that ended early, or one without images."""
    shutil.rmtree(copied / "images")
    with pytest.raises(UsageError, match=r"none of the .* run its download again: it fetches"):
        oidkit.export(copied, tmp_path / "out", "csv")
    early = Path(shutil.copytree(copied, tmp_path / "early"))
    for path in (*early.glob("downloader_IDs_*"), early / ".oid" / "manifest.csv"):
        path.unlink()
    with pytest.raises(UsageError, match=r"has no list of images yet; run its download again: it"):
        oidkit.export(early, tmp_path / "out", "csv")
    never_wanted(copied, "images")
    with pytest.raises(UsageError, match=r"run its download again, without --no-images"):
        oidkit.export(copied, tmp_path / "out", "csv")
    assert not (tmp_path / "out").exists()


def test_damaged_images_are_left_out_and_counted(copied: Path, tmp_path: Path) -> None:
    """A file that tells no size, and one that cannot be decoded, do not end an export."""
    first, second = sorted(there(copied))[:2]
    for path in (copied / "images").rglob(f"{first}.jpg"):
        path.write_bytes(b"not a picture")
    for path in (copied / "images").rglob(f"{second}.jpg"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    summary = oidkit.export(copied, tmp_path / "out", "csv", image_size=50)
    assert summary.damaged == 2
    table = rows(tmp_path / "out" / "boxes.csv")
    assert not {first, second} & {row["image_id"] for row in table}
    # What is counted is what was exported.
    assert summary.boxes == sum(bool(row["xmin"]) for row in table)
    assert summary.masks == sum(bool(row["mask"]) for row in table)


def test_a_picture_that_was_replaced_has_the_size_of_its_file(copied: Path, tmp_path: Path) -> None:
    """Where a file is not the one of the manifest, its own header counts."""
    image_id = min(there(copied))
    for path in (copied / "images").rglob(f"{image_id}.jpg"):
        Image.new("RGB", (77, 55)).save(path)
    oidkit.export(copied, tmp_path / "out", "csv")
    sizes = {
        row["image_id"]: (row["width"], row["height"])
        for row in rows(tmp_path / "out" / "images.csv")
    }
    assert sizes[image_id] == ("77", "55")


def test_an_annotation_file_that_was_changed_is_named(copied: Path, tmp_path: Path) -> None:
    """Rows that no download writes are an error with the file's name, and no export is made."""
    path = copied / "csv" / "m0gxl3_train_boxes.csv"
    path.write_text(path.read_text().replace("0.", "zero ", 1))
    with pytest.raises(IntegrityError, match=r"m0gxl3_train_boxes\.csv"):
        oidkit.export(copied, tmp_path / "out", "csv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format", "cocoa"], "there is no format 'cocoa'"),
        (["--format", "csv", "--split", "val"], "there is no split 'val'"),
        (["--format", "csv", "--split-ratio", "train=0.8,val=0.1"], "make 0.9, not 1"),
        (["--format", "csv", "--split-ratio", "train"], "is not the share of one split"),
        (["--format", "csv", "--split-ratio", "../x=1"], "no name for a split"),
        (["--format", "yolo", "--split-ratio", "train=0.5,names=0.5"], "no name for a split"),
        (["--format", "parquet", "--split-ratio", "my-train=1"], "no name for a split"),
        (["--format", "yolo", "--split-ratio", "val=0.5,validation=0.5"], "the same split"),
        (["--format", "csv", "--seed", "3"], "--seed says which image"),
        (["--format", "csv", "--resize", "stretch"], "no image size is given"),
        (["--format", "csv", "--image-size", "0"], "makes no sense"),
        (["--format", "csv", "--map", "Handgum=gun"], "did you mean Handgun"),
        (["--format", "csv", "--class-order", "no.txt"], "cannot read no.txt"),
        (["--format", "csv", "--annotations", "some"], "no kind of annotations"),
        (["--format", "csv", "--processes", "0"], "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    dataset: Path,
    tmp_path: Path,
    flags: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one line on stderr, and no folder."""
    out = tmp_path / "out"
    assert main(["export", str(dataset), "--out", str(out), "--quiet", *flags]) == 2
    assert said in sentence(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    """An empty folder, or one that is not there, is not exported."""
    for folder in (tmp_path, tmp_path / "not there"):
        with pytest.raises(UsageError, match="is no dataset"):
            oidkit.export(folder, tmp_path / "out", "csv")


# -- the folder of the export --------------------------------------------------------------------


def test_the_same_dataset_makes_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    """One process or two, here or there: every file of the export is the same."""
    for name, workers in (("one", 1), ("two", 2)):
        oidkit.export(dataset, tmp_path / name, "csv", image_size=64, workers=workers)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_an_earlier_export_is_replaced_as_a_whole(dataset: Path, tmp_path: Path) -> None:
    """No file of the old one is left, and nothing is left beside the new one."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "csv")
    (out / "cache of a trainer").write_text("x")
    oidkit.export(dataset, out, "oidv4")
    assert not (out / "boxes.csv").exists()
    assert not (out / "cache of a trainer").exists()
    assert json.loads((out / MARKER).read_text())["format"] == "oidv4"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_somebody_else_is_not_replaced(dataset: Path, tmp_path: Path) -> None:
    """A folder with files that are no export, a file, and the dataset's own place are refused."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    for out in (other, other / "thesis.tex", dataset, dataset.parent):
        before = sorted(path.name for path in dataset.iterdir())
        with pytest.raises(UsageError, match="choose another --out"):
            oidkit.export(dataset, out, "csv")
        assert sorted(path.name for path in dataset.iterdir()) == before
    assert (other / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize("place", ["images", "images/out", "masks/train/out", "csv/out", ".oid/x"])
def test_the_datasets_own_folders_take_no_export(
    copied: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a download looks through holds no export: exit code 2, one sentence, nothing changed."""
    before = tree(copied)
    out = str(copied / place)
    assert main(["export", str(copied), "--format", "csv", "--out", out, "--quiet"]) == 2
    assert "belongs to the dataset itself; choose another --out" in sentence(capsys)
    assert tree(copied) == before


def test_the_dataset_is_not_changed_by_an_export(copied: Path, tmp_path: Path) -> None:
    """Files of the dataset have the bytes that they had, though the export links them."""
    before = tree(copied)
    for name in ("csv", "openimages", "oidv4"):
        oidkit.export(copied, tmp_path / "out", name)
        oidkit.export(copied, tmp_path / "out", name, image_size=40, resize="letterbox")
    assert tree(copied) == before


def test_an_error_half_way_leaves_the_old_export(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong, the earlier export stands as it was and nothing is left beside it."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "csv")
    before = tree(out)

    def fail(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Making, "make", fail)
        with pytest.raises(DiskError, match="no space left"):
            oidkit.export(dataset, out, "csv")

    def interrupt(event: Event) -> None:
        if isinstance(event, Fetched):
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        oidkit.export(dataset, out, "csv", on_event=interrupt)
    with pytest.raises(InterruptedRunError) as caught:
        oidkit.export(dataset, out, "csv", on_event=interrupt, workers=2)
    # Not only when nobody holds the error any more.
    assert caught.value.exit_code == 130
    assert multiprocessing.active_children() == []
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_folders_change_places_without_a_moment_between(dataset: Path, tmp_path: Path) -> None:
    """Whoever looks at the export while it is replaced finds an export, each time."""
    out = tmp_path / "out"
    seen = []
    for text in ("old", "new"):
        with replacing(out, dataset=dataset, marker={"n": text}) as fresh:
            (fresh / "a").write_text(text)
            seen.append((out / "a").read_text() if out.exists() else "")
    assert seen == ["", "old"]
    assert (out / "a").read_text() == "new"


def test_what_a_killed_run_left_is_swept_and_a_run_under_way_is_not(
    dataset: Path, tmp_path: Path
) -> None:
    """Leftovers are nobody's by their names; an old export that was put aside comes back."""
    out = tmp_path / "out"
    left = tmp_path / f".oid-tmp-export-out-{'a' * 32}"
    aside = tmp_path / f"{left.name}.old"
    for folder in (left, aside):
        folder.mkdir()
        (folder / MARKER).write_text(folder.name)
    with replacing(out, dataset=dataset, marker={}) as fresh:
        assert (out / MARKER).read_text() == aside.name
        assert not left.exists()
        oidkit.export(dataset, out, "csv")
        assert fresh.is_dir()
    assert (out / MARKER).read_text() == "{}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# -- kill and interrupt --------------------------------------------------------------------------


def command(dataset: Path, out: Path) -> list[str]:
    """Give the arguments of an export that takes a while, in two processes."""
    flags = ("--image-size", "900", "--processes", "2", "--quiet")
    return ["export", str(dataset), "--format", "csv", "--out", str(out), *flags]


def at_work(tmp_path: Path, process: subprocess.Popen[bytes]) -> Iterator[Path]:
    """Wait until the export has written pictures, and give its folder."""
    while process.poll() is None:
        for folder in tmp_path.glob(LEFT):
            if folder.is_dir() and any(folder.rglob("*.jpg")):
                yield folder
                return
        time.sleep(0.005)


def wait_for_group(number: int) -> None:
    """Wait until no process of a group is left; the workers are of their parent's."""
    for _ in range(2_000):
        try:
            os.killpg(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail("a worker outlives its parent")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills a process as POSIX does")
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_export_leaves_the_old_one_and_no_process(
    dataset: Path, tmp_path: Path, way: signal.Signals
) -> None:
    """The old export stands, the workers end, and the next run makes the same bytes as ever."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "csv")
    before = tree(out)
    for _ in range(20):
        process = start(*command(dataset, out))
        at_work_once = list(at_work(tmp_path, process))
        # Ctrl-C reaches every process of the group, a kill the one that is named.
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if way == signal.SIGINT else os.kill)(process.pid, way)
        _, said = process.communicate(timeout=60)
        wait_for_group(process.pid)
        # Told apart here: on a busy machine a run may be over before it is hit.
        stands = tree(out) == before
        if at_work_once and stands and process.returncode != 0:
            break
        oidkit.export(dataset, out, "csv")
    assert stands
    if way == signal.SIGKILL:
        assert list(tmp_path.glob(LEFT))
    else:
        assert process.returncode == 130
        assert b"interrupted" in said
        assert said.count(b"\n") == 1
        assert not list(tmp_path.glob(LEFT))
    assert main(command(dataset, out)) == 0
    assert not list(tmp_path.glob(LEFT))
    oidkit.export(dataset, tmp_path / "again", "csv", image_size=900)
    assert tree(out) == tree(tmp_path / "again")


def test_a_script_without_a_guard_is_told_what_to_do(dataset: Path, tmp_path: Path) -> None:
    """A pool that cannot start, as the script would start itself again, is one clear error."""
    script = tmp_path / "script.py"
    script.write_text(
        "import oidkit\n"
        f"oidkit.export({str(dataset)!r}, {str(tmp_path / 'out')!r}, 'csv', workers=2)\n"
    )
    ran = subprocess.run(
        [sys.executable, str(script)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode
    assert "if __name__ == '__main__'" in ran.stderr
    assert not (tmp_path / "out").exists()


# -- with a download -----------------------------------------------------------------------------


def test_a_download_and_its_export_in_one_command(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """`oid download --export` makes what `oid export` makes; the summary has both."""
    common = ["--source", str(made_mirror(tmp_path_factory)), "--cache", str(tmp_path / "cache")]
    out = tmp_path / "guns"
    code = main(["download", "Handgun", "--out", str(out), "--export", "csv", "--json", *common])
    summary = json.loads(capsys.readouterr().out)
    assert code in (0, 3)
    assert summary["export"]["out"] == f"{out}-csv"
    assert main(["export", str(out), "--format", "csv", "--out", str(tmp_path / "again")]) == 0
    assert tree(tmp_path / "guns-csv") == tree(tmp_path / "again")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--export", "cocoa"], "there is no format"),
        (["--export-out", "x"], "--export-out needs --export"),
        (["--export", "csv", "--no-images"], "--export needs the images"),
        (["--export", "csv", "--export-out", "."], "lies in"),
    ],
)
def test_an_export_that_cannot_be_is_refused_before_anything_is_fetched(
    tmp_path: Path,
    flags: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong export ends the download with exit code 2 before it begins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OID_CACHE", str(tmp_path / "cache"))
    assert main(["download", "Handgun", "--source", str(tmp_path), "--quiet", *flags]) == 2
    assert said in sentence(capsys)
    assert list(tmp_path.iterdir()) == []


def test_supercategories_come_from_where_the_dataset_came_from(
    dataset: Path, tmp_path: Path
) -> None:
    """The hierarchy is read only when it is asked for; without the source that fails clearly."""
    cache = oidkit.Settings(cache=tmp_path / "cache")
    oidkit.export(dataset, tmp_path / "out", "csv", settings=cache)
    assert not (tmp_path / "cache").exists()
    oidkit.export(dataset, tmp_path / "out", "csv", settings=cache, supercategory=True)
    assert (tmp_path / "cache").exists()
    nowhere = oidkit.Settings(source=str(tmp_path / "nowhere"), cache=tmp_path / "other")
    with pytest.raises(OidError):
        oidkit.export(dataset, tmp_path / "out", "csv", settings=nowhere, supercategory=True)


# -- upright -------------------------------------------------------------------------------------


def test_an_upright_export_is_that_of_an_upright_download(copied: Path, tmp_path: Path) -> None:
    """Pictures, boxes and masks are turned counter-clockwise by the rotation of their image."""
    table = copied / "attribution.csv"
    known = rows(table)
    turns = dict(zip(sorted(there(copied)), ["90.0", "180", "270.0", "NaN", "0.0"], strict=False))
    for row in known:
        row["Rotation"] = turns.get(row["ImageID"], "")
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(known[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)
    oidkit.export(copied, tmp_path / "before", "csv")
    oidkit.export(copied, tmp_path / "out", "csv", upright=True)
    assert not list((tmp_path / "out").glob(".turned"))
    moved = {"90": 0, "180": 0, "270": 0}
    pairs = zip(
        rows(tmp_path / "before" / "boxes.csv"), rows(tmp_path / "out" / "boxes.csv"), strict=True
    )
    for old, new in pairs:
        degrees = turns.get(old["image_id"], "").partition(".")[0]
        before, after = (Path(tmp_path / name / old["image"]) for name in ("before", "out"))
        width, height = size_of(before)
        if degrees not in moved:
            assert old == new
            assert after.samefile(before)
            continue
        assert size_of(after) == ((width, height) if degrees == "180" else (height, width))
        assert (new["width"], new["height"]) == tuple(map(str, size_of(after)))
        if not old["xmin"]:
            continue
        moved[degrees] += 1
        x0, y0, x1, y1 = (float(old[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
        expected = {
            "90": (y0, width - x1, y1, width - x0),
            "180": (width - x1, height - y1, width - x0, height - y0),
            "270": (height - y1, x0, height - y0, x1),
        }[degrees]
        found = [float(new[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
        assert all(abs(a - b) < 0.02 for a, b in zip(expected, found, strict=True))
        if old["mask"]:
            masks = (tmp_path / "out" / new["mask"], tmp_path / "before" / old["mask"])
            with Image.open(masks[0]) as made, Image.open(masks[1]) as stored:
                turned = stored.rotate(int(degrees), expand=True)
                assert made.convert("L").tobytes() == turned.convert("L").tobytes()
    assert all(moved.values())


WITHOUT_MASKS = {"oidv4", "imagefolder"}


@pytest.mark.parametrize("more", [{}, {"upright": True}])
def test_a_damaged_mask_never_ends_an_export(
    copied: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    """In every format, turned or not: it is left out and counted, and no box goes with it."""
    table = copied / "attribution.csv"
    known = rows(table)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(known[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"Rotation": "90.0"} for row in known)
    oidkit.export(copied, tmp_path / "before", "csv", **more)
    masks = [row for row in rows(tmp_path / "before" / "boxes.csv") if row["mask"]]
    # The second has a whole header: it is cut within its pixels.
    for at, row in enumerate(masks[:2]):
        path = copied / row["mask"]
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:45] if at else b"no PNG")
    for name in [each for each in FORMATS if each not in WITHOUT_MASKS]:
        own: dict[str, Any] = {"task": "segment"} if name == "yolo" else {}
        summary = oidkit.export(copied, tmp_path / "out", name, **more, **own)
        told = [note for note in summary.notes if "oid verify" in note and note.endswith(": 2")]
        assert told, f"{name} does not tell of the damaged masks"
        if name == "csv":
            gone = {row["mask"] for row in masks[:2]}
            expected = [
                row | {"mask": "" if row["mask"] in gone else row["mask"]}
                for row in rows(tmp_path / "before" / "boxes.csv")
            ]
            assert rows(tmp_path / "out" / "boxes.csv") == expected
            files = {str(p.relative_to(tmp_path / "out")) for p in tmp_path.glob("out/masks/*/*")}
            assert files == {row["mask"] for row in masks} - gone


def test_an_upright_export_needs_to_know_the_rotations(copied: Path, tmp_path: Path) -> None:
    """Without `attribution.csv` nothing says how pictures are turned; it is asked for."""
    (copied / "attribution.csv").unlink()
    with pytest.raises(UsageError, match=r"has no attribution\.csv.* run its download again: it"):
        oidkit.export(copied, tmp_path / "out", "csv", upright=True)
    never_wanted(copied, "metadata")
    with pytest.raises(UsageError, match="again, without --no-metadata"):
        oidkit.export(copied, tmp_path / "out", "csv", upright=True)
