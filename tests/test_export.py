"""`oid export` as a user has it: what is in the folder comes out, as the flags ask for it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

import oidkit
from cli_runs import sentence
from export_datasets import downloaded, published, rows, size_of, there
from mirrors import CLASSES, made_mirror, tree
from oidkit.cli import main
from oidkit.errors import OidError, UsageError

# -- what comes out ------------------------------------------------------------------------------


def test_every_box_is_in_the_table_in_the_pixels_of_its_image(
    two_classes: Path, tmp_path: Path
) -> None:
    """The rows of the csv files, read by the csv module and measured by Pillow, are the table's."""
    summary = oidkit.export(two_classes, tmp_path / "out", "csv")
    images = there(two_classes)
    expected: Counter[tuple[str, ...]] = Counter()
    for split, row in published(two_classes, "boxes"):
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


def test_every_mask_is_there_once_and_with_its_own_box(two_classes: Path, tmp_path: Path) -> None:
    """Each mask of an image that is there stands in one row, beside the box of its own row."""
    summary = oidkit.export(two_classes, tmp_path / "out", "csv")
    masks = {
        row["MaskPath"]: row
        for _, row in published(two_classes, "masks")
        if row["ImageID"] in there(two_classes)
    }
    table = [row for row in rows(tmp_path / "out" / "boxes.csv") if row["mask"]]
    assert Counter(Path(row["mask"]).name for row in table) == Counter([*masks])
    assert summary.masks == len(masks) == summary.joined + summary.lone_masks
    assert summary.joined
    for row in table:
        mask = masks[Path(row["mask"]).name]
        assert row["box_id"] == mask["BoxID"]
        source = two_classes / "masks" / row["split"] / mask["MaskPath"]
        size = (int(row["width"]), int(row["height"]))
        with Image.open(source) as stored, Image.open(tmp_path / "out" / row["mask"]) as made:
            expected = stored.convert("L").resize(size, Image.Resampling.NEAREST)
            assert made.convert("L").tobytes() == expected.tobytes()
        if row["xmin"]:
            assert abs(float(row["xmin"]) / int(row["width"]) - float(mask["BoxXMin"])) < 1e-3
            assert abs(float(row["ymax"]) / int(row["height"]) - float(mask["BoxYMax"])) < 1e-3


def test_an_image_of_two_classes_is_one_picture_and_a_link(
    two_classes: Path, tmp_path: Path
) -> None:
    """However many folders hold an image, it is exported once, and takes no room."""
    oidkit.export(two_classes, tmp_path / "out", "csv")
    listed = [row["image_id"] for row in rows(tmp_path / "out" / "images.csv")]
    several = Counter(path.stem for path in (two_classes / "images").rglob("*.jpg"))
    assert max(several.values()) > 1
    assert sorted(listed) == sorted(several)
    for path in (tmp_path / "out" / "images").rglob("*.jpg"):
        assert path.samefile(there(two_classes)[path.stem])


def test_a_flat_dataset_and_one_by_class_come_out_alike(
    two_classes: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The layout of the dataset folder makes no difference to the export."""
    flat = downloaded(tmp_path_factory, "flat", layout="flat")
    for name, root in (("one", two_classes), ("other", flat)):
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
    two_classes: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
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
        oidkit.export(two_classes, tmp_path / "out", "csv", annotations="all")


def test_rows_that_stand_in_two_files_count_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With all annotations a box of a requested class is in two files, and is one object."""
    every = downloaded(tmp_path_factory, "every", annotations="all")
    summary = oidkit.export(every, tmp_path / "all", "csv", annotations="all")
    rows_of = [row for path in every.glob("csv/all_*_boxes.csv") for row in rows(path)]
    assert summary.boxes == sum(row["ImageID"] in there(every) for row in rows_of)


# -- classes, splits and sizes -------------------------------------------------------------------


def test_classes_are_merged_and_their_order_is_kept(two_classes: Path, tmp_path: Path) -> None:
    """A map renames rows; the order that one export wrote keeps the numbers of the next."""
    oidkit.export(two_classes, tmp_path / "one", "csv", class_map="handgun=zz weapon")
    assert (tmp_path / "one" / "classes.txt").read_text().splitlines() == ["Person", "zz weapon"]
    names = {row["class"]: row["mid"] for row in rows(tmp_path / "one" / "boxes.csv")}
    assert names["zz weapon"] == "/m/0gxl3"
    order = tmp_path / "order.txt"
    order.write_text("Zebra\nPerson\n")
    oidkit.export(two_classes, tmp_path / "two", "csv", class_order=order)
    numbers = {row["class"]: row["class_number"] for row in rows(tmp_path / "two" / "boxes.csv")}
    assert numbers == {"Person": "1", "Handgun": "2"}
    oidkit.export(
        two_classes, tmp_path / "three", "csv", class_map={"Person": "x", "/m/0gxl3": "x"}
    )
    assert {row["class"] for row in rows(tmp_path / "three" / "boxes.csv")} == {"x"}


def test_a_new_split_takes_every_image_once(two_classes: Path, tmp_path: Path) -> None:
    """All published splits are dealt out anew; a seed and fewer images change nothing else."""
    shares = {"train": 0.7, "val": 0.3}
    oidkit.export(two_classes, tmp_path / "out", "csv", split_ratio=shares, seed=5)
    where = {row["image_id"]: row["split"] for row in rows(tmp_path / "out" / "images.csv")}
    assert set(where) == set(there(two_classes))
    assert set(where.values()) == {"train", "val"}
    oidkit.export(
        two_classes, tmp_path / "less", "csv", split_ratio=shares, seed=5, splits=("validation",)
    )
    less = {row["image_id"]: row["split"] for row in rows(tmp_path / "less" / "images.csv")}
    assert less
    assert less.items() < where.items()
    for row in rows(tmp_path / "out" / "boxes.csv"):
        assert row["split"] == where[row["image_id"]]


@pytest.mark.parametrize("processes", [1, 2])
def test_pictures_boxes_and_files_are_resized_alike(
    two_classes: Path, tmp_path: Path, processes: int
) -> None:
    """A letterbox of 96 pixels moves each box as the csv files and plain arithmetic say."""
    oidkit.export(two_classes, tmp_path / "whole", "csv")
    oidkit.export(
        two_classes, tmp_path / "out", "csv", image_size=96, resize="letterbox", workers=processes
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


def test_a_picture_of_the_size_already_is_linked(two_classes: Path, tmp_path: Path) -> None:
    """Nothing is decoded that need not be: a picture whose longest side is right stays as it is."""
    sides = Counter(max(size_of(path)) for path in there(two_classes).values())
    usual = sides.most_common(1)[0][0]
    oidkit.export(two_classes, tmp_path / "out", "csv", image_size=usual)
    same = [
        path
        for path in (tmp_path / "out" / "images").rglob("*.jpg")
        if path.samefile(there(two_classes)[path.stem])
    ]
    assert len(same) == sides[usual]


def test_the_table_has_types_that_a_data_frame_finds_by_itself(
    two_classes: Path, tmp_path: Path
) -> None:
    """Polars reads `boxes.csv` with numbers as numbers, and ids as text."""
    oidkit.export(two_classes, tmp_path / "out", "csv")
    table = pl.read_csv(tmp_path / "out" / "boxes.csv", infer_schema_length=None)
    assert table.schema["width"] == table.schema["class_number"] == pl.Int64
    assert table.schema["occluded"] == pl.Int64
    assert table.schema["xmin"] == table.schema["ymax"] == pl.Float64
    assert table.schema["image_id"] == table.schema["mask"] == pl.String
    assert table.filter(pl.col("xmax") > pl.col("width") + 0.01).is_empty()


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
    two_classes: Path, tmp_path: Path
) -> None:
    """The hierarchy is read only when it is asked for; without the source that fails clearly."""
    cache = oidkit.Settings(cache=tmp_path / "cache")
    oidkit.export(two_classes, tmp_path / "out", "csv", settings=cache)
    assert not (tmp_path / "cache").exists()
    oidkit.export(two_classes, tmp_path / "out", "csv", settings=cache, supercategory=True)
    assert (tmp_path / "cache").exists()
    nowhere = oidkit.Settings(source=str(tmp_path / "nowhere"), cache=tmp_path / "other")
    with pytest.raises(OidError):
        oidkit.export(two_classes, tmp_path / "out", "csv", settings=nowhere, supercategory=True)
