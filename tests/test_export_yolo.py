"""The format yolo: labels and `data.yaml` for Ultralytics, held against csv and Pillow."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from pycocotools import mask as coco

import oidkit
from export_oracle import NAMES, by_split, told
from made_pictures import CATEGORIES, HEIGHT, WIDTH, blank, exported, picture, ring, saved, thing
from oidkit.errors import UsageError
from oidkit.formats.model import Flags
from oidkit.formats.yolo import Yolo

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

# pycocotools 2.0.11 hands numpy 2 an array the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

A, B = "00000000000000a1", "0123456789abcdef"


def _lines(out: Path, image_id: str, split: str = "train") -> list[list[float]]:
    text = (out / "labels" / split / f"{image_id}.txt").read_text(encoding="ascii")
    return [[float(word) for word in line.split()] for line in text.splitlines()]


def _filled(numbers: list[float], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Fill the outline of a line, by pixel centres."""
    points = (np.array(numbers[1:]).reshape(-1, 2) * size).ravel().tolist()
    parts = coco.frPyObjects([points], size[1], size[0])
    return np.asarray(coco.decode(coco.merge(parts))) > 0


def _data(out: Path) -> dict[str, object]:
    made: dict[str, object] = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
    return made


def test_every_box_is_there(dataset: Path, tmp_path: Path) -> None:
    """Centre and size of each line make the box of the CSV files, class by class."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "yolo")
    for split, ids in by_split(dataset).items():
        assert sorted(path.stem for path in (out / "labels" / split).iterdir()) == ids
        assert sorted(path.stem for path in (out / "images" / split).iterdir()) == ids
        for image_id in ids:
            expected = told(dataset)[image_id]
            width, height = expected.size
            found = []
            for number, x, y, wide, high in _lines(out, image_id, split):
                found.append(
                    (
                        NAMES[int(number)],
                        (x - wide / 2) * width,
                        (y - high / 2) * height,
                        (x + wide / 2) * width,
                        (y + high / 2) * height,
                    )
                )
            for one, other in zip(sorted(found), expected.boxes, strict=True):
                assert one[0] == other[0]
                assert one[1:] == pytest.approx(other[1:5], abs=0.01)
    assert _data(out)["names"] == dict(enumerate(NAMES))


def test_real_masks_are_one_outline_each(dataset: Path, tmp_path: Path) -> None:
    """Filled by pixel centres, the outlines give masks back with an IoU of 0.98 in the median."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "yolo", task="segment")
    scores: list[float] = []
    for image_id, expected in told(dataset).items():
        filled = []
        for numbers in _lines(out, image_id, expected.split):
            assert len(numbers) >= 7
            filled.append(_filled(numbers, expected.size))
        for box in expected.masks:
            mask = expected.mask(box)
            scores.append(max(float((mask & one).sum() / (mask | one).sum()) for one in filled))
    assert len(scores) > 0
    assert statistics.median(scores) >= 0.98


def test_an_image_without_objects_has_an_empty_file(tmp_path: Path) -> None:
    """A negative is there with nothing in its file, which is how Ultralytics knows one."""
    exported(Yolo(), tmp_path / "out", [picture(tmp_path, A), picture(tmp_path, B, thing())])
    assert (tmp_path / f"out/labels/train/{A}.txt").read_bytes() == b""
    assert _lines(tmp_path / "out", B) == [[0, 0.35, 0.55, 0.5, 0.7]]


def test_data_yaml_names_splits_and_classes(tmp_path: Path) -> None:
    """Validation is called val, names may hold what YAML means something by, no path is in it."""
    pictures = [
        picture(tmp_path, A, thing(), split="train"),
        picture(tmp_path, B, thing(), split="validation"),
    ]
    assert exported(Yolo(), tmp_path / "out", pictures) == []
    assert _data(tmp_path / "out") == {
        "train": "images/train",
        "val": "images/validation",
        "names": {each.number: each.name for each in CATEGORIES},
    }


def test_a_split_that_ultralytics_asks_for_is_never_absent(tmp_path: Path) -> None:
    """Without a validation split the one that is there stands in, and the user is told."""
    notes = exported(Yolo(), tmp_path / "out", [picture(tmp_path, A, thing(), split="test")])
    assert ["'train'" in note for note in notes] == [True, False]
    assert ["'val'" in note for note in notes] == [False, True]
    data = _data(tmp_path / "out")
    assert data["train"] == data["val"] == data["test"] == "images/test"


def test_numbers_never_leave_the_picture(tmp_path: Path) -> None:
    """A box that ends a little outside is cut: Ultralytics drops an image for it."""
    over = thing(box=(-0.01, 0.5, 1.01, 1.0))
    exported(Yolo(), tmp_path / "out", [picture(tmp_path, A, over)])
    assert _lines(tmp_path / "out", A) == [[0, 0.5, 0.75, 1, 0.5]]


def test_to_segment_no_file_mixes_boxes_and_outlines(tmp_path: Path) -> None:
    """An object without a mask is outlined by its box, and such objects are counted."""
    mask = saved(ring(), tmp_path / "masks/ring.png")
    things = (thing(mask=mask), thing(1, number=1, flags=Flags(group_of=1)))
    notes = exported(Yolo("segment"), tmp_path / "out", [picture(tmp_path, A, *things)])
    first, second = _lines(tmp_path / "out", A)
    assert len(first) > 9
    assert second == [1, 0.1, 0.2, 0.6, 0.2, 0.6, 0.9, 0.1, 0.9]
    assert [note.rpartition(": ")[2] for note in notes[:3]] == ["1", "1", "1"]


def test_parts_and_holes_are_one_outline(tmp_path: Path) -> None:
    """The one line of an object with a hole and two parts fills to its mask, to the pixel."""
    mask = saved(ring(), tmp_path / "masks/ring.png")
    exported(Yolo("segment"), tmp_path / "out", [picture(tmp_path, A, thing(mask=mask))])
    (numbers,) = _lines(tmp_path / "out", A)
    assert np.array_equal(_filled(numbers, (WIDTH, HEIGHT)), ring())


def test_to_detect_a_lone_mask_gives_a_box(tmp_path: Path) -> None:
    """A mask without a box has its own bounds; an empty one is left out and told."""
    mask = saved(ring(), tmp_path / "masks/ring.png")
    nothing = saved(blank(), tmp_path / "masks/nothing.png")
    things = (thing(box=None, mask=mask), thing(box=None, mask=nothing, number=1))
    notes = exported(Yolo(), tmp_path / "out", [picture(tmp_path, A, *things)])
    ((number, x, y, wide, high),) = _lines(tmp_path / "out", A)
    pixels = [x * WIDTH, y * HEIGHT, wide * WIDTH, high * HEIGHT]
    assert number == 0
    assert pixels == pytest.approx([65, 42.5, 90, 65], abs=0.001)
    assert any("no pixel left" in note for note in notes)


def test_there_are_two_tasks(dataset: Path, tmp_path: Path) -> None:
    """Another task is refused before anything is written."""
    with pytest.raises(UsageError, match="choose from detect, segment"):
        oidkit.export(dataset, tmp_path / "out", "yolo", task="pose")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
