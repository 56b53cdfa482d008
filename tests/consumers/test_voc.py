"""Pascal VOC exports, loaded with supervision and datumaro."""

from __future__ import annotations

from typing import TYPE_CHECKING

import datumaro
import numpy as np
import pytest
import supervision

import oidkit
from export_oracle import NAMES, told

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def out(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export them."""
    place = tmp_path_factory.mktemp("voc") / "out"
    oidkit.export(dataset, place, "voc")
    return place


def test_supervision_loads_every_box(dataset: Path, out: Path) -> None:
    """Every image and box arrives, to the rounding of whole pixels."""
    loaded = supervision.DetectionDataset.from_pascal_voc(
        str(out / "JPEGImages"), str(out / "Annotations")
    )
    assert {*loaded.classes} == {row[0] for each in told(dataset).values() for row in each.boxes}
    assert len(loaded) == len(told(dataset))
    for path, _, found in loaded:
        expected = told(dataset)[path.rpartition("/")[2][:16]]
        assert len(found) == len(expected.boxes)
        left = [
            (loaded.classes[at], box) for at, box in zip(found.class_id, found.xyxy, strict=True)
        ]
        for name, *sides in expected.boxes:
            near = [
                at
                for at, (other, box) in enumerate(left)
                if other == name and np.allclose(box, sides[:4], atol=1.01)
            ]
            left.pop(near[0])


def test_datumaro_imports_boxes_masks_and_splits(dataset: Path, out: Path) -> None:
    """Its classes are ours by `labelmap.txt`; masks are those of the pictures to the pixel."""
    loaded = datumaro.Dataset.import_from(str(out), "voc")
    labels = [each.name for each in loaded.categories()[datumaro.AnnotationType.label]]
    assert labels == ["background", *NAMES]
    seen = set()
    for item in loaded:
        if item.subset == "trainval":
            continue
        seen.add(item.id)
        expected = told(dataset)[item.id]
        assert item.subset == expected.split.replace("validation", "val")
        boxes = [each for each in item.annotations if each.type.name == "bbox"]
        assert sorted(labels[each.label] for each in boxes) == [row[0] for row in expected.boxes]
        masks = [each.image for each in item.annotations if each.type.name == "mask"]
        assert len(masks) == len(expected.masks)
        if masks:
            whole = [expected.mask(box) for box in expected.masks]
            assert np.array_equal(np.any(masks, axis=0), np.any(whole, axis=0))
    assert seen == {*told(dataset)}
