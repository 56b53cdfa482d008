"""COCO exports, loaded with supervision, datumaro and the conventions of torchvision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import datumaro
import numpy as np
import pytest
import supervision

import oidkit
from conftest import ROOT
from export_oracle import NAMES, by_split, downloaded, told

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download three classes of real files."""
    return downloaded(tmp_path_factory, ROOT)


def _loaded(out: Path, split: str) -> supervision.DetectionDataset:
    return supervision.DetectionDataset.from_coco(
        str(out / "images" / split),
        str(out / f"annotations/instances_{split}.json"),
        force_masks=True,
    )


@pytest.mark.parametrize(("polygons", "least"), [(False, 1.0), (True, 0.9)])
def test_supervision_loads_boxes_and_masks(
    folder: Path, tmp_path: Path, polygons: bool, least: float
) -> None:
    """Every image, box and mask arrives; run lengths to the pixel.

    Polygons are painted with their border by OpenCV, which makes them a little larger.
    """
    out = tmp_path / "out"
    oidkit.export(folder, out, "coco", polygons=polygons)
    for split, ids in by_split(folder).items():
        loaded = _loaded(out, split)
        assert loaded.classes == NAMES
        assert len(loaded) == len(ids)
        for path, _, found in loaded:
            expected = told(folder)[path.rpartition("/")[2][:16]]
            boxes = sorted((NAMES[row[4]], *row[:4]) for row in _rows(found))
            assert [row[0] for row in boxes] == [row[0] for row in expected.boxes]
            assert np.allclose(
                [row[1:] for row in boxes], [row[1:5] for row in expected.boxes], atol=0.02
            )
            for box_id in expected.masks:
                mask = expected.mask(box_id)
                scores = [(mask & one).sum() / (mask | one).sum() for one in found.mask]
                assert max(scores) >= least


def _rows(found: supervision.Detections) -> list[tuple[float, float, float, float, int]]:
    return [
        (*map(float, box), int(number))
        for box, number in zip(found.xyxy, found.class_id, strict=True)
    ]


@pytest.mark.parametrize("polygons", [False, True])
def test_datumaro_imports_every_object(folder: Path, tmp_path: Path, polygons: bool) -> None:
    """Images by split, categories, boxes, and a mask or polygons for each mask."""
    out = tmp_path / "out"
    oidkit.export(folder, out, "coco", polygons=polygons)
    loaded = datumaro.Dataset.import_from(str(out), "coco")
    labels = loaded.categories()[datumaro.AnnotationType.label]
    assert [label.name for label in labels] == NAMES
    items = {(item.subset, item.id): item.annotations for item in loaded}
    assert sorted(items) == sorted((each.split, name) for name, each in told(folder).items())
    for (_, image_id), annotations in items.items():
        kinds = [each.type.name for each in annotations]
        assert kinds.count("bbox") == len(told(folder)[image_id].boxes)
        masks = {each.group for each in annotations if each.type.name in ("mask", "polygon")}
        assert len(masks) == len(told(folder)[image_id].masks)


def test_torchvision_gives_pictures_and_targets(folder: Path, tmp_path: Path) -> None:
    """`CocoDetection` opens each image, with its annotations as they are in the file."""
    torchvision = pytest.importorskip("torchvision", reason="PyTorch is not installed here")
    out = tmp_path / "out"
    oidkit.export(folder, out, "coco")
    for split, ids in by_split(folder).items():
        loaded = torchvision.datasets.CocoDetection(
            str(out / "images" / split), str(out / f"annotations/instances_{split}.json")
        )
        assert len(loaded) == len(ids)
        for image_id, (picture, target) in zip(ids, loaded, strict=True):
            assert picture.size == told(folder)[image_id].size
            assert len(target) == len(told(folder)[image_id].boxes)
