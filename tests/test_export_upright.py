"""`oid export --upright`: pictures, boxes and masks are turned by the rotation of their image."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

import oidkit
from export_datasets import never_wanted, rows, size_of, there
from oidkit.errors import UsageError


def test_an_upright_export_is_that_of_an_upright_download(copied: Path, tmp_path: Path) -> None:
    """Pictures, boxes and masks are turned counter-clockwise by the rotation of their image."""
    table = copied / "attribution.csv"
    known = rows(table)
    turns = dict(zip(sorted(there(copied)), ["90.0", "180", "270.0", "NaN", "0.0"], strict=False))
    for row in known:
        row["Rotation"] = turns.get(row["ImageID"], "")
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(known[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)
    oidkit.export(copied, tmp_path / "before", "csv")
    oidkit.export(copied, tmp_path / "out", "csv", upright=True)
    assert not list((tmp_path / "out").glob(".turned"))
    moved = {"90": 0, "180": 0, "270": 0}
    pairs = zip(
        rows(tmp_path / "before" / "boxes.csv"), rows(tmp_path / "out" / "boxes.csv"), strict=True
    )
    for old, new in pairs:
        degrees = turns.get(old["image_id"], "").partition(".")[0]
        before, after = (Path(tmp_path / name / old["image"]) for name in ("before", "out"))
        width, height = size_of(before)
        if degrees not in moved:
            assert old == new
            assert after.samefile(before)
            continue
        assert size_of(after) == ((width, height) if degrees == "180" else (height, width))
        assert (new["width"], new["height"]) == tuple(map(str, size_of(after)))
        if not old["xmin"]:
            continue
        moved[degrees] += 1
        x0, y0, x1, y1 = (float(old[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
        expected = {
            "90": (y0, width - x1, y1, width - x0),
            "180": (width - x1, height - y1, width - x0, height - y0),
            "270": (height - y1, x0, height - y0, x1),
        }[degrees]
        found = [float(new[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
        assert all(abs(a - b) < 0.02 for a, b in zip(expected, found, strict=True))
        if old["mask"]:
            masks = (tmp_path / "out" / new["mask"], tmp_path / "before" / old["mask"])
            with Image.open(masks[0]) as made, Image.open(masks[1]) as stored:
                turned = stored.rotate(int(degrees), expand=True)
                assert made.convert("L").tobytes() == turned.convert("L").tobytes()
    assert all(moved.values())


def test_an_upright_export_needs_to_know_the_rotations(copied: Path, tmp_path: Path) -> None:
    """Without `attribution.csv` nothing says how pictures are turned; it is asked for."""
    (copied / "attribution.csv").unlink()
    with pytest.raises(UsageError, match=r"has no attribution\.csv.* run its download again: it"):
        oidkit.export(copied, tmp_path / "out", "csv", upright=True)
    never_wanted(copied, "metadata")
    with pytest.raises(UsageError, match="again, without --no-metadata"):
        oidkit.export(copied, tmp_path / "out", "csv", upright=True)
