"""Annotations lie on the pixels of an image where the files of the dataset have them."""

from __future__ import annotations

import csv
import math
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import oidkit
from export_oracle import CLASSES, told
from oidkit import Selection, Settings
from oidkit.colours import rgb_of
from oidkit.drawing import Dot, Mark, Tie, annotated
from oidkit.errors import OidError, UsageError
from oidkit.testing import ReleaseSpec, make_release

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GREY = (128, 128, 128)
DOG = "/m/0bt9lr"


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download every label type that can be drawn; nobody may change it."""
    folder = tmp_path_factory.mktemp("every")
    spec = replace(ReleaseSpec.tiny(), releases=("v7",), jpegs="all")
    mirror = make_release(folder / "mirror", spec).root
    labels: Any = ("boxes", "masks", "points", "relationships")
    chosen = Selection(("Handgun", "Person"), labels=labels, annotations="all")
    settings = Settings(str(mirror), folder / "cache")
    oidkit.download(chosen, folder / "out", settings=settings)
    return folder / "out"


def pixels(image: Image.Image) -> NDArray[np.int64]:
    """Give an image as numbers of shape (height, width, 3)."""
    return np.asarray(image.convert("RGB")).astype(np.int64)


def published(path: Path) -> NDArray[np.int64]:
    """Give the pixels of a file."""
    with Image.open(path) as image:
        return pixels(image)


def mid_of(name: str) -> str:
    """Give the MID of one of the classes of the dataset."""
    return f"/m/{CLASSES[name][1:]}"


# -- a dataset -----------------------------------------------------------------------------------


def test_a_mask_covers_the_pixels_that_pillow_says(dataset: Path) -> None:
    """Inside of a mask a pixel is the mean of its own and the class's colour; outside its own."""
    looked = 0
    for image_id, picture in told(dataset).items():
        if not picture.masks:
            continue
        drawn = pixels(oidkit.draw(dataset, image_id, labels=("masks",), names=False))
        own = published(picture.path)
        masks = {box_id: picture.mask(box_id) for box_id in picture.masks}
        covers = np.sum([*masks.values()], axis=0)
        assert np.array_equal(drawn[covers == 0], own[covers == 0])
        for box_id, mask in masks.items():
            alone = mask & (covers == 1)
            colour = np.array(rgb_of(mid_of(picture.masks[box_id][0])))
            assert np.array_equal(drawn[alone], (own[alone] + colour) // 2)
            looked += int(alone.sum())
    assert looked > 1000


def test_a_box_is_framed_where_it_is(dataset: Path) -> None:
    """The corners of every box have the colour of some class; without boxes nothing is drawn."""
    for image_id, picture in list(told(dataset).items())[:8]:
        plain = pixels(oidkit.draw(dataset, image_id, labels=(), names=False))
        assert np.array_equal(plain, published(picture.path))
        drawn = pixels(oidkit.draw(dataset, image_id, labels=("boxes",), names=False))
        colours = {rgb_of(mid_of(name)) for name in CLASSES}
        width, height = picture.size
        for _, x0, y0, x1, y1, *_ in picture.boxes:
            at = round(x0 / width * (width - 1)), round(y0 / height * (height - 1))
            end = round(x1 / width * (width - 1)), round(y1 / height * (height - 1))
            assert tuple(drawn[at[1], at[0]].tolist()) in colours
            assert tuple(drawn[end[1], end[0]].tolist()) in colours


def test_names_size_and_split(dataset: Path) -> None:
    """Names are drawn unless they are not wanted; a smaller picture has the shape of the image."""
    image_id, picture = next(iter(told(dataset).items()))
    named = oidkit.draw(dataset, f"{picture.split}/{image_id}")
    assert named.size == picture.size
    assert named.mode == "RGB"
    assert named.tobytes() != oidkit.draw(dataset, image_id, names=False).tobytes()
    small = oidkit.draw(dataset, image_id, size=100)
    assert max(small.size) == 100
    assert small.width / small.height == pytest.approx(named.width / named.height, abs=0.02)
    assert oidkit.draw(dataset, image_id, size=60_000).size == picture.size


def test_every_label_type_is_drawn(every: Path) -> None:
    """Each of them alone changes some image of train, also those of classes not asked for."""
    train = [each for each in oidkit.DatasetFolder(every).image_ids() if each[:5] == "train"]
    for label in ("boxes", "masks", "clicks", "points", "relationships"):
        labels: Any = (label,)
        for which in ("requested", "all"):
            wanted: Any = which
            changed = [
                oidkit.draw(every, each, labels=labels, annotations=wanted).tobytes()
                != oidkit.draw(every, each, labels=()).tobytes()
                for each in train
            ]
            assert any(changed), (label, which)


def test_a_point_is_drawn_by_its_answer(every: Path) -> None:
    """A yes is a full dot of the class's colour, a no a cross, and what is not sure a ring."""
    path = next(path for path in sorted(every.glob("csv/all_train_points.csv")))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places = [row["ImageId"] for row in rows]
    alone = [row for row in rows if places.count(row["ImageId"]) == 1]
    for row in alone or rows[-1:]:
        shown = oidkit.draw(
            every, row["ImageId"], labels=("points",), annotations="all", names=False
        )
        x, y = (
            round(float(row[at]) * (side - 1)) for at, side in zip("XY", shown.size, strict=True)
        )
        beside = x + (2 if x < shown.width // 2 else -2)
        coloured = [shown.getpixel(at) == rgb_of(row["Label"]) for at in ((x, y), (beside, y))]
        drawn = {"yes": [True, True], "no": [True, False], "unsure": [False, False]}
        assert coloured == drawn[row["EstimatedYesNo"]], row


def test_what_is_not_there_is_told(every: Path, tmp_path: Path) -> None:
    """An image that is not of the dataset, a file that is gone or damaged, a label that is none."""
    first = oidkit.DatasetFolder(every).image_ids()[0]
    with pytest.raises(UsageError, match="is not an image of the dataset"):
        oidkit.draw(every, "0123456789abcdef")
    with pytest.raises(UsageError, match="is not the id of an image"):
        oidkit.draw(every, "../../etc/passwd")
    wrong: Any = ("narratives",)
    with pytest.raises(UsageError, match="choose from boxes, masks, clicks"):
        oidkit.draw(every, first, labels=wrong)
    with pytest.raises(UsageError, match="image size of 0"):
        oidkit.draw(every, first, size=0)
    with pytest.raises(UsageError, match="no dataset of oidkit"):
        oidkit.draw(tmp_path, first)
    copy = tmp_path / "copy"
    shutil.copytree(every, copy)
    for path in copy.glob(f"images/*/*/{first[-16:]}.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(OidError, match="oid verify DIR --repair"):
        oidkit.draw(copy, first)
    for path in copy.glob(f"images/*/*/{first[-16:]}.jpg"):
        path.unlink()
    with pytest.raises(UsageError, match=f"the file of {first} is not in"):
        oidkit.draw(copy, first[-16:])


def test_a_damaged_mask_is_left_out(every: Path, tmp_path: Path) -> None:
    """The image is drawn all the same."""
    copy = tmp_path / "copy"
    shutil.copytree(every, copy)
    path = min(copy.glob("masks/train/*.png"))
    before = oidkit.draw(copy, path.name[:16], labels=("masks",), annotations="all")
    path.write_bytes(b"\x89PNG")
    after = oidkit.draw(copy, path.name[:16], labels=("masks",), annotations="all")
    assert before.tobytes() != after.tobytes()


# -- drawing alone -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "1"])
def test_the_picture_that_is_given_stays(mode: str) -> None:
    """A picture of any mode comes back in RGB, and is itself not drawn upon."""
    picture = Image.new(mode, (40, 30))
    before = picture.tobytes()
    mask = np.ones((30, 40), np.bool_)
    shown = annotated(picture, [Mark(DOG, "Dog", (0.1, 0.1, 0.9, 0.9), mask)])
    assert (shown.mode, shown.size) == ("RGB", (40, 30))
    assert picture.tobytes() == before
    assert annotated(picture, []) is not picture


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 2), (640, 480)])
def test_any_coordinates_and_names(size: tuple[int, int]) -> None:
    """Nothing that a file can hold stops the drawing."""
    picture = Image.new("RGB", size, GREY)
    numbers = (math.nan, math.inf, -math.inf, -5.0, 0.0, 0.5, 1.0, 1e300)
    names = ("", "x" * 10_000, "<script>", "\u202e\x00\n", "名前")
    marks = [
        Mark(DOG, name, (a, 0.2, b, 0.9), clicks=[(a, b)])
        for a, b, name in zip(numbers, reversed(numbers), names * 2, strict=False)
    ]
    dots = [Dot(DOG, names[2], (a, 0.5), answer) for a in numbers for answer in ("yes", "no")]
    ties = [Tie(DOG, names[1], (a, 0, 1, 1), (0, 0, 0, 0)) for a in numbers]
    shown = annotated(picture, marks, dots=dots, ties=ties)
    assert shown.size == size


def test_what_has_no_coordinates_is_left_out() -> None:
    """A box that is nowhere leaves the picture as it is."""
    picture = Image.new("RGB", (40, 30), GREY)
    nowhere = (math.nan, 0.0, 1.0, 1.0)
    tie = Tie(DOG, "Dog", nowhere, (0, 0, 1, 1))
    dot = Dot(DOG, "Dog", (math.inf, 0))
    shown = annotated(picture, [Mark(DOG, "Dog", nowhere)], dots=[dot], ties=[tie])
    assert shown.tobytes() == picture.tobytes()


def test_a_name_is_readable_on_its_colour() -> None:
    """Letters and colour of a label have a contrast of 4.5 at least, whatever the class."""
    grey = Image.new("RGB", (400, 100), GREY)
    for number in range(60):
        mid = f"/m/{number:04x}"
        picture = annotated(grey, [Mark(mid, "Name", (0, 0.5, 1, 1))])
        colour = rgb_of(mid)
        light = (0, 0, 0) not in {
            tuple(each) for each in pixels(picture)[20:46, :60].reshape(-1, 3)
        }
        letters = (255, 255, 255) if light else (0, 0, 0)
        one, other = sorted((luminance(colour), luminance(letters)))
        assert (other + 0.05) / (one + 0.05) >= 4.5, mid


def luminance(colour: tuple[int, int, int]) -> float:
    """Give the relative luminance as WCAG 2.2 defines it."""
    parts = [each / 255 for each in colour]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
