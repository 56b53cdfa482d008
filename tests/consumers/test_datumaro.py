"""datumaro's own importers on exports, compared with the CSVs of the dataset folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import oidkit
from export_oracle import CLASSES, by_split, told

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = [("openimages", "open_images"), ("coco", "coco"), ("voc", "voc")]
"""Formats of ours, and what datumaro calls them."""
MIDS = {f"/{stem[0]}/{stem[1:]}": name for name, stem in CLASSES.items()}


def boxes_of(item: Any, names: list[str]) -> list[tuple[Any, ...]]:
    """Give the boxes of an item: class and corners in pixels."""
    found = []
    for each in item.annotations:
        if type(each).__name__ == "Bbox":
            name = names[each.label]
            found.append((MIDS.get(name, name), *each.points))
    return sorted(found)


@pytest.mark.parametrize(("name", "theirs"), FORMATS, ids=[name for name, _ in FORMATS])
def test_datumaro_imports_what_was_exported(
    name: str, theirs: str, dataset: Path, tmp_path: Path
) -> None:
    """Every image once in each of its splits, with every box where the CSV has it."""
    datumaro = pytest.importorskip("datumaro")
    oidkit.export(dataset, tmp_path / "out", name)
    loaded = datumaro.Dataset.import_from(str(tmp_path / "out"), theirs)
    labels = [each.name for each in loaded.categories()[datumaro.AnnotationType.label]]
    seen = set()
    for item in loaded:
        key = item.id.rpartition("/")[2]
        seen.add(key)
        expected = sorted(box[:5] for box in told(dataset)[key].boxes)
        found = boxes_of(item, labels)
        assert [box[0] for box in found] == [box[0] for box in expected]
        # VOC counts whole pixels from 1, the nearest; the others keep two decimals at the least
        near = 1.51 if name == "voc" else 0.02
        assert np.allclose([box[1:] for box in found], [box[1:] for box in expected], atol=near)
    assert sorted(seen) == sorted(key for ids in by_split(dataset).values() for key in ids)
