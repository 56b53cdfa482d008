"""What an export has to say, worked out from a dataset folder with csv and Pillow alone."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import oidkit
from mirrors import made_mirror

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CLASSES = {"Dog": "m0bt9lr", "Handgun": "m0gxl3", "Person": "m01g317"}
NAMES = sorted(CLASSES)
"""The classes of the folder in the order of their numbers."""
FLAGS = {
    "occluded": "IsOccluded",
    "truncated": "IsTruncated",
    "group_of": "IsGroupOf",
    "depiction": "IsDepiction",
    "inside": "IsInside",
}


@dataclass(frozen=True)
class Told:
    """A picture as the files of the folder have it."""

    split: str
    path: Path
    size: tuple[int, int]
    boxes: list[tuple[Any, ...]]
    """Class, xmin, ymin, xmax, ymax in pixels, and the five flags; sorted."""
    masks: dict[str, tuple[str, Path]]
    """By BoxID: class and file."""

    def mask(self, box_id: str) -> np.ndarray[Any, Any]:
        """Give a mask in the pixels of the picture, by the nearest pixel."""
        with Image.open(self.masks[box_id][1]) as opened:
            scaled = opened.convert("L").resize(self.size, Image.Resampling.NEAREST)
        return np.asarray(scaled) > 0


def downloaded(factory: pytest.TempPathFactory, root: Path) -> Path:
    """Download the classes out of the mirror of real files; where that is not there, a made one."""
    sample = root.parent / "shared" / "openimages-sample"
    mirror = sample if (sample / "openimages").is_dir() else made_mirror(factory)
    folder = factory.mktemp("dataset") / "open-images"
    settings = oidkit.Settings(source=str(mirror), cache=folder.parent / "cache")
    oidkit.download([*CLASSES], folder, settings=settings)
    return folder


@cache
def told(folder: Path) -> dict[str, Told]:
    """Read all that the folder has, by ImageID."""
    found = {}
    for path in sorted(folder.glob("images/*/*/*.jpg")):
        with Image.open(path) as opened:
            found[path.stem] = Told(path.parents[1].name, path, opened.size, [], {})
    for name, stem in CLASSES.items():
        for split in ("train", "validation", "test"):
            for row in _rows(folder / "csv" / f"{stem}_{split}_boxes.csv"):
                if (picture := found.get(row["ImageID"])) is not None:
                    sides = ("XMin", "YMin", "XMax", "YMax")
                    box = [float(row[side]) * picture.size[at % 2] for at, side in enumerate(sides)]
                    flags = [int(row[column]) for column in FLAGS.values()]
                    picture.boxes.append((name, *box, *flags))
            for row in _rows(folder / "csv" / f"{stem}_{split}_masks.csv"):
                file = folder / "masks" / split / row["MaskPath"]
                if row["ImageID"] in found and file.is_file():
                    found[row["ImageID"]].masks[row["BoxID"]] = (name, file)
    for picture in found.values():
        picture.boxes.sort()
    return found


def by_split(folder: Path) -> dict[str, list[str]]:
    """Give the ids of each split that has any, in their order."""
    splits = defaultdict(list)
    for image_id, picture in sorted(told(folder).items()):
        splits[picture.split].append(image_id)
    return dict(splits)


def attribution(folder: Path) -> dict[str, dict[str, str]]:
    """Read what is known of each picture."""
    return {row["ImageID"]: row for row in _rows(folder / "attribution.csv")}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
