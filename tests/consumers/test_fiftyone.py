"""FiftyOne's importers of Open Images on what an export wrote, against the dataset folder.

FiftyOne itself wants a MongoDB server and some seventy libraries. What runs here is its own file
fiftyone/utils/openimages.py, to the letter, which reads and understands every file. Stand-ins are
what it imports: labels that hold what they are given, and helpers that read an image or a JSON
file. Not checked: that a database takes the samples.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import oidkit
from export_oracle import CLASSES, FLAGS, by_split, told

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = {
    "V6": {"classifications", "detections", "relationships", "segmentations"},
    "V7": {"classifications", "detections", "points", "relationships", "segmentations"},
}


class Label(types.SimpleNamespace):
    """Any label of FiftyOne: it holds the fields that it was given."""


class BaseImporter:
    """The base class of FiftyOne's importers as far as these look at it."""

    def __init__(self, dataset_dir: str, **others: Any) -> None:
        self.dataset_dir = dataset_dir
        self.seed, self.shuffle = others["seed"], others["shuffle"]
        self.max_samples = others["max_samples"]


def rgb(path: str) -> np.ndarray[Any, Any]:
    """Read an image as OpenCV does for FiftyOne: eight bits, three channels."""
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def stand_ins() -> dict[str, types.ModuleType]:
    """Give what the file imports, by name."""
    names = [f"eta.core.{name}" for name in ("image", "serial", "utils", "web")]
    names += [f"fiftyone.core.{name}" for name in ("fields", "labels")]
    names += [f"fiftyone.utils.{name}" for name in ("aws", "data", "image")]
    found: dict[str, Any] = {}
    for name in names:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            found.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    for name, module in found.items():
        outer, _, inner = name.rpartition(".")
        if outer:
            setattr(found[outer], inner, module)
    found["eta.core.image"].rgb_to_gray = lambda image: image[..., 0]
    found["eta.core.serial"].load_json = lambda path: json.loads(Path(path).read_bytes())
    found["eta.core.utils"].is_str = lambda value: isinstance(value, str)
    found["eta.core.utils"].list_files = lambda path: sorted(
        each.name for each in Path(path).iterdir()
    )
    found["fiftyone.core.fields"].StringField = Label
    for name in ("Classification", "Detection", "Keypoint"):
        setattr(found["fiftyone.core.labels"], name, Label)
        setattr(found["fiftyone.core.labels"], f"{name}s", Label)
    found["fiftyone.utils.data"].LabeledImageDatasetImporter = BaseImporter
    found["fiftyone.utils.image"].read = rgb
    return found


@pytest.fixture
def openimages(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give FiftyOne's own module of Open Images."""
    pytest.importorskip("pandas")
    installed = importlib.util.find_spec("fiftyone")
    if installed is None or not installed.submodule_search_locations:
        pytest.skip("fiftyone, of which one file is needed, is not installed")
    file = Path(installed.submodule_search_locations[0]) / "utils" / "openimages.py"
    for name, module in stand_ins().items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("fiftyones_open_images", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imported(module: Any, version: str, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Run an importer as FiftyOne does: set it up, and take every sample, by ImageID."""
    importer = getattr(module, f"OpenImages{version}DatasetImporter")(str(folder), **options)
    importer.setup()
    return importer, {Path(path).stem: (path, label) for path, _, label in importer}


def corners(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Give the left, top, right and bottom of a FiftyOne box in pixels."""
    x, y, width, height = box
    return [x * size[0], y * size[1], (x + width) * size[0], (y + height) * size[1]]


@pytest.mark.parametrize("version", ["V6", "V7"])
def test_fiftyone_has_every_box_and_mask_again(
    openimages: Any, dataset: Path, tmp_path: Path, version: str
) -> None:
    """Of each split all images, boxes, flags and masks are those of the dataset folder."""
    out = tmp_path / "out"
    oidkit.export(dataset, out, "openimages")
    masks = 0
    splits = {split: ids for split, ids in by_split(dataset).items() if ids}
    assert {path.name for path in (out / "fiftyone").iterdir()} == set(splits)
    for split, ids in splits.items():
        importer, samples = imported(openimages, version, out / "fiftyone" / split)
        assert set(importer.label_types) == ALL[version]
        assert sorted(samples) == sorted(ids)
        assert importer.get_dataset_info()["classes"] == sorted(CLASSES)
        below = importer.get_dataset_info()["hierarchy"]["Subcategory"]
        assert sorted(each["LabelName"] for each in below) == sorted(CLASSES)
        for image_id, (path, label) in samples.items():
            picture = told(dataset)[image_id]
            assert Path(path).samefile(picture.path)
            boxes = label["detections"].detections if "detections" in label else []
            found = sorted(
                (
                    each.label,
                    *corners(each.bounding_box, picture.size),
                    *(getattr(each, column) for column in FLAGS.values()),
                )
                for each in boxes
            )
            assert [each[0] for each in found] == [each[0] for each in picture.boxes]
            for one, other in zip(found, picture.boxes, strict=True):
                assert one[1:5] == pytest.approx(other[1:5], abs=0.02)
                assert list(one[5:]) == [bool(flag) for flag in other[5:]]
            parts = label["segmentations"].detections if "segmentations" in label else []
            masks += len(parts)
            assert Counter(each.label for each in parts) == Counter(
                name for name, _ in picture.masks.values()
            )
            width, height = picture.size
            # The exported mask has the pixels of its picture, the published one others.
            known = [
                (name, float((rgb(str(file))[..., 0] > 0).mean()) * width * height)
                for name, file in picture.masks.values()
            ]
            for name, area in known:
                near = [int(each.mask.sum()) for each in parts if each.label == name]
                # FiftyOne cuts the box out of the mask, at whole pixels of the mask.
                assert min(abs(area - each) for each in near) <= 0.02 * area + 4
    assert masks == sum(len(picture.masks) for picture in told(dataset).values())
    assert masks


def test_fiftyone_finds_the_images_of_a_class(
    openimages: Any, dataset: Path, tmp_path: Path
) -> None:
    """Classes by name, and one label type alone, choose as FiftyOne documents it."""
    oidkit.export(dataset, tmp_path / "out", "openimages")
    for split, ids in by_split(dataset).items():
        with_person = {
            image_id
            for image_id in ids
            if any(box[0] == "Person" for box in told(dataset)[image_id].boxes)
        }
        if with_person:
            folder = tmp_path / "out" / "fiftyone" / split
            _, samples = imported(
                openimages, "V7", folder, label_types="detections", classes="Person"
            )
            assert set(samples) == with_person


def test_fiftyone_reads_one_class_with_a_space_and_a_letterbox(
    openimages: Any, dataset: Path, tmp_path: Path
) -> None:
    """A single class with signs in its name is read, though FiftyOne guesses the delimiter."""
    out = tmp_path / "out"
    name = 'Jack-o\'-lantern; "old", big'
    oidkit.export(
        dataset,
        out,
        "openimages",
        image_size=160,
        resize="letterbox",
        class_map=dict.fromkeys(CLASSES, name),
    )
    masks = 0
    for folder in (out / "fiftyone").iterdir():
        importer, samples = imported(openimages, "V6", folder)
        assert importer.get_dataset_info()["classes"] == [name]
        for path, label in samples.values():
            with Image.open(path) as picture:
                assert picture.size == (160, 160)
            for each in label["segmentations"].detections if "segmentations" in label else []:
                masks += 1
                assert each.mask.any()
    assert masks


def test_fiftyone_reads_masks_that_no_box_belongs_to(
    openimages: Any, dataset: Path, tmp_path: Path
) -> None:
    """Without boxes in the dataset a mask has the corners of its own pixels, and fills them."""
    source = tmp_path / "masks-alone"
    settings = oidkit.Settings(source=source_of(dataset), cache=dataset.parent / "cache")
    oidkit.download(oidkit.Selection(tuple(CLASSES), labels=("masks",)), source, settings=settings)
    oidkit.export(source, tmp_path / "out", "openimages")
    masks = 0
    for folder in (tmp_path / "out" / "fiftyone").iterdir():
        _, samples = imported(openimages, "V6", folder)
        for _, label in samples.values():
            for each in label["segmentations"].detections if "segmentations" in label else []:
                masks += 1
                rows, columns = each.mask.any(axis=1), each.mask.any(axis=0)
                assert rows[2:-2].any()
                assert columns[:4].any()
                assert columns[-4:].any()
    assert masks


def source_of(dataset: Path) -> str:
    """Give where the dataset came from."""
    return str(json.loads((dataset / ".oid" / "dataset.json").read_bytes())["source"])
