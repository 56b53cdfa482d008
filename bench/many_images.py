"""A dataset folder of many images to be looked through, made of the few of a made release.

Each image stands under many names: its JPEG is a hard link, its boxes, its title and its row of the
manifest are written again for each. What the explorer reads is as large as that of a real one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

import oidkit
from oidkit import Selection, Settings
from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from pathlib import Path

    from bench.measure import Scale

__all__ = ["many_images"]

_CLASS = "Person"
_FEW = replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes",),
    images=PerSplit(500, 20, 20),
    jpegs=400,
)
_SPREAD = 0x9E37_79B9_7F4A_7C15
"""Odd: its multiples are different numbers of 64 bits, all over the place."""


def many_images(scale: Scale, images: int) -> Path:
    """Give a dataset of so many images with all their boxes, made once."""
    root = scale.made / f"many-images-{images}"
    done = root.with_suffix(".made")
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        _write(_few(scale), root, images)
        done.touch()
    return root


def _few(scale: Scale) -> Path:
    root = scale.made / "few-images"
    if not (root / ".oid" / "manifest.md5").exists():
        mirror = make_release(scale.made / "few-release", _FEW).root
        chosen = Selection((_CLASS,), labels=("boxes",), splits=("train",), annotations="all")
        oidkit.download(chosen, root, settings=Settings(str(mirror), scale.made / "few-cache"))
    return root


def _write(few: Path, root: Path, images: int) -> None:
    shutil.copytree(few / ".oid", root / ".oid")
    # The names of the classes, and none of the lists of the few images.
    shutil.copytree(
        few / "csv", root / "csv", ignore=shutil.ignore_patterns("images_*", "*_train_*")
    )
    manifest = _read(few / ".oid" / "manifest.csv")
    pictures = manifest.filter((pl.col("kind") == "image") & (pl.col("status") == "ok"))
    pictures = pictures.with_columns(
        pl.col("path").str.extract("([0-9a-f]{16})[.]jpg$").alias("ImageID")
    ).sort("ImageID")
    sources = pictures["ImageID"].to_list()
    names = pl.DataFrame(
        {
            "ImageID": [sources[at % len(sources)] for at in range(images)],
            "name": [f"{at * _SPREAD % 2**64:016x}" for at in range(images)],
        }
    )
    for path in [*(few / "csv").glob("*_train_boxes.csv"), few / "attribution.csv"]:
        frame = _read(path)
        many = frame.join(names, on="ImageID").with_columns(pl.col("name").alias("ImageID"))
        target = root / path.relative_to(few)
        many.select(frame.columns).sort("ImageID", maintain_order=True).write_csv(target)
    _link(few, root, dict(zip(sources, pictures["path"], strict=True)), names)
    many = pictures.join(names, on="ImageID").with_columns(
        pl.format("images/train/{}.jpg", "name").alias("path"),
        pl.format("open-images-dataset/train/{}.jpg", "name").alias("key"),
    )
    there = [path.relative_to(root).as_posix() for path in (root / "csv").iterdir()]
    rows = pl.concat([manifest.filter(pl.col("path").is_in(there)), many.select(manifest.columns)])
    text = rows.sort("path").write_csv().encode()
    (root / ".oid" / "manifest.csv").write_bytes(text)
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
    (root / ".oid" / "manifest.md5").write_text(f"{digest}\n", encoding="ascii")


def _link(few: Path, root: Path, paths: dict[str, str], names: pl.DataFrame) -> None:
    folder = root / "images" / "train"
    folder.mkdir(parents=True)
    for source, name in names.iter_rows():
        os.link(few / paths[source], folder / f"{name}.jpg")


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)
