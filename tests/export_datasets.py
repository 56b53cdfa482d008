"""Datasets of a made mirror for the tests of `oid export`, and what their files say."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from PIL import Image

import oidkit
from mirrors import CLASSES, made_mirror

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DATASETS: dict[str, Path] = {}


def downloaded(factory: pytest.TempPathFactory, name: str, **more: Any) -> Path:
    """Download a dataset once for all tests; nobody may change it."""
    if name not in DATASETS:
        root = factory.mktemp("datasets") / name
        settings = oidkit.Settings(
            source=str(made_mirror(factory)), cache=factory.getbasetemp() / "cache-of-exports"
        )
        oidkit.download(oidkit.Selection(CLASSES, **more), root, settings=settings)
        DATASETS[name] = root
    return DATASETS[name]


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV as the csv module does."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def published(dataset: Path, label: str) -> list[tuple[str, dict[str, str]]]:
    """Read all rows of a label type in the folder, each with its split."""
    return [
        (path.stem.split("_")[-2], row)
        for path in sorted((dataset / "csv").glob(f"m*_{label}.csv"))
        for row in rows(path)
    ]


def there(dataset: Path) -> dict[str, Path]:
    """Give the images that have a file, by id."""
    return {path.stem: path for path in (dataset / "images").rglob("*.jpg")}


def size_of(path: Path) -> tuple[int, int]:
    """Give the width and height of a picture, as Pillow sees them."""
    with Image.open(path) as picture:
        return picture.size


def never_wanted(dataset: Path, part: str) -> None:
    """Let a dataset be one that was downloaded with --no-images or --no-metadata."""
    path = dataset / ".oid" / "dataset.json"
    said = json.loads(path.read_text())
    for each in said["selections"]:
        each[part] = False
    path.unlink()
    path.write_text(json.dumps(said))
