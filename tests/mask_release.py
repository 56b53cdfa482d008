"""A release of mask zips of thousands of members, and what csv and zipfile say of it."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from oidkit.selection import Selection
from oidkit.testing import PerSplit, ReleaseSpec

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = 5_000
SPEC = ReleaseSpec(
    releases=("v7",),
    labels=("masks",),
    image_lists=False,
    images=PerSplit(4_000, 0, 0),
    members_per_zip=PerSplit(MEMBERS, 0, 0),
    classes=601,
    image_level_classes=20,
    jpegs=0,
)
"""16 zips of 5,000 masks, and no image at all."""
MOST_WASTE = 64 * 1024
MASKS_CSV = "openimages/v5/train-annotations-object-segmentation.csv"


@dataclass(frozen=True)
class Masks:
    """The masks of a made release, told by the csv and zipfile modules."""

    root: Path

    @cached_property
    def by_class(self) -> dict[str, list[str]]:
        """Give the names of the masks of each class."""
        found: dict[str, list[str]] = {}
        with (self.root / MASKS_CSV).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["LabelName"], []).append(row["MaskPath"])
        return found

    def of_size(self, count: int) -> list[str]:
        """Name the classes that have so many masks, in all 16 zips."""
        return [
            mid
            for mid, names in self.by_class.items()
            if len(names) == count and len({name[0] for name in names}) == 16
        ]

    def zip(self, name: str) -> Path:
        """Find the zip that holds a mask."""
        return self.root / zip_key(name[0])

    @cached_property
    def members(self) -> dict[str, dict[str, int]]:
        """Give by zip (first digit) the bytes of each member: header, name and data."""
        found = {}
        for shard in "0123456789abcdef":
            with zipfile.ZipFile(self.root / zip_key(shard)) as archive:
                found[shard] = {
                    each.filename: 30 + len(each.filename) + each.compress_size
                    for each in archive.infolist()
                }
        return found

    @cached_property
    def starts(self) -> dict[str, int]:
        """Say by zip (first digit) where its directory begins."""
        found = {}
        for shard in "0123456789abcdef":
            with zipfile.ZipFile(self.root / zip_key(shard)) as archive:
                found[shard] = archive.start_dir
        return found


def zip_key(shard: str) -> str:
    """Give the key of a mask zip of train."""
    return f"openimages/v5/train-masks/train-masks-{shard}.zip"


def masks_of(mid: str) -> Selection:
    """Ask for the masks of a class and for nothing else."""
    return Selection((mid,), ("train",), ("masks",), images=False, metadata=False)
