"""The parts of an export that decide: classes, frames, new splits, which mask has which box."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oidkit.choice import allotted
from oidkit.errors import UnknownClassError, UsageError
from oidkit.formats.categories import Categories, parse_map, parse_order, printed_order
from oidkit.formats.frames import Resizing, frame_of
from oidkit.formats.model import Picture
from oidkit.formats.oidv4 import folder_names
from oidkit.formats.registry import FLAGS, FORMATS, format_named
from oidkit.formats.resizing import DamagedImageError, resized
from oidkit.tables.instances import ClassFile, Part, read_instances
from oidkit.taxonomy import ClassList, Hierarchy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.formats.model import Resize

DOG, CAT, GUN, RIFLE = "/m/0bt9lr", "/m/01yrx", "/m/0gxl3", "/m/06c54"
NAMES = {DOG: "Dog", CAT: "cat", GUN: "Handgun", RIFLE: "Rifle"}
WAYS = st.sampled_from(["shortest", "longest", "letterbox", "stretch"])
SIDES = st.integers(1, 9000)


# -- classes -------------------------------------------------------------------------------------


def test_classes_are_numbered_by_name_in_any_case() -> None:
    """The numbers follow the display names, whatever their case."""
    assert [each.name for each in Categories.of(NAMES).listed] == ["cat", "Dog", "Handgun", "Rifle"]


def test_classes_of_one_name_are_one_category() -> None:
    """A map merges classes: rows of either have one number, and the MIDs are listed."""
    made = Categories.of(NAMES, renamed={GUN: "gun", RIFLE: "gun"})
    assert made.number(GUN, GUN) == made.number(RIFLE, RIFLE) == 2
    assert made.listed[2].mids == (RIFLE, GUN)


def test_an_earlier_order_keeps_its_numbers() -> None:
    """Names of an earlier export come first, even one that no class has, and new ones follow."""
    made = Categories.of(NAMES, order=("Rifle", "Zebra", "Dog"))
    assert [each.name for each in made.listed] == ["Rifle", "Zebra", "Dog", "cat", "Handgun"]
    assert parse_order(printed_order(made.listed), name="it") == tuple(
        each.name for each in made.listed
    )


def test_a_row_counts_with_its_own_class_before_the_one_asked_for() -> None:
    """A kind of a class counts with that class, unless it is a category itself."""
    made = Categories.of({DOG: "Dog", CAT: "Cat"})
    assert made.number(DOG, CAT) == made.number("", CAT)
    assert made.number(DOG, "/m/0other") == made.number(DOG, DOG)
    assert made.number("", "/m/0other") is None


def test_a_map_takes_names_in_any_case_mids_and_commas() -> None:
    """A class map resolves classes as every command does, commas in their names included."""
    classes = ClassList.build(NAMES | {"/m/0a": "Salt, or pepper"})
    found = parse_map("handgun=gun, /m/06c54 = gun,salt, or pepper=spice", classes)
    assert found == {GUN: "gun", RIFLE: "gun", "/m/0a": "spice"}
    with pytest.raises(UnknownClassError, match="Handgun"):
        parse_map("Handgum=gun", classes)
    for wrong in ("Handgun", "Handgun=", "=gun", "Dog=a,Handgun"):
        with pytest.raises(UsageError, match="CLASS=NAME"):
            parse_map(wrong, classes)


def test_an_order_that_lists_a_name_twice_is_refused() -> None:
    """Two numbers for one class are an error, and so is a file that is not text."""
    with pytest.raises(UsageError, match="twice"):
        parse_order(b"Dog\nCat\nDog\n", name="order.txt")
    with pytest.raises(UsageError, match="UTF-8"):
        parse_order(b"\xff\xfe", name="order.txt")


def test_a_supercategory_is_the_class_above() -> None:
    """Of several parents the first by name counts; a class below the root is its own."""
    tree = (
        b'{"LabelName":"/m/0bl9f","Subcategory":[{"LabelName":"/m/0bt9lr","Subcategory":'
        b'[{"LabelName":"/m/0gxl3"}]},{"LabelName":"/m/01yrx","Subcategory":[{"LabelName":'
        b'"/m/0gxl3"}]}]}'
    )
    above = Categories.of(NAMES).with_supercategories(Hierarchy.parse(tree), ClassList.build(NAMES))
    assert {each.name: each.supercategory for each in above.listed} == {
        "cat": "cat",
        "Dog": "Dog",
        "Handgun": "cat",
        "Rifle": "Rifle",
    }


# -- frames --------------------------------------------------------------------------------------


@given(SIDES, SIDES, st.integers(1, 2000), WAYS)
def test_a_frame_holds_the_whole_picture(width: int, height: int, size: int, way: Resize) -> None:
    """Both corners of a picture lie in its frame, and the side that was asked for is right."""
    frame = frame_of(width, height, Resizing(size, way))
    picture = Picture("train", "0" * 16, Path("x"), width, height)
    x0, y0, x1, y1 = frame.box(picture, (0.0, 0.0, 1.0, 1.0))
    assert -1e-6 <= x0 < x1 <= frame.width + 1e-6
    assert -1e-6 <= y0 < y1 <= frame.height + 1e-6
    sides = (frame.width, frame.height)
    expected = {"shortest": min(sides), "longest": max(sides)}.get(way, sides[0])
    if max(sides) < 65_500:
        assert expected == size
    if way in ("letterbox", "stretch"):
        assert sides == (size, size)


def test_a_frame_is_of_the_nearest_pixels_and_padded_on_both_sides() -> None:
    """Of an odd number of pixels of padding the one more comes behind."""
    frame = frame_of(1000, 667, Resizing(100))
    assert (frame.width, frame.height, frame.scale_y) == (100, 67, 67 / 667)
    padded = frame_of(1000, 667, Resizing(100, "letterbox"))
    assert (padded.offset_x, padded.offset_y) == (0, 16)
    assert (padded.scale_x, padded.scale_y) == (frame.scale_x, frame.scale_y)


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    """Where nothing is to be done, scales are 1 and there is no padding."""
    frame = frame_of(640, 480, Resizing(640, "longest"))
    assert (frame.width, frame.height, frame.scale_x, frame.scale_y) == (640, 480, 1, 1)
    assert frame_of(640, 480, Resizing()) == frame_of(640, 480, Resizing(480, "shortest"))


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"size": 70_000}, {"way": "smaller"}, {"quality": 0}, {"quality": 101}]
)
def test_a_resize_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    """Sizes, ways and qualities that do not exist are errors with a remedy."""
    with pytest.raises(UsageError):
        Resizing(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["shortest", "longest", "letterbox", "stretch"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_resized_picture_shows_the_same_thing_where_the_frame_says(
    tmp_path: Path, way: Resize, mode: str
) -> None:
    """A white square on black is where its box goes, in a JPEG of the frame's size."""
    picture = Image.new(mode, (400, 300))
    picture.paste("white", (100, 60, 300, 240))
    path = tmp_path / "a.jpg"
    picture.save(path, quality=95)
    frame = frame_of(400, 300, Resizing(96, way))
    with Image.open(io.BytesIO(resized(path, frame, quality=95))) as made:
        assert made.size == (frame.width, frame.height)
        assert made.mode == ("RGB" if way == "letterbox" else mode)
        pixels = np.asarray(made.convert("L")) > 200
    told = Picture("train", "0" * 16, path, 400, 300)
    x0, y0, x1, y1 = frame.box(told, (0.25, 0.2, 0.75, 0.8))
    rows, columns = np.nonzero(pixels)
    assert abs(columns.min() - x0) < 2 > abs(columns.max() + 1 - x1)
    assert abs(rows.min() - y0) < 2 > abs(rows.max() + 1 - y1)


def test_a_picture_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    """A JPEG that cannot be decoded is told from one that cannot be read."""
    path = tmp_path / "a.jpg"
    Image.effect_noise((400, 300), 80).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DamagedImageError):
        resized(path, frame_of(400, 300, Resizing(100)), quality=90)


# -- new splits ----------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 2**64 - 1), unique=True, min_size=1, max_size=60),
    st.integers(0, 2**40),
    st.data(),
)
def test_a_new_split_depends_on_the_image_alone(
    ids: list[int], seed: int, data: st.DataObject
) -> None:
    """Whatever images are left out or come in another order, the others stay where they are."""
    whole = np.array(ids, dtype=np.uint64)
    some = np.array(data.draw(st.permutations(ids)), dtype=np.uint64)[: len(ids) // 2 + 1]
    shares = [0.6, 0.3, 0.1]
    known = dict(zip(ids, allotted(whole, shares, seed=seed).tolist(), strict=True))
    found = allotted(some, shares, seed=seed).tolist()
    assert found == [known[each] for each in some.tolist()]
    assert set(found) <= {0, 1, 2}


def test_new_splits_meet_their_shares_and_differ_by_seed() -> None:
    """Of 20,000 images each split has its share give or take five deviations."""
    ids = np.arange(20_000, dtype=np.uint64)
    counts = np.bincount(allotted(ids, [0.8, 0.1, 0.1], seed=3))
    assert np.all(np.abs(counts - [16_000, 2_000, 2_000]) < 5 * np.sqrt([3_200, 1_800, 1_800]))
    assert (allotted(ids, [0.5, 0.5]) != allotted(ids, [0.5, 0.5], seed=1)).any()


# -- boxes and masks -----------------------------------------------------------------------------

BOXES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)
MASKS = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
IMAGE = "000000000000000a"


def joined(
    tmp_path: Path, boxes: Sequence[str], masks: Sequence[str]
) -> list[tuple[float | None, str | None]]:
    """Join rows, written as ``XMin,XMax,YMin,YMax``, and give XMin and BoxID of each object."""
    of_boxes, of_masks = tmp_path / "boxes.csv", tmp_path / "masks.csv"
    of_boxes.write_text(
        BOXES + "".join(f"{IMAGE},xclick,{DOG},1,{row},0,1,0,0,-1\n" for row in boxes)
    )
    names = [f"{IMAGE}_m0bt9lr_{at:08x}.png" for at in range(len(masks))]
    of_masks.write_text(
        MASKS
        + "".join(
            f"{name},{IMAGE},{DOG},{at:08x},{row},0.0,\n"
            for at, (name, row) in enumerate(zip(names, masks, strict=True))
        )
    )
    part = Part(
        [ClassFile(of_boxes, DOG)],
        [ClassFile(of_masks, DOG)],
        [],
        np.array([int(IMAGE, 16)], dtype=np.uint64),
        np.array([0], dtype=np.uint32),
        names,
    )
    found = read_instances([part], Categories.of({DOG: "Dog"}))
    assert found.joined + found.lone_masks == len(masks)
    assert found.boxes == len(boxes)
    return [(each.xmin, each.box_id) for each in found.objects(0, 1)[0]]


def test_a_mask_joins_the_box_of_its_coordinates(tmp_path: Path) -> None:
    """A box with ten decimals and its mask with six are one object, rounded or cut off."""
    boxes = ["0.1234567891,0.5,0.25,0.75", "0.2,0.6000009999,0.1,0.9", "0.3,0.4,0.5,0.6"]
    masks = ["0.200000,0.600000,0.100000,0.900000", "0.123457,0.500000,0.250000,0.750000"]
    assert joined(tmp_path, boxes, masks) == [
        (0.1234567891, "00000001"),
        (0.2, "00000000"),
        (0.3, None),
    ]


def test_a_mask_that_no_box_fits_stands_alone(tmp_path: Path) -> None:
    """Coordinates that differ by more than rounding are another object."""
    assert joined(tmp_path, ["0.1,0.5,0.1,0.5"], ["0.100003,0.500000,0.100000,0.500000"]) == [
        (0.1, None),
        (None, "00000000"),
    ]


def test_boxes_that_are_alike_take_a_mask_each(tmp_path: Path) -> None:
    """Two equal boxes and three equal masks make two objects and a mask that is left."""
    same = "0.100000,0.500000,0.100000,0.500000"
    assert joined(tmp_path, [same] * 2, [same] * 3) == [
        (0.1, "00000000"),
        (0.1, "00000001"),
        (None, "00000002"),
    ]


def test_the_real_masks_join_their_boxes_with_nothing_between(sample: Path) -> None:
    """Every real mask has one box at distance 0, and no other within a thousand tolerances."""
    top = sample / "openimages"
    with (top / "v5" / "train-annotations-object-segmentation.csv").open(newline="") as file:
        masks = list(csv.DictReader(file))
    with (top / "v6" / "oidv6-train-annotations-bbox.csv").open(newline="") as file:
        boxes = list(csv.DictReader(file))
    sides = ("XMin", "XMax", "YMin", "YMax")
    assert masks
    for mask in masks:
        apart = sorted(
            max(abs(float(box[side]) - float(mask[f"Box{side}"])) for side in sides)
            for box in boxes
            if (box["ImageID"], box["LabelName"]) == (mask["ImageID"], mask["LabelName"])
        )
        assert apart[0] == 0
        assert all(far > 2e-3 for far in apart[1:])


# -- formats -------------------------------------------------------------------------------------


def test_every_format_is_where_the_registry_says() -> None:
    """Each name gives a format of that name, unless a library of its extra is not installed."""
    for name, home in FORMATS.items():
        try:
            assert format_named(name, {}).name == name
        except UsageError as error:
            assert f"oidkit[{home.extra}]" in str(error)  # noqa: PT017 - either is right
    assert all(set(flag.formats) <= set(FORMATS) for flag in FLAGS.values())


def test_a_format_or_flag_that_is_not_there_is_refused() -> None:
    """An unknown format, an unknown flag and one of another format are told apart."""
    with pytest.raises(UsageError, match="choose from"):
        format_named("coco3d", {})
    with pytest.raises(UsageError, match="--polygonal"):
        format_named("csv", {"polygonal": True})
    for name, flag in FLAGS.items():
        if "csv" not in flag.formats:
            with pytest.raises(UsageError, match=f"of format {flag.formats[0]}"):
                format_named("csv", {name: True})


def test_folders_of_oidv4_are_safe_and_differ() -> None:
    """Names that no file may have, or that a file system takes for the same, still differ."""
    made = Categories.of({DOG: "a/b", CAT: "A_b", GUN: "a:b", RIFLE: "..."})
    assert [each.name for each in made.listed] == ["...", "a/b", "a:b", "A_b"]
    assert folder_names(made.listed) == ["0", "a_b", "a_b_2", "A_b_3"]
