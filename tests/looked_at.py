"""A dataset with every label type, to be looked at; and a slow reading of it to compare with."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import oidkit
from oidkit import Selection, Settings, catalog
from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

__all__ = ["Seen", "every_label", "seen"]

LABELS = catalog.LABELS
SPEC = replace(
    ReleaseSpec.tiny(), releases=("v7",), images=PerSplit(90, 25, 30), jpegs=0.9, jpeg_bytes=12_000
)
_NAME = re.compile(r".+_(train|validation|test)_([a-z-]+)\.(csv|jsonl)")
_CORNERS = ("XMin", "YMin", "XMax", "YMax")


def every_label(factory: pytest.TempPathFactory) -> Path:
    """Download some classes with every label type, into a folder that nobody may change."""
    folder = factory.mktemp("looked-at")
    made = make_release(folder / "mirror", SPEC).root
    settings = Settings(str(made), folder / "cache")
    chosen = Selection(("Handgun", "Person", "Car"), labels=LABELS, annotations="all")
    oidkit.download(chosen, folder / "out", settings=settings)
    return folder / "out"


@dataclass
class Seen:
    """One image as the files have it, by row."""

    boxes: list[dict[str, str]] = field(default_factory=list)
    masks: list[dict[str, str]] = field(default_factory=list)
    labels: list[dict[str, str]] = field(default_factory=list)
    relationships: list[dict[str, str]] = field(default_factory=list)
    points: list[dict[str, str]] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    title: str = ""

    @property
    def classes(self) -> set[str]:
        """Every class that the image has, by any label type."""
        found = {row["LabelName"] for row in (*self.boxes, *self.masks)}
        found |= {row["LabelName"] for row in self.labels if float(row["Confidence"]) > 0}
        found |= {row["Label"] for row in self.points if row["EstimatedYesNo"] == "yes"}
        for row in self.relationships:
            found.add(row["LabelName1"])
            if row["RelationshipLabel"] != "is":
                found.add(row["LabelName2"])
        return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            for line in file:
                row = json.loads(line)
                yield row["image_id"], row
            return
        for row in csv.DictReader(file):
            yield row.get("ImageID") or row["ImageId"], row


def seen(root: Path) -> dict[str, Seen]:
    """Read the folder with the csv module; a row that stands in several files counts once."""
    found: dict[str, Seen] = {}
    known: set[tuple[str, str]] = set()
    for path in sorted((root / "csv").iterdir()):
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        split, label = name[1], name[2].replace("image-labels", "labels")
        fresh = []
        for image_id, row in _rows(path):
            image = f"{split}/{image_id}"
            kept = found.setdefault(image, Seen())
            if (image, once := f"{label} {json.dumps(row)}")[0] and (image, once) not in known:
                fresh.append((image, once))
                if label in ("narratives", "captions"):
                    kept.captions.append(row["caption"])
                else:
                    getattr(kept, label).append(row)
        known |= {*fresh}
    with (root / "attribution.csv").open(encoding="utf-8", newline="") as file:
        titles = {row["ImageID"]: row["Title"] for row in csv.DictReader(file)}
    for image, kept in found.items():
        kept.title = titles.get(image.partition("/")[2], "")
    return found


def corners(row: dict[str, str]) -> list[float]:
    """Give the corners of a box, normalised."""
    return [float(row[name]) for name in _CORNERS]
