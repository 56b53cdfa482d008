"""supervision's own loaders on exports, compared with the CSVs of the dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import oidkit
from export_oracle import by_split, told

if TYPE_CHECKING:
    from collections.abc import Callable

SPLIT = "validation"


def of_coco(loader: Any, out: Path) -> Any:
    """Load a split of the COCO export."""
    return loader.from_coco(
        images_directory_path=str(out / "images" / SPLIT),
        annotations_path=str(out / "annotations" / f"instances_{SPLIT}.json"),
    )


def of_yolo(loader: Any, out: Path) -> Any:
    """Load a split of the YOLO export."""
    split = next(path.name for path in (out / "images").iterdir() if path.name.startswith("val"))
    return loader.from_yolo(
        images_directory_path=str(out / "images" / split),
        annotations_directory_path=str(out / "labels" / split),
        data_yaml_path=str(out / "data.yaml"),
    )


@pytest.mark.parametrize(("name", "load"), [("coco", of_coco), ("yolo", of_yolo)])
def test_supervision_loads_what_was_exported(
    name: str, load: Callable[[Any, Path], Any], dataset: Path, tmp_path: Path
) -> None:
    """Every image of the split with its boxes and classes."""
    supervision: Any = pytest.importorskip("supervision")
    oidkit.export(dataset, tmp_path / "out", name)
    loaded = load(supervision.DetectionDataset, tmp_path / "out")
    seen = []
    for path, _, detections in loaded:
        key = Path(path).stem
        seen.append(key)
        found = sorted(
            (loaded.classes[number], *box.tolist())
            for number, box in zip(detections.class_id, detections.xyxy, strict=True)
        )
        expected = sorted(box[:5] for box in told(dataset)[key].boxes)
        assert [box[0] for box in found] == [box[0] for box in expected]
        assert np.allclose([box[1:] for box in found], [box[1:] for box in expected], atol=0.02)
    assert sorted(seen) == by_split(dataset)[SPLIT]
