"""The format voc: XML by the standard library, masks by Pillow, held against csv."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import oidkit
from export_oracle import NAMES, by_split, told
from made_pictures import CATEGORIES, HEIGHT, WIDTH, blank, exported, picture, ring, saved, thing
from oidkit.formats.model import Category, Flags, Frame, Thing
from oidkit.formats.voc import Voc, colour_map

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = "00000000000000a1", "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(scope="module")
def out(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export them."""
    place = tmp_path_factory.mktemp("voc") / "out"
    oidkit.export(dataset, place, "voc")
    return place


def _xml(out: Path, image_id: str) -> ET.Element:
    return ET.parse(out / f"Annotations/{image_id}.xml").getroot()  # noqa: S314 - our own


def _numbers(element: ET.Element, *names: str) -> list[int]:
    return [int(element.findtext(name) or "") for name in names]


def _list(out: Path, name: str) -> list[str]:
    return (out / f"ImageSets/{name}.txt").read_text(encoding="ascii").splitlines()


def test_every_box_is_there_in_whole_pixels_from_one(dataset: Path, out: Path) -> None:
    """Boxes are those of the CSV files to half a pixel, with the first and last pixel in them."""
    for ids in by_split(dataset).values():
        for image_id in ids:
            expected, root = told(dataset)[image_id], _xml(out, image_id)
            assert _numbers(root, "size/width", "size/height") == [*expected.size]
            found = []
            for each in root.iter("object"):
                sides = [f"bndbox/{name}" for name in ("xmin", "ymin", "xmax", "ymax")]
                x0, y0, x1, y1 = _numbers(each, *sides)
                assert 1 <= x0 <= x1 <= expected.size[0]
                assert 1 <= y0 <= y1 <= expected.size[1]
                flags = _numbers(each, "occluded", "truncated", "difficult")
                found.append(((each.findtext("name") or ""), (x0 - 1, y0 - 1, x1, y1), flags))
            others = [
                (row[0], row[1:5], [int(flag == 1) for flag in row[5:8]]) for row in expected.boxes
            ]
            for other in others:
                near = [
                    one
                    for one in found
                    if (one[0], one[2]) == (other[0], other[2])
                    and np.allclose(one[1], other[1], atol=1.01)
                ]
                found.remove(near[0])
            assert not found


def test_masks_are_painted_by_object_and_by_class(dataset: Path, out: Path) -> None:
    """Each object with a mask has its own number in one picture and its class's in the other."""
    seen = 0
    for image_id, expected in told(dataset).items():
        path = out / f"SegmentationObject/{image_id}.png"
        assert path.exists() == bool(expected.masks)
        assert _numbers(_xml(out, image_id), "segmented") == [int(bool(expected.masks))]
        if not expected.masks:
            continue
        with (
            Image.open(path) as image,
            Image.open(out / f"SegmentationClass/{image_id}.png") as other,
        ):
            assert image.mode == other.mode == "P"
            assert image.size == other.size == expected.size
            objects, classes = np.asarray(image), np.asarray(other)
        masks = [expected.mask(box) for box in expected.masks]
        assert np.array_equal(objects > 0, np.any(masks, axis=0))
        assert np.array_equal(classes > 0, objects > 0)
        names = [each.findtext("name") for each in _xml(out, image_id).iter("object")]
        for number in np.unique(objects)[1:]:
            of_class = classes[objects == number]
            assert {NAMES[at - 1] for at in np.unique(of_class)} == {names[number - 1]}
            seen += 1
    assert seen == sum(len(each.masks) for each in told(dataset).values()) > 0


def test_the_lists_name_every_image_of_a_split(dataset: Path, out: Path) -> None:
    """Main has each split, Segmentation those with masks, and trainval is train and val."""
    splits = {name.replace("validation", "val"): ids for name, ids in by_split(dataset).items()}
    for name, ids in splits.items():
        assert _list(out, f"Main/{name}") == ids
        masked = [each for each in ids if told(dataset)[each].masks]
        assert _list(out, f"Segmentation/{name}") == masked
    both = [*splits.get("train", ()), *splits.get("val", ())]
    assert _list(out, "Main/trainval") == both
    assert sorted(path.stem for path in (out / "JPEGImages").iterdir()) == sorted(
        each for ids in splits.values() for each in ids
    )


def test_the_colours_are_those_of_voc() -> None:
    """The first and last colours are those that the development kit prints."""
    colours = np.frombuffer(colour_map(), np.uint8).reshape(256, 3).tolist()
    assert colours[:5] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert colours[15] == [192, 128, 128]
    assert colours[20] == [0, 64, 128]
    assert colours[255] == [224, 224, 192]


def test_flags_become_what_voc_has_words_for(tmp_path: Path) -> None:
    """A group is difficult, a depiction is not, and what is unknown is 0."""
    things = (
        thing(flags=Flags(1, 1, 1, 0, 0)),
        thing(flags=Flags(0, 0, 0, 1, 1), number=1),
        thing(flags=Flags(), number=2),
    )
    exported(Voc(), tmp_path / "out", [picture(tmp_path, A, *things)])
    found = [
        _numbers(each, "occluded", "truncated", "difficult")
        for each in _xml(tmp_path / "out", A).iter("object")
    ]
    assert found == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_lists_of_a_class_say_what_is_known(tmp_path: Path) -> None:
    """1 is there, 0 only as a group, -1 verified as absent; of others nothing is said."""
    pictures = [
        picture(tmp_path, A, thing(0), thing(0, flags=Flags(group_of=1), number=1), absent=(2,)),
        picture(tmp_path, B, thing(0, flags=Flags(group_of=1), number=2), split="validation"),
        picture(tmp_path, C, absent=(0,), present=(2,), split="validation"),
    ]
    exported(Voc(), tmp_path / "out", pictures)
    assert _list(tmp_path / "out", "Main/Dog_train") == [f"{A}  1"]
    assert _list(tmp_path / "out", "Main/Dog_val") == [f"{B}  0", f"{C} -1"]
    assert _list(tmp_path / "out", "Main/Dog_trainval") == [f"{A}  1", f"{B}  0", f"{C} -1"]
    assert _list(tmp_path / "out", "Main/Computer keyboard_trainval") == [f"{A} -1", f"{C}  1"]


def test_names_may_hold_anything(tmp_path: Path) -> None:
    """XML escapes a name and drops what it has no place for; file names leave out what is odd."""
    author = {"Author": "Zoë & \x07 <co>"}
    exported(Voc(), tmp_path / "out", [picture(tmp_path, A, thing(1), metadata=author)])
    root = _xml(tmp_path / "out", A)
    assert root.findtext("object/name") == CATEGORIES[1].name.replace(":", "_")
    assert root.findtext("owner/name") == "Zoë &  <co>"
    assert _list(tmp_path / "out", "Main/Tool_ _a & b_ _c__train") == [f"{A}  1"]


def test_the_label_map_has_four_fields_whatever_classes_are_called(tmp_path: Path) -> None:
    """A colon, a # in front and the name of the background become names that a reader can tell."""
    names = ("a_b", "a:b", "#1", "background", "a_b_1")
    categories = tuple(Category(at, name, (f"/m/0{at}",)) for at, name in enumerate(names))
    made = Voc(categories)
    list(made.writer(tmp_path, categories).finish())
    text = (tmp_path / "labelmap.txt").read_text(encoding="utf-8")
    lines = [line.split(":") for line in text.splitlines() if not line.startswith("#")]
    assert {len(line) for line in lines} == {4}
    expected = ["a_b", "a_b_1_1", "_1", "background_3", "a_b_1"]
    assert [line[0] for line in lines] == ["background", *expected]
    things = [Thing(at, "/m/0", (0, 0, 1, 1), None, Flags(), at) for at in range(len(names))]
    entry = made.prepare(picture(tmp_path, A, *things), Frame(WIDTH, HEIGHT), None)
    root = ET.fromstring(entry.files[0].content or b"")  # noqa: S314 - ours
    assert [each.text for each in root.findall("object/name")] == expected


def test_a_small_mask_is_seen_upon_a_large_one(tmp_path: Path) -> None:
    """Where masks overlap the smaller one is on top, whatever their order."""
    small, large = blank(), blank()
    small[30:40, 30:40] = large[10:70, 10:70] = True
    things = (
        thing(1, mask=saved(small, tmp_path / "masks/s.png")),
        thing(0, mask=saved(large, tmp_path / "masks/l.png"), number=1),
    )
    exported(Voc(), tmp_path / "out", [picture(tmp_path, A, *things)])
    with Image.open(tmp_path / f"out/SegmentationObject/{A}.png") as image:
        objects = np.asarray(image)
    assert np.array_equal(objects == 1, small)
    assert np.array_equal(objects == 2, large & ~small)


def test_a_lone_mask_has_a_box_and_an_empty_one_is_told(tmp_path: Path) -> None:
    """The bounds of the mask are the box; without a pixel there is no object."""
    things = (
        thing(box=None, mask=saved(ring(), tmp_path / "masks/r.png")),
        thing(box=None, mask=saved(blank(), tmp_path / "masks/b.png"), number=1),
    )
    (note,) = exported(Voc(), tmp_path / "out", [picture(tmp_path, A, *things)])
    (only,) = _xml(tmp_path / "out", A).iter("object")
    box = _numbers(only, *(f"bndbox/{name}" for name in ("xmin", "ymin", "xmax", "ymax")))
    assert box == [21, 11, 110, 75]
    assert note.endswith(": 1")
    assert (WIDTH, HEIGHT) == (120, 80)


def test_more_objects_than_a_picture_has_numbers_are_told(tmp_path: Path) -> None:
    """Object 255 is not in the picture of objects, since 255 means void; its class still is."""
    first, last = blank(), blank()
    first[:10], last[20:30] = True, True
    one, other = saved(first, tmp_path / "masks/f.png"), saved(last, tmp_path / "masks/l.png")
    things = [thing(mask=one), *(thing(number=at) for at in range(1, 254))]
    things.append(thing(mask=other, number=254))
    (note,) = exported(Voc(), tmp_path / "out", [picture(tmp_path, A, *things)])
    assert "SegmentationObject" in note
    with Image.open(tmp_path / f"out/SegmentationObject/{A}.png") as image:
        assert np.array_equal(np.asarray(image) > 0, first)
    with Image.open(tmp_path / f"out/SegmentationClass/{A}.png") as image:
        assert np.array_equal(np.asarray(image) > 0, first | last)


def test_more_classes_than_a_picture_has_numbers_are_void(tmp_path: Path) -> None:
    """Class 255 and later ones are painted as void, and that is told."""
    many = tuple(Category(at, f"c{at}", ()) for at in range(300))
    mask = saved(ring(), tmp_path / "masks/r.png")
    made = Voc(many)
    out = tmp_path / "out"
    out.mkdir()
    late = picture(tmp_path, A)
    late = type(late)(
        "train", A, late.path, WIDTH, HEIGHT, (type(thing())(299, "", None, mask, Flags(), 0),)
    )
    from oidkit.formats.model import Frame

    entry = made.prepare(late, Frame(WIDTH, HEIGHT), None)
    content = next(each.content for each in entry.files if "Class" in each.path)
    (out / "class.png").write_bytes(content or b"")
    with Image.open(out / "class.png") as image:
        assert np.array_equal(np.asarray(image) == 255, ring())
    writer = made.writer(out, many)
    writer.add(late, entry)
    assert any("SegmentationClass" in note for note in writer.finish())
