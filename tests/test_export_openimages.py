"""The formats openimages and oidv4: published rows again, and masks as files."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import oidkit
from export_datasets import published, rows, size_of, there
from mirrors import tree
from oidkit.formats.frames import Resizing, frame_of
from oidkit.formats.masks import runs
from oidkit.formats.model import Flags, Picture, Thing
from oidkit.formats.objects import mask_file

if TYPE_CHECKING:
    from pathlib import Path


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


def test_openimages_has_the_published_rows_again(two_classes: Path, tmp_path: Path) -> None:
    """Boxes and masks come out with the coordinates, flags and classes that they came in with."""
    oidkit.export(two_classes, tmp_path / "out", "openimages")
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
            for split, row in published(two_classes, label)
            if row["ImageID"] in there(two_classes)
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
        assert size_of(there(two_classes)[image_id]) == (int(width), int(height))


@pytest.mark.parametrize("name", ["csv", "openimages"])
@pytest.mark.parametrize("more", [{}, {"image_size": 50}, {"image_size": 50, "resize": "stretch"}])
def test_masks_as_files_have_the_pixels_of_their_picture(
    two_classes: Path, tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    """A mask of another size than its image is brought to the size of the exported picture."""
    oidkit.export(two_classes, tmp_path / "out", name, **more)
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


def test_openimages_moves_masks_into_a_letterbox(two_classes: Path, tmp_path: Path) -> None:
    """Where pictures are padded, masks are too, and cover what their boxes cover."""
    oidkit.export(two_classes, tmp_path / "out", "openimages", image_size=160, resize="letterbox")
    found = sorted((tmp_path / "out" / "masks").rglob("*.png"))
    images = there(two_classes)
    masks = [path for path in found if len(set(size_of(images[path.name[:16]]))) > 1]
    assert masks
    for path in masks:
        with Image.open(path) as mask:
            assert (mask.size, mask.mode) == ((160, 160), "1")
            assert mask.getbbox() is not None


def test_oidv4_is_what_its_toolkit_writes(two_classes: Path, tmp_path: Path) -> None:
    """Each label file has the lines that the toolkit's own arithmetic gives, in the rows' order."""
    summary = oidkit.export(two_classes, tmp_path / "out", "oidv4")
    expected: dict[str, str] = {}
    names = {"/m/0gxl3": "Handgun", "/m/01g317": "Person"}
    for split, row in published(two_classes, "boxes"):
        if row["ImageID"] not in there(two_classes):
            continue
        width, height = size_of(there(two_classes)[row["ImageID"]])
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
    without = {row["ImageID"] for _, row in published(two_classes, "boxes")}
    lost = len(set(there(two_classes)) - without)
    assert [note.split()[0] for note in summary.notes if "no box" in note] == [str(lost)] * (
        lost > 0
    )
