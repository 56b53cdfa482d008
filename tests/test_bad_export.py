"""`oid export` of what is missing, damaged or senseless: left out and counted, or refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import oidkit
from cli_runs import sentence
from export_datasets import never_wanted, rows, there
from oidkit.cli import main
from oidkit.errors import IntegrityError, UsageError
from oidkit.formats.registry import FORMATS


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
    two_classes: Path,
    tmp_path: Path,
    flags: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one line on stderr, and no folder."""
    out = tmp_path / "out"
    assert main(["export", str(two_classes), "--out", str(out), "--quiet", *flags]) == 2
    assert said in sentence(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    """An empty folder, or one that is not there, is not exported."""
    for folder in (tmp_path, tmp_path / "not there"):
        with pytest.raises(UsageError, match="is no dataset"):
            oidkit.export(folder, tmp_path / "out", "csv")


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
