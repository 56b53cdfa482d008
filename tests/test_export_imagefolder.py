"""Folders for classification: where pictures go, and what the metadata says of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import oidkit
from export_oracle import by_split, told
from oidkit.formats.imagefolder import ImageFolder, folder_names
from oidkit.formats.model import Category, Flags, Frame, OutFile, Picture, Thing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CATEGORIES = (
    Category(0, "Cat", ("/m/01yrx",)),
    Category(1, "Dog", ("/m/0bt9lr",)),
    Category(2, "N/A", ("/m/0x",)),
)


def labels_of(dataset: Path, image_id: str) -> set[str]:
    """Give the classes of a picture's boxes and masks."""
    picture = told(dataset)[image_id]
    return {box[0] for box in picture.boxes} | {name for name, _ in picture.masks.values()}


def test_each_picture_lies_in_the_folder_of_its_class(dataset: Path, tmp_path: Path) -> None:
    """The folders and metadata.csv say the same, and a picture is the published file."""
    oidkit.export(dataset, tmp_path / "out", "imagefolder")
    for split, ids in by_split(dataset).items():
        with (tmp_path / "out" / split / "metadata.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["file_name"][-20:-4] for row in rows] == ids
        for row in rows:
            path = tmp_path / "out" / split / row["file_name"]
            assert path.parent.name == row["label"]
            assert row["label"] in labels_of(dataset, path.stem)
            assert path.samefile(told(dataset)[path.stem].path)
        there = [path.stem for path in (tmp_path / "out" / split).glob("*/*.jpg")]
        assert sorted(there) == ids


def test_with_several_labels_each_picture_lists_them_all(dataset: Path, tmp_path: Path) -> None:
    """One folder a split, and metadata.jsonl with a list of classes for every picture."""
    oidkit.export(dataset, tmp_path / "out", "imagefolder", multi_label=True)
    for split, ids in by_split(dataset).items():
        text = (tmp_path / "out" / split / "metadata.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        assert [row["image_id"] for row in rows] == ids
        for row in rows:
            assert {*row["labels"]} == labels_of(dataset, row["image_id"])
            assert (tmp_path / "out" / split / row["file_name"]).is_file()


def picture(number: int, boxes: Sequence[tuple[int, float]], present: Sequence[int]) -> Picture:
    """Make a picture whose objects are of a category and a width each."""
    things = tuple(
        Thing(category, "/m/x", (0.0, 0.0, width, 0.5), None, Flags(), at)
        for at, (category, width) in enumerate(boxes)
    )
    image = f"{number:016x}"
    return Picture("train", image, None, 8, 8, things, tuple(present))  # type: ignore[arg-type]


PICTURES = (
    picture(1, [(0, 0.2), (1, 0.1), (1, 0.15)], ()),
    picture(2, [(0, 0.5)], ()),
    picture(3, [], ()),
    picture(4, [(0, 0.9)], (1,)),
    picture(5, [], (0, 2)),
)


def written(
    form: ImageFolder, out: Path, categories: tuple[Category, ...] = CATEGORIES
) -> tuple[set[str], list[str]]:
    """Write `PICTURES` as the runner does, and give the pictures' paths and what was said."""
    out.mkdir()
    form = replace(form, categories=categories)
    writer = form.writer(out, categories)
    for each in PICTURES:
        image = OutFile(form.image_path(each), content=b"jpeg")
        entry = form.prepare(each, Frame(8, 8), image)
        for file in entry.files:
            (out / file.path).parent.mkdir(parents=True, exist_ok=True)
            (out / file.path).write_bytes(file.content or b"")
        writer.add(each, entry)
    said = list(writer.finish())
    return {f"{path.parent.name}/{path.stem[-1]}" for path in out.rglob("*.jpg")}, said


def test_the_largest_class_takes_a_picture_of_several(tmp_path: Path) -> None:
    """By the area of its objects; verified labels come before objects, and none is a folder."""
    paths, said = written(ImageFolder(), tmp_path / "out")
    assert paths == {"Dog/1", "Cat/2", "none/3", "Dog/4", "Cat/5"}
    assert said == []


def test_a_picture_of_several_classes_may_be_in_each_or_in_none(tmp_path: Path) -> None:
    """`each` files it under all of them; `skip` leaves it out and says how many there were."""
    paths, _ = written(ImageFolder(several="each"), tmp_path / "each")
    assert paths == {"Cat/1", "Dog/1", "Cat/2", "none/3", "Dog/4", "Cat/5", "N_A/5"}
    paths, said = written(ImageFolder(several="skip"), tmp_path / "skip")
    assert paths == {"Cat/2", "none/3", "Dog/4"}
    assert said == ["2 pictures of several classes were left out (--several skip)"]


def test_labels_of_negatives_are_an_empty_list(tmp_path: Path) -> None:
    """With every label listed, a picture without any has none."""
    written(ImageFolder(multi_label=True), tmp_path / "out")
    text = (tmp_path / "out" / "train" / "metadata.jsonl").read_text(encoding="utf-8")
    labels = [json.loads(line)["labels"] for line in text.splitlines()]
    assert labels == [["Cat", "Dog"], ["Cat"], [], ["Dog"], ["Cat", "N/A"]]


def test_folders_differ_whatever_the_classes_are_called() -> None:
    """Names that no file system takes are changed, and no two classes share a folder."""
    names = ("none", "A/B", "A?B", "a_b", "Dog.", "...")
    folders = folder_names(tuple(Category(at, name, ()) for at, name in enumerate(names)))
    assert folders == ["none", "A_B", "A_B 2", "a_b 3", "Dog", "_"]


def test_a_class_called_none_does_not_share_its_label_with_negatives(tmp_path: Path) -> None:
    """Pictures without a class then have another word, as their folder and in metadata.csv."""
    categories = (Category(0, "Cat", ()), Category(1, "None", ()), Category(2, "Negative", ()))
    _, said = written(ImageFolder(several="skip"), tmp_path / "out", categories)
    assert said == ["2 pictures of several classes were left out (--several skip)"]
    with (tmp_path / "out/train/metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["file_name"].split("/")[0], row["label"]) for row in csv.DictReader(file)]
    assert rows == [("Cat", "Cat"), ("negative 2", "negative 2"), ("None", "None")]
    folders = {path.name for path in (tmp_path / "out/train").iterdir() if path.is_dir()}
    assert folders == {"Cat", "None", "negative 2"}


def test_rules_that_make_no_sense_are_refused() -> None:
    """An unknown rule, and a rule where all labels are listed, are usage errors."""
    with pytest.raises(oidkit.OidError, match="there is no rule 'best'"):
        ImageFolder(several="best")  # type: ignore[arg-type]
    with pytest.raises(oidkit.OidError, match="no rule for pictures of several classes is needed"):
        ImageFolder(multi_label=True, several="each")
