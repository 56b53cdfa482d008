"""COCO exports, loaded with supervision, datumaro and the conventions of torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datumaro
import numpy as np
import pytest
import supervision

import oidkit
from export_oracle import NAMES, by_split, told

if TYPE_CHECKING:
    from pathlib import Path


def _loaded(out: Path, split: str) -> supervision.DetectionDataset:
    return supervision.DetectionDataset.from_coco(
        str(out / "images" / split),
        str(out / f"annotations/instances_{split}.json"),
        force_masks=True,
    )


@pytest.mark.parametrize("least", [1.0, 0.9], ids=["rle", "polygons"])
def test_supervision_loads_boxes_and_masks(dataset: Path, tmp_path: Path, least: float) -> None:
    """Every image, box and mask arrives; run lengths to the pixel.

    Polygons are painted with their border by OpenCV, which makes them a little larger.
    """
    out = tmp_path / "out"
    oidkit.export(dataset, out, "coco", polygons=least < 1)
    for split, ids in by_split(dataset).items():
        loaded = _loaded(out, split)
        assert loaded.classes == NAMES
        assert len(loaded) == len(ids)
        for path, _, found in loaded:
            expected = told(dataset)[path.rpartition("/")[2][:16]]
            boxes = _rows(found)
            assert [row[0] for row in boxes] == [row[0] for row in expected.boxes]
            assert np.allclose(
                [row[1:] for row in boxes], [row[1:5] for row in expected.boxes], atol=0.02
            )
            for box_id in expected.masks:
                mask = expected.mask(box_id)
                scores = [(mask & one).sum() / (mask | one).sum() for one in found.mask]
                assert max(scores) >= least


def _rows(found: supervision.Detections) -> list[tuple[Any, ...]]:
    rows = zip(found.class_id, found.xyxy.tolist(), strict=True)
    return sorted((NAMES[number], *box) for number, box in rows)


@pytest.mark.parametrize("masks_as", ["rle", "polygons"])
def test_datumaro_imports_every_object(dataset: Path, tmp_path: Path, masks_as: str) -> None:
    """Images by split, categories, boxes, and a mask or polygons for each mask."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "coco", polygons=masks_as == "polygons")
    loaded = datumaro.Dataset.import_from(str(out), "coco")
    labels = loaded.categories()[datumaro.AnnotationType.label]
    assert [label.name for label in labels] == NAMES
    items = {(item.subset, item.id): item.annotations for item in loaded}
    assert sorted(items) == sorted((each.split, name) for name, each in told(dataset).items())
    for (_, image_id), objects in items.items():
        kinds = [each.type.name for each in objects]
        assert kinds.count("bbox") == len(told(dataset)[image_id].boxes)
        masks = {each.group for each in objects if each.type.name in ("mask", "polygon")}
        assert len(masks) == len(told(dataset)[image_id].masks)


def test_torchvision_gives_pictures_and_targets(dataset: Path, tmp_path: Path) -> None:
    """`CocoDetection` opens each image, with its annotations as they are in the file."""
    torchvision = pytest.importorskip("torchvision", reason="PyTorch is not installed here")
    out = tmp_path / "out"
    oidkit.export(dataset, out, "coco")
    for split, ids in by_split(dataset).items():
        loaded = torchvision.datasets.CocoDetection(
            str(out / "images" / split), str(out / f"annotations/instances_{split}.json")
        )
        assert len(loaded) == len(ids)
        for image_id, (picture, target) in zip(ids, loaded, strict=True):
            assert picture.size == told(dataset)[image_id].size
            assert len(target) == len(told(dataset)[image_id].boxes)
