"""The format coco: loaded with pycocotools, and held against csv and Pillow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import oidkit
from export_oracle import FLAGS, NAMES, by_split, told
from made_pictures import CATEGORIES, HEIGHT, WIDTH, blank, exported, picture, ring, saved, thing
from oidkit.formats.coco import Coco, image_number
from oidkit.formats.flat import FlatCsv
from oidkit.formats.model import Flags, Frame
from oidkit.formats.openimages import OpenImages
from oidkit.formats.parquet import Parquet
from oidkit.formats.voc import Voc
from oidkit.formats.webdataset import WebDataset
from oidkit.formats.yolo import Yolo

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.formats.model import Format

# pycocotools 2.0.11 hands numpy 2 an array the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

A, B, C = "00000000000000a1", "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(scope="module")
def out(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export them."""
    place = tmp_path_factory.mktemp("coco") / "out"
    oidkit.export(dataset, place, "coco")
    return place


def _raw(out: Path, split: str = "train") -> dict[str, Any]:
    path = out / "annotations" / f"instances_{split}.json"
    made: dict[str, Any] = json.loads(path.read_bytes())
    return made


def test_every_object_is_there_with_its_box_and_flags(dataset: Path, out: Path) -> None:
    """Boxes in pixels, classes and flags are those of the dataset's CSV files, in each split."""
    for split, ids in by_split(dataset).items():
        loaded = COCO(out / "annotations" / f"instances_{split}.json")
        names = {each["id"]: each["name"] for each in loaded.loadCats(loaded.getCatIds())}
        assert list(names.items()) == list(enumerate(NAMES, 1))
        images = {each["open_images_id"]: each for each in loaded.imgs.values()}
        assert sorted(images) == ids
        for image_id in ids:
            expected, image = told(dataset)[image_id], images[image_id]
            assert (image["width"], image["height"]) == expected.size
            assert (out / "images" / split / image["file_name"]).samefile(expected.path)
            found = []
            for each in loaded.imgToAnns[image["id"]]:
                x, y, width, height = each["bbox"]
                flags = [each["attributes"][name] for name in FLAGS]
                found.append((names[each["category_id"]], x, y, x + width, y + height, *flags))
                assert each["iscrowd"] == (each["attributes"]["group_of"] == 1)
            for one, other in zip(sorted(found), expected.boxes, strict=True):
                assert (one[0], one[5:]) == (other[0], other[5:])
                assert one[1:5] == pytest.approx(other[1:5], abs=0.011)


def test_every_mask_decodes_to_the_pixels_of_its_picture(dataset: Path, out: Path) -> None:
    """Each RLE is the published mask, resized by Pillow to the image; its area is counted."""
    masks = 0
    for split in by_split(dataset):
        loaded = COCO(out / "annotations" / f"instances_{split}.json")
        for each in loaded.anns.values():
            if not each["segmentation"]:
                assert each["area"] == pytest.approx(each["bbox"][2] * each["bbox"][3], abs=0.01)
                continue
            pixels = loaded.annToMask(each)
            assert each["area"] == pixels.sum()
            picture_of = told(dataset)[loaded.imgs[each["image_id"]]["open_images_id"]]
            same = [box for box in picture_of.masks if np.array_equal(pixels, picture_of.mask(box))]
            assert len(same) == 1
            masks += 1
    assert masks == sum(len(each.masks) for each in told(dataset).values()) > 0


def test_polygons_keep_parts_and_holes(dataset: Path, tmp_path: Path) -> None:
    """As polygons every mask comes back from pycocotools with an IoU of 0.98 in the median."""
    oidkit.export(dataset, tmp_path / "rle", "coco")
    oidkit.export(dataset, tmp_path / "out", "coco", polygons=True)
    found = []
    for split in by_split(dataset):
        name = f"annotations/instances_{split}.json"
        exact, loaded = COCO(tmp_path / "rle" / name), COCO(tmp_path / "out" / name)
        for number, each in loaded.anns.items():
            if each["segmentation"]:
                assert isinstance(each["segmentation"], list)
                one, other = loaded.annToMask(each), exact.annToMask(exact.anns[number])
                found.append((one & other).sum() / (one | other).sum())
    assert np.median(found) >= 0.98


def test_the_same_dataset_gives_the_same_bytes(dataset: Path, out: Path, tmp_path: Path) -> None:
    """A second export, with processes, is the first one byte for byte."""
    oidkit.export(dataset, tmp_path / "again", "coco", workers=2)
    for path in sorted((out / "annotations").iterdir()):
        assert path.read_bytes() == (tmp_path / "again/annotations" / path.name).read_bytes()


def test_a_ring_and_its_neighbour_come_back_from_polygons(tmp_path: Path) -> None:
    """A hole stays free and a second part is kept, to the pixel."""
    mask = saved(ring(), tmp_path / "masks/ring.png")
    exported(Coco(polygons=True), tmp_path / "out", [picture(tmp_path, A, thing(mask=mask))])
    loaded = COCO(tmp_path / "out/annotations/instances_train.json")
    assert len(loaded.anns[1]["segmentation"]) == 2
    assert np.array_equal(loaded.annToMask(loaded.anns[1]) > 0, ring())


def test_masks_and_boxes_follow_the_size_of_the_picture(tmp_path: Path) -> None:
    """At half the size, boxes are halved and the mask has the picture's new pixels."""
    mask = saved(ring(), tmp_path / "masks/ring.png")
    exported(Coco(), tmp_path / "out", [picture(tmp_path, A, thing(mask=mask))], size=WIDTH // 2)
    loaded = COCO(tmp_path / "out/annotations/instances_train.json")
    assert loaded.anns[1]["bbox"] == [6, 8, 30, 28]
    assert loaded.annToMask(loaded.anns[1]).shape == (HEIGHT // 2, WIDTH // 2)


def test_a_crowd_is_one_and_has_run_lengths(tmp_path: Path) -> None:
    """IsGroupOf makes a crowd, whose mask is RLE even where polygons are asked for."""
    mask = saved(ring(), tmp_path / "masks/ring.png")
    crowd, unknown = Flags(group_of=1), Flags()
    things = (
        thing(mask=mask, flags=crowd),
        thing(flags=crowd, number=1),
        thing(flags=unknown, number=2),
    )
    exported(Coco(polygons=True), tmp_path / "out", [picture(tmp_path, A, *things)])
    first, second, third = _raw(tmp_path / "out")["annotations"]
    assert [each["iscrowd"] for each in (first, second, third)] == [1, 1, 0]
    assert isinstance(first["segmentation"]["counts"], str)
    assert second["segmentation"] == []
    assert third["attributes"]["group_of"] == -1


def test_a_mask_without_a_box_has_the_bounds_of_its_pixels(tmp_path: Path) -> None:
    """Where no box belongs to a mask, its own bounds are the box; an empty one is told."""
    mask = saved(ring(), tmp_path / "masks/ring.png")
    nothing = saved(blank(), tmp_path / "masks/nothing.png")
    things = (
        thing(box=None, mask=mask),
        thing(box=None, mask=nothing, number=1),
        thing(mask=nothing, number=2),
    )
    (told_of,) = exported(Coco(), tmp_path / "out", [picture(tmp_path, A, *things)])
    first, last = _raw(tmp_path / "out")["annotations"]
    assert first["bbox"] == [20, 10, 90, 65]
    assert (last["id"], last["segmentation"]) == (3, [])
    assert told_of.endswith(": 2")


MAKERS = (
    *(Coco(), Coco(polygons=True), Yolo("segment"), Voc()),
    *(FlatCsv(), OpenImages(), WebDataset(), Parquet()),
)


@pytest.mark.parametrize("made", MAKERS)
def test_an_empty_mask_is_left_out_and_counted(made: Format, tmp_path: Path) -> None:
    """Every format says how many; where there is no box either, nothing is left of the object."""
    nothing = saved(blank(), tmp_path / "masks/nothing.png")
    alone, boxed = (thing(box=None, mask=nothing), thing(mask=nothing, number=1))
    notes = exported(made, tmp_path / "out", [picture(tmp_path, A, alone, boxed)])
    assert [note for note in notes if "no pixel left" in note and note.endswith(": 2")]
    assert not list((tmp_path / "out").rglob("masks/*/*.png"))


@pytest.mark.parametrize("made", MAKERS)
def test_a_damaged_mask_is_left_out_and_counted(made: Format, tmp_path: Path) -> None:
    """A mask that cannot be read does not end an export: its box is kept, the user is told."""
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"no PNG")
    notes = exported(made, tmp_path / "out", [picture(tmp_path, A, thing(mask=mask))])
    assert [note for note in notes if "cannot be read" in note and note.endswith(": 1")]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("at", range(16, 24))
def test_a_mask_whose_header_lies_about_its_size_is_damaged(at: int, tmp_path: Path) -> None:
    """Whichever byte of its width or height is wrong, no memory is asked for that is not there."""
    mask = saved(ring(), tmp_path / "mask.png")
    data = bytearray(mask.read_bytes())
    data[at] = 0x7F
    mask.write_bytes(data)
    notes = exported(Coco(), tmp_path / "out", [picture(tmp_path, A, thing(mask=mask))])
    assert [note for note in notes if "cannot be read" in note and note.endswith(": 1")]


def test_an_image_has_a_number_that_is_its_own(tmp_path: Path) -> None:
    """The number is made of the ImageID alone, fits a double exactly, and is never used twice."""
    assert image_number(C) == 0xFEDCBA9876543210 >> 11 < 2**53
    near = ["0123456789abcde0", "0123456789abcde1", "0123456789abcdef", "0123456789abd000"]
    exported(Coco(), tmp_path / "out", [picture(tmp_path, each) for each in near])
    numbers = [each["id"] for each in _raw(tmp_path / "out")["images"]]
    assert numbers[0] == image_number(near[0])
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2, numbers[0] + 3]
    assert len({*numbers}) == 4
    exported(Coco(), tmp_path / "other", [picture(tmp_path, near[3])])
    assert _raw(tmp_path / "other")["images"][0]["id"] == image_number(near[3])


def test_licences_and_authors_are_named(tmp_path: Path) -> None:
    """Each image points to its licence, and one that is not known is said to be so."""
    url = "https://creativecommons.org/licenses/by/2.0/"
    credit = {
        "License": url,
        "Author": "Zoë",
        "Title": 'a "dog", äh',
        "OriginalLandingURL": "https://example.org/1",
        "AuthorProfileURL": "https://example.org/zoe",
    }
    pictures = [picture(tmp_path, A, metadata=credit), picture(tmp_path, B)]
    exported(Coco(), tmp_path / "out", pictures)
    made = _raw(tmp_path / "out")
    first, second = made["images"]
    assert (first["license"], second["license"]) == (1, 0)
    assert (first["author"], first["title"]) == ("Zoë", 'a "dog", äh')
    assert first["landing_url"] == "https://example.org/1"
    assert made["licenses"] == [
        {"id": 0, "name": "unknown", "url": ""},
        {"id": 1, "name": "CC BY 2.0", "url": url},
    ]
    assert [each["supercategory"] for each in made["categories"]] == ["Carnivore", "Tool", ""]
    assert made["categories"][1]["mids"] == list(CATEGORIES[1].mids)


def test_an_image_without_objects_is_kept(tmp_path: Path) -> None:
    """A negative is an image without annotations, and the file is whole without any."""
    exported(Coco(), tmp_path / "out", [picture(tmp_path, A)])
    loaded = COCO(tmp_path / "out/annotations/instances_train.json")
    assert len(loaded.imgs) == 1
    assert not loaded.anns


def test_pycocotools_evaluates_the_annotations_against_themselves(out: Path) -> None:
    """Results that are the annotations score 1: ids, categories and boxes fit together."""
    loaded = COCO(out / "annotations/instances_train.json")
    results = [
        {key: each[key] for key in ("image_id", "category_id", "bbox")} | {"score": 1.0}
        for each in loaded.anns.values()
        if not each["iscrowd"]
    ]
    scored = COCOeval(loaded, loaded.loadRes(results), "bbox")
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    assert scored.stats[0] == pytest.approx(1.0)


def test_an_export_that_is_given_up_leaves_no_file_open(tmp_path: Path) -> None:
    """A writer can be closed half way, and twice."""
    made = Coco()
    writer = made.writer(tmp_path, CATEGORIES)
    one = picture(tmp_path, A)
    writer.add(one, made.prepare(one, Frame(WIDTH, HEIGHT), None))
    writer.close()
    writer.close()
    assert not (tmp_path / "annotations/instances_train.json").read_text().endswith("}\n")
