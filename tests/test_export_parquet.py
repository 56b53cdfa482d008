"""Parquet files for Hugging Face's datasets: what is in them, and what the card says."""

from __future__ import annotations

import importlib.util
import io
import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import oidkit
from export_oracle import FLAGS, NAMES, attribution, by_split, told
from oidkit.formats.model import Category, Frame, OutFile, Picture
from oidkit.formats.parquet import Parquet

pytest.importorskip("pyarrow", reason="pyarrow, which writes these files, is not there")

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def files(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the dataset into Parquet files of about 1 MB."""
    out = tmp_path_factory.mktemp("parquet") / "out"
    oidkit.export(dataset, out, "parquet", shard_megabytes=1)
    return out


def rows(files: Path, split: str) -> list[dict[str, Any]]:
    """Read the rows of a split with polars."""
    return pl.read_parquet(files / "data" / f"{split}-*.parquet").to_dicts()


def test_rows_are_the_pictures_in_their_order(dataset: Path, files: Path) -> None:
    """Each row has a published JPEG byte for byte, its id, size, author and licence."""
    for split, ids in by_split(dataset).items():
        found = rows(files, split)
        assert [row["image_id"] for row in found] == ids
        for row in found:
            picture = told(dataset)[row["image_id"]]
            assert row["image"]["bytes"] == picture.path.read_bytes()
            assert row["image"]["path"] == picture.path.name
            assert (row["width"], row["height"]) == picture.size
            known = {k: v or None for k, v in attribution(dataset)[row["image_id"]].items()}
            assert {"ImageID": row["image_id"], **row["metadata"]} == known


def test_objects_are_nested_columns_with_boxes_in_pixels(dataset: Path, files: Path) -> None:
    """Boxes, classes and flags are those of the CSVs; masks are PNGs in the picture's pixels."""
    masks = 0
    for split in by_split(dataset):
        for row in rows(files, split):
            picture = told(dataset)[row["image_id"]]
            boxes = sorted(
                (NAMES[each["category"]], *each["bbox"], *(each[flag] for flag in FLAGS))
                for each in row["objects"]
            )
            assert [box[0] for box in boxes] == [box[0] for box in picture.boxes]
            # float32 keeps a coordinate to a thousandth of a pixel
            assert np.allclose(
                [box[1:] for box in boxes], [box[1:] for box in picture.boxes], atol=1e-3
            )
            for each in row["objects"]:
                if each["mask"] is not None:
                    with Image.open(io.BytesIO(each["mask"]["bytes"])) as opened:
                        pixels = np.asarray(opened)
                    assert (pixels == picture.mask(each["box_id"])).all()
                    masks += 1
    assert masks == sum(len(picture.masks) for picture in told(dataset).values()) > 0


def test_files_say_how_many_there_are_and_stay_small(dataset: Path, files: Path) -> None:
    """`<split>-00000-of-000NN.parquet`; a file of several pictures is not over the asked size."""
    for split in by_split(dataset):
        names = sorted(path.name for path in (files / "data").glob(f"{split}-*"))
        count = len(names)
        assert names == [f"{split}-{at:05d}-of-{count:05d}.parquet" for at in range(count)]
    several = [
        path.stat().st_size
        for path in (files / "data").iterdir()
        if pl.read_parquet(path).height > 1
    ]
    assert several
    assert max(several) < 1_100_000


def test_the_types_are_in_the_file(files: Path) -> None:
    """Under the key "huggingface" the schema tells pictures and classes from other columns."""
    for path in (files / "data").iterdir():
        kept = json.loads(pl.read_parquet_metadata(path)["huggingface"])
        features = kept["info"]["features"]
        assert features["image"] == {"_type": "Image"}
        objects = features["objects"]
        assert objects["_type"] == "List"
        assert objects["feature"]["category"] == {"names": NAMES, "_type": "ClassLabel"}
        assert objects["feature"]["mask"] == {"_type": "Image"}


def test_the_card_tells_licences_classes_and_counts(dataset: Path, files: Path) -> None:
    """README.md has a YAML head with the splits, and a table of the classes and their counts."""
    card = (files / "README.md").read_text(encoding="utf-8")
    _, head, body = card.split("---\n", 2)
    assert "license: cc-by-4.0\n" in head
    assert "- object-detection\n- image-segmentation\n" in head
    assert "size_categories:\n- n<1K\n" in head
    counts = []
    for split, ids in by_split(dataset).items():
        assert f'- name: "{split}"\n' in head
        assert f"    num_examples: {len(ids)}\n" in head
        boxes = [box for key in ids for box in told(dataset)[key].boxes]
        counts.append((split, boxes))
    for number, name in enumerate(NAMES):
        objects = [sum(box[0] == name for box in boxes) for _, boxes in counts]
        line = next(line for line in body.splitlines() if line.startswith(f"| {name} | {number} "))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert [int(cell) for cell in cells[4::2]] == objects
    assert "CC BY 2.0" in body
    assert "CC BY 4.0" in body


def test_a_second_export_has_the_same_bytes(dataset: Path, files: Path, tmp_path: Path) -> None:
    """No time and no order of a run is in the files, with two processes as with one."""
    oidkit.export(dataset, tmp_path / "out", "parquet", shard_megabytes=1, workers=2)
    for path in [*(files / "data").iterdir(), files / "README.md"]:
        again = tmp_path / "out" / path.relative_to(files)
        assert again.read_bytes() == path.read_bytes()


def test_rows_are_written_group_by_group(tmp_path: Path) -> None:
    """A hundred rows are the most that waits in memory; a full file is followed by the next."""
    form = Parquet(shard_megabytes=2)
    (tmp_path / "out").mkdir()
    writer = form.writer(tmp_path / "out", (Category(0, "Dog", ("/m/0bt9lr",)),))
    chance = random.Random(1)
    for number in range(450):
        picture = Picture("train", f"{number:016x}", tmp_path, 1, 1)
        entry = form.prepare(picture, Frame(1, 1), OutFile("", content=chance.randbytes(10_000)))
        writer.add(picture, entry)
        if number % 50 == 49:
            written = sum(path.stat().st_size for path in (tmp_path / "out").rglob("train-*"))
            assert written >= (number + 1) // 100 * 100 * 10_000
    writer.finish()
    found = sorted((tmp_path / "out" / "data").iterdir())
    assert [pl.read_parquet(path).height for path in found] == [200, 200, 50]


def test_without_its_library_the_format_says_what_to_install(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named, and nothing is written."""
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else there(name)
    )
    with pytest.raises(oidkit.OidError, match=r'pip install "oidkit\[parquet\]"'):
        oidkit.export(dataset, tmp_path / "out", "parquet")
    assert not (tmp_path / "out").exists()
