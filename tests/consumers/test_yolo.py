"""YOLO exports, loaded with supervision and, where it is there, with Ultralytics' own loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import supervision

import oidkit
from export_oracle import NAMES, by_split, told

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.formats.yolo import Task


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_supervision_loads_every_object(dataset: Path, tmp_path: Path, task: Task) -> None:
    """Every image and object arrives; boxes to a hundredth of a pixel, masks with an IoU of 0.9.

    OpenCV paints an outline with its border, which makes masks a little larger.
    """
    out = tmp_path / "out"
    oidkit.export(dataset, out, "yolo", task=task)
    for split, ids in by_split(dataset).items():
        loaded = supervision.DetectionDataset.from_yolo(
            str(out / "images" / split),
            str(out / "labels" / split),
            str(out / "data.yaml"),
            force_masks=task == "segment",
        )
        assert loaded.classes == NAMES
        assert len(loaded) == len(ids)
        for path, _, found in loaded:
            expected = told(dataset)[path.rpartition("/")[2][:16]]
            rows = zip(found.class_id, found.xyxy, strict=True)
            boxes = sorted((NAMES[number], *map(float, box)) for number, box in rows)
            assert [row[0] for row in boxes] == [row[0] for row in expected.boxes]
            if task == "detect":
                assert np.allclose(
                    [row[1:] for row in boxes], [row[1:5] for row in expected.boxes], atol=0.02
                )
                continue
            for box_id in expected.masks:
                mask = expected.mask(box_id)
                scores = [(mask & one).sum() / (mask | one).sum() for one in found.mask]
                assert max(scores) >= 0.9


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_ultralytics_finds_nothing_wrong(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    """Its own check reads `data.yaml`, and its loader every image: none corrupt, none missing."""
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    checks = pytest.importorskip(
        "ultralytics.data.utils",
        reason="Ultralytics is not there (TORCH= of the Makefile)",
        exc_type=ImportError,
    )
    out = tmp_path / "out"
    oidkit.export(dataset, out, "yolo", task=task)
    data = checks.check_det_dataset(str(out / "data.yaml"), autodownload=False)
    assert list(data["names"].values()) == NAMES
    for split, ids in by_split(dataset).items():
        folder_of = "val" if split == "validation" else split
        assert data[folder_of] == str((out / "images" / split).resolve())
        for image_id in ids:
            image = out / "images" / split / f"{image_id}.jpg"
            label = out / "labels" / split / f"{image_id}.txt"
            verified = checks.verify_image_label(
                (str(image), str(label), "", False, len(NAMES), 0, 0, False)
            )
            _, boxes, _, outlines, _, missing, found, empty, corrupt, said = verified
            expected = told(dataset)[image_id]
            assert (missing, found, corrupt) == (0, 1, 0), said
            assert len(boxes) == len(expected.boxes)
            assert empty == (not expected.boxes)
            assert len(outlines) == (len(expected.boxes) if task == "segment" else 0)
