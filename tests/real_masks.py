"""The published masks of the sample, each with the picture that it belongs to."""

from __future__ import annotations

import csv
import zipfile
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image

from oidkit.formats.model import Frame, Picture

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = ("train", "validation", "test")


@cache
def real_masks(sample: Path) -> tuple[tuple[bytes, Picture], ...]:
    """Give the PNG of every mask of the sample, with its picture, in the order of their names."""
    found: list[tuple[bytes, Picture]] = []
    for split in SPLITS:
        for shard in sorted((sample / "openimages/v5" / f"{split}-masks").glob("*.zip")):
            with zipfile.ZipFile(shard) as members:
                found += [
                    (members.read(name), real_picture(sample, split, name[:16]))
                    for name in sorted(members.namelist())
                ]
    return tuple(found)


def real_picture(sample: Path, split: str, image_id: str) -> Picture:
    """Give an image of the sample, with nothing on it."""
    path = sample / "open-images-dataset" / split / f"{image_id}.jpg"
    with Image.open(path) as image:
        width, height = image.size
    return Picture(split, image_id, path, width, height, published_split=split)


def whole(picture: Picture) -> Frame:
    """Give the frame of a picture that is written as it is."""
    return Frame(picture.width, picture.height)


def rows(sample: Path, name: str) -> list[dict[str, str]]:
    """Give the rows of an annotation file of the sample."""
    with (sample / "openimages" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
