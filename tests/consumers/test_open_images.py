"""datumaro's own importer of Open Images on what an export wrote, against the dataset folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import oidkit
from export_oracle import by_split, told

if TYPE_CHECKING:
    from pathlib import Path

MIDS = {"Dog": "/m/0bt9lr", "Handgun": "/m/0gxl3", "Person": "/m/01g317"}


def imported(folder: Path) -> Any:
    """Read an export as datumaro does; CVAT reads Open Images by the same importer."""
    dataset = pytest.importorskip("datumaro.components.dataset")
    return dataset.Dataset.import_from(str(folder), "open_images")


def of_kind(item: Any, kind: str) -> list[Any]:
    """Give the annotations of one type."""
    return [each for each in item.annotations if each.type.name == kind]


def test_an_openimages_export_has_every_box_and_mask_again(dataset: Path, tmp_path: Path) -> None:
    """Splits, boxes in pixels and classes are those of the folder; masks lie on their boxes."""
    oidkit.export(dataset, tmp_path / "out", "openimages")
    loaded = imported(tmp_path / "out")
    found = {name: sorted(item.id for item in part) for name, part in loaded.subsets().items()}
    assert found == {split: sorted(ids) for split, ids in by_split(dataset).items() if ids}
    names = [each.name for each in next(iter(loaded.categories().values()))]
    assert names == [MIDS[name] for name in sorted(MIDS)]
    masks = 0
    for item in loaded:
        picture = told(dataset)[item.id]
        boxes = sorted((names[each.label], *each.points) for each in of_kind(item, "bbox"))
        expected = sorted((MIDS[name], *sides) for name, *sides in (b[:5] for b in picture.boxes))
        assert [each[0] for each in boxes] == [each[0] for each in expected]
        for one, other in zip(boxes, expected, strict=True):
            assert one[1:] == pytest.approx(other[1:], abs=0.02)
        for mask in of_kind(item, "mask"):
            masks += 1
            known = picture.mask(mask.attributes["box_id"])
            assert mask.image.shape == known.shape
            # OpenCV's nearest pixel lies half a pixel off Pillow's.
            assert np.mean(mask.image != known) < 0.02
    assert masks == sum(len(picture.masks) for picture in told(dataset).values())


def test_a_letterbox_keeps_masks_on_their_boxes(dataset: Path, tmp_path: Path) -> None:
    """In padded pictures a mask still fills the box that datumaro groups it with."""
    oidkit.export(dataset, tmp_path / "out", "openimages", image_size=320, resize="letterbox")
    pairs = 0
    for item in imported(tmp_path / "out"):
        boxes = {each.group: each for each in of_kind(item, "bbox")}
        for mask in of_kind(item, "mask"):
            assert mask.image.shape == (320, 320)
            if mask.group:
                pairs += 1
                rows, columns = np.nonzero(mask.image)
                x0, y0, x1, y1 = boxes[mask.group].points
                assert x0 - 3 <= columns.min() <= columns.max() <= x1 + 3
                assert y0 - 3 <= rows.min() <= rows.max() <= y1 + 3
    assert pairs
