"""A plan asks for every wanted file exactly once, and for nothing that is there."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oidkit import catalog
from oidkit.planning import Plan, image_bytes, plan_images, plan_masks, spans
from oidkit.zipmember import Member

Ids = NDArray[np.uint64]
FOLDERS = ("images/train/dog_m0bt9lr", "images/train/cat_m01yrx", "images/train", "")
image_id = st.one_of(st.integers(0, 25), st.sampled_from([2**63, 2**64 - 1]))
ids = st.sets(image_id, max_size=20)
wanted_files = st.dictionaries(st.sampled_from(FOLDERS), ids, max_size=4)


def column(numbers: set[int]) -> Ids:
    """Turn a set into the sorted column that plans are made of."""
    return np.array(sorted(numbers), dtype=np.uint64)


def path(folder: str, number: int) -> str:
    """Name the file of an image."""
    return f"{folder}/{number:016x}.jpg".lstrip("/")


def test_the_files_of_an_image_are_one_task_wherever_the_plan_is_cut() -> None:
    """A plan is read some thousand rows at a time; an image may lie on both sides of a cut."""
    numbers = column(set(range(10_001)))
    places = {FOLDERS[0]: numbers, FOLDERS[1]: numbers, FOLDERS[3]: numbers[::2]}
    there = {FOLDERS[0]: numbers[::3]}
    none = column(set())
    plan = plan_images("train", places, there=lambda at: there.get(at, none))
    for number, task in enumerate(plan.tasks()):
        folders = [FOLDERS[0], FOLDERS[1], *([FOLDERS[3]] if number % 2 == 0 else [])]
        standing = folders[: int(number % 3 == 0)]
        assert set(task.present) == {path(folder, number) for folder in standing}
        assert {*task.present, *task.absent} == {path(folder, number) for folder in folders}
    assert number == 10_000


@given(wanted=wanted_files, standing=wanted_files)
def test_each_wanted_file_is_there_or_in_one_task(
    wanted: dict[str, set[int]], standing: dict[str, set[int]]
) -> None:
    """Files of a plan are those asked for: there already, or absent in exactly one task."""
    places = {folder: column(numbers) for folder, numbers in wanted.items()}
    plan = plan_images("train", places, there=lambda at: column(standing.get(at, set())))
    tasks = list(plan.tasks())
    asked = {path(folder, number) for folder, numbers in wanted.items() for number in numbers}
    here = {
        path(folder, number)
        for folder, numbers in wanted.items()
        for number in numbers & standing.get(folder, set())
    }
    absent = Counter(each for task in tasks for each in task.absent)
    assert absent == dict.fromkeys(asked - here, 1)
    images = set[int]().union(*wanted.values())
    assert plan.asked == len(images) == plan.present + plan.to_fetch
    assert plan.to_fetch == sum(1 for task in tasks if not task.present)
    assert [task.image_id for task in tasks] == sorted({task.image_id for task in tasks})
    for task in tasks:
        assert task.absent
        assert not [
            each for each in task.absent + task.present if not each.endswith(f"{task.image_id}.jpg")
        ]
        assert set(task.present) == {each for each in here if each.endswith(f"{task.image_id}.jpg")}


names = st.builds(
    "{:016x}_{}_{:08x}.png".format,
    st.integers(0, 2**64 - 1),
    st.sampled_from(["m0gxl3", "m01_5g"]),
    st.integers(0, 2**32 - 1),
)


@given(wanted=st.lists(names, max_size=30), data=st.data())
def test_each_wanted_mask_is_there_or_in_its_own_zip_once(
    wanted: list[str], data: st.DataObject
) -> None:
    """Masks are sorted by the first digit of their image, each once, without those there."""
    wanted += data.draw(st.lists(st.sampled_from(wanted), max_size=5)) if wanted else []
    there = data.draw(st.sets(st.sampled_from(wanted))) if wanted else set()
    plan = plan_masks("train", wanted, there=there.__contains__)
    assert plan.asked == len(set(wanted))
    assert plan.to_fetch == len(set(wanted) - there)
    listed = [name for found in plan.absent.values() for name in found]
    assert sorted(listed) == sorted(set(wanted) - there)
    for key, found in plan.absent.items():
        assert found
        assert {catalog.mask_zip("train", name[0]).key for name in found} == {key}
        assert list(found) == sorted(found)


# Members as zips have them: one after the other, a few very large ones, some that nobody wants.
sizes = st.lists(
    st.tuples(
        st.one_of(st.integers(30, 3_000), st.integers(10_000, 90_000), st.just(9 << 20)),
        st.booleans(),
    ),
    max_size=60,
)


@given(made=sizes, data=st.data())
def test_spans_cover_every_member_within_the_bounds(
    made: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """Every wanted member lies in one span, with less than 64 KiB that nobody asked for."""
    members, place = [], 0
    for at, (size, chosen) in enumerate(made):
        if chosen:
            members.append(Member(f"{at}.png", place, place + size, size, size, 0, 0, 0))
        place += size
    members = list(data.draw(st.permutations(members)))
    found = spans(members)
    assert Counter(at for span in found for at in span.members) == dict.fromkeys(
        range(len(members)), 1
    )
    for span in found:
        inside = [members[at] for at in span.members]
        assert span.start == min(each.offset for each in inside)
        assert span.stop == max(each.stop for each in inside)
        assert span.length - sum(each.stop - each.offset for each in inside) <= 64 << 10
        assert len(inside) == 1 or span.length <= 8 << 20
    ends = [(span.start, span.stop) for span in sorted(found, key=lambda span: span.start)]
    assert not [(one, two) for one, two in itertools.pairwise(ends) if one[1] > two[0]]


def test_neighbours_are_one_request() -> None:
    """A thousand small members side by side are asked for at once, and far ones are not."""
    near = [Member(f"{at}", at * 1_000, at * 1_000 + 1_000, 9, 9, 0, 0, 0) for at in range(1_000)]
    assert [(span.start, span.stop) for span in spans(near)] == [(0, 1_000_000)]
    far = [Member(f"{at}", at << 20, (at << 20) + 1_000, 9, 9, 0, 0, 0) for at in range(100)]
    assert len(spans(far)) == 100


def test_small_gaps_do_not_add_up_to_more_than_64_kib() -> None:
    """A long row of members with 10 KB between each is cut where the gaps come to 64 KiB."""
    row = [Member(f"{at}", at * 11_000, at * 11_000 + 1_000, 9, 9, 0, 0, 0) for at in range(100)]
    found = spans(row)
    assert max(span.length - 1_000 * len(span.members) for span in found) <= 64 << 10
    assert len(found) == 15


def test_a_plan_prints_what_its_parts_add_up_to() -> None:
    """The plan as plain values sums up all splits, and counts an image of two folders once."""
    both = {FOLDERS[0]: column({1, 2, 3}), FOLDERS[1]: column({3, 4})}
    train = plan_images("train", both, there=lambda at: column({1} if at == FOLDERS[0] else set()))
    test = plan_images("test", {"images/test": column({9})}, there=lambda _: column(set()))
    masks = plan_masks("train", ["0" * 16 + "_m0gxl3_" + "0" * 8 + ".png"], there=lambda _: False)
    whole = Plan((train, test), (masks,), {"boxes": 7, "masks": 1}, 5, 4)
    assert whole.as_dict() == {
        "images": {"asked": 5, "present": 1, "to_fetch": 4},
        "masks": {"asked": 1, "present": 0, "to_fetch": 1},
        "annotations": {"boxes": 7, "masks": 1},
        "bytes_to_receive": 5,
        "disk_needed": 4,
    }
    assert image_bytes(3) == 3 * catalog.IMAGE_BYTES


def test_a_plan_of_a_million_images_is_columns() -> None:
    """A million images take some bytes each, and their tasks come one at a time."""
    million = np.arange(1_000_000, dtype=np.uint64)
    plan = plan_images("train", {FOLDERS[0]: million}, there=lambda _: column(set()))
    assert plan.ids.nbytes + plan.folder.nbytes + plan.there.nbytes <= 16 * 1_000_000
    assert next(plan.tasks()).absent == (path(FOLDERS[0], 0),)
