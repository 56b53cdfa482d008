"""The folders for FiftyOne in an openimages export; tests/consumers has its own importer."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

import oidkit
from oidkit.formats.fiftyone import mask_file, write_split
from oidkit.formats.model import Category, OutFile, Picture

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {"classifications", "detections", "points", "relationships", "segmentations"}


def guessed(path: Path) -> list[tuple[str, ...]]:
    """Read a table of names as FiftyOne does: by a guess from the first 10,240 characters."""
    text = path.read_text(encoding="utf-8")
    dialect = csv.Sniffer().sniff(text[:10_240])
    return [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), dialect)]


def test_the_files_have_the_names_that_fiftyones_downloads_have(
    dataset: Path, tmp_path: Path
) -> None:
    """Of every split there is each file of a download of FiftyOne; twins take no space twice."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "openimages")
    for folder in (out / "fiftyone").iterdir():
        names = {path.name for path in (folder / "labels").glob("*.csv")}
        assert names == {f"{name}.csv" for name in TABLES}
        with (folder / "metadata" / "image_ids.csv").open(encoding="utf-8", newline="") as file:
            ids = [row["ImageID"] for row in csv.DictReader(file)]
        assert sorted(ids) == sorted(path.stem for path in (folder / "data").iterdir())
        for path in (folder / "data").iterdir():
            assert path.samefile(out / "images" / folder.name / path.name)
        for path in (folder / "labels" / "masks").rglob("*.png"):
            assert path.parent.name == path.name[0].upper()
            assert path.samefile(out / "masks" / folder.name / path.name)


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["Dog"], ["Dog"]),
        (["Human face", "Human hand"], ["Human face", "Human hand"]),
        (["Jack-o'-lantern"], ["Jack-o'-lantern"]),
        (['a "b", c'], ['a "b", c']),
        (["Dark 'n' stormy"], ["Dark ’n’ stormy"]),  # noqa: RUF001 - marks that no guess minds
        (
            [f"Class {number:04}" for number in range(900)] + ['Fiat "topolino"'],
            ["Fiat ”topolino”"],
        ),
    ],
    ids=["one", "spaces", "apostrophe", "quotes", "torn", "far down"],
)
def test_names_are_read_by_a_guess(tmp_path: Path, names: list[str], read: list[str]) -> None:
    """Whatever classes are called, each line is read as an id and one name."""
    classes = [(f"/m/{at:05}", Category(at, name, ())) for at, name in enumerate(names)]
    write_split(tmp_path, "train", tables={}, classes=classes, masked=[])
    folder = tmp_path / "fiftyone" / "train" / "metadata"
    found = guessed(folder / "classes.csv")
    assert [row[0] for row in found] == [mid for mid, _ in classes]
    assert not [row for row in found if len(row) != 2]
    assert [row[1] for row in found][-len(read) :] == read
    points = guessed(folder / "point_classes.csv")
    assert [row[0] for row in points[1:]] == [mid for mid, _ in classes]
    for row in (*points, *guessed(folder / "attributes.csv")):
        assert len(row) == 2


def test_the_hierarchy_has_names_below_names(tmp_path: Path) -> None:
    """A class stands below its supercategory, and at the top without one."""
    listed = [("Dog", "Carnivore"), ("Cat", "Carnivore"), ("Gun", ""), ("Carnivore", "Carnivore")]
    classes = [
        (f"/m/{at}", Category(at, name, (), above)) for at, (name, above) in enumerate(listed)
    ]
    write_split(tmp_path, "val", tables={}, classes=classes, masked=["/m/2", "/m/0"])
    folder = tmp_path / "fiftyone" / "val" / "metadata"
    assert json.loads((folder / "hierarchy.json").read_bytes()) == {
        "LabelName": "Entity",
        "Subcategory": [
            {"LabelName": "Gun"},
            {
                "LabelName": "Carnivore",
                "Subcategory": [{"LabelName": "Dog"}, {"LabelName": "Cat"}],
            },
        ],
    }
    assert (folder / "segmentation_classes.csv").read_text().split() == ["/m/0", "/m/2"]


@pytest.mark.parametrize(
    ("image_id", "digit"), [("a1b2c3d4e5f60718", "A"), ("7abc000000000000", "7")]
)
def test_masks_lie_by_the_first_digit(tmp_path: Path, image_id: str, digit: str) -> None:
    """The folder of a mask is the first digit of its image in upper case, as FiftyOne has it."""
    picture = Picture("train", image_id, tmp_path / "x.jpg", 4, 3)
    twin = mask_file(picture, "m.png", OutFile("masks/train/m.png", source=tmp_path / "m.png"))
    assert twin == OutFile(f"fiftyone/train/labels/masks/{digit}/m.png", source=tmp_path / "m.png")
