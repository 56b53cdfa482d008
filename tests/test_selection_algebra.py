"""Selections that are combined choose what their images come to as sets, or are refused."""

from __future__ import annotations

import dataclasses
import operator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidkit.errors import UsageError
from oidkit.selection import Selection
from oidkit.testing import PerSplit, ReleaseSpec, make_release
from oracle import SPLITS, Asked, Mirror

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = dataclasses.replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(60, 30, 30),
    jpegs=0,
    boxes_per_image=3.0,
)
Images = set[str]
names = st.lists(
    st.sampled_from(["Person", "Man", "Tree", "Handgun"]), min_size=1, max_size=3, unique=True
)
selections = st.builds(
    Selection,
    classes=names.map(tuple),
    splits=st.sampled_from([("train",), ("train", "test"), SPLITS]),
    labels=st.sampled_from([("boxes",), ("boxes", "masks")]),
    match=st.sampled_from(["any", "all"]),
    exclude=st.sampled_from([(), (), ("Clothing",)]),
    min_area=st.sampled_from([0.0, 0.0, 0.05]),
    subclasses=st.sampled_from([False, False, True]),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Selection], Images]:
    """Give the oracle's way from a selection to its images."""
    mirror = Mirror(make_release(tmp_path_factory.mktemp("mirror"), SPEC).root)

    def chosen(wanted: Selection) -> Images:
        asked = Asked(
            tuple(map(mirror.by_id, wanted.classes)),
            labels=wanted.labels,
            match=wanted.match,
            exclude=tuple(map(mirror.by_id, wanted.exclude)),
            min_area=wanted.min_area,
            subclasses=wanted.subclasses,
        )
        return {
            f"{split}/{each}"
            for split in wanted.splits
            for found in asked.chosen(mirror, split).values()
            for each in found
        }

    return chosen


@given(one=selections, other=selections)
def test_what_is_combined_chooses_what_the_sets_come_to(
    images: Callable[[Selection], Images], one: Selection, other: Selection
) -> None:
    """`|`, `&` and `-` are those of the sets of images wherever they are not refused."""
    left, right = images(one), images(other)
    operations: list[tuple[Callable[[], Selection], Images]] = [
        (lambda: one | other, left | right),
        (lambda: one & other, left & right),
        (lambda: one - other, left - right),
    ]
    for combine, want in operations:
        try:
            found = combine()
        except UsageError:
            continue
        assert images(found) == want


listed = ("train/0123456789abcdef",)
hard: dict[str, Any] = {"labels": ("points",), "negatives": True}
negatives = Selection(("Handgun",), **hard)
handgun, person, both = Selection(("Handgun",)), Selection(("Person",)), ("Handgun", "Person")


def test_the_plain_cases_are_not_refused() -> None:
    """One class and another come to the selection that anybody would write for them."""
    assert handgun | person == Selection(both)
    assert handgun & person == Selection(both, match="all")
    assert handgun - person == Selection(("Handgun",), exclude=("Person",))
    assert handgun | handgun == handgun & handgun == handgun
    train, test = (dataclasses.replace(handgun, splits=(split,)) for split in ("train", "test"))
    assert test | train == Selection(("Handgun",), splits=("train", "test"))
    assert (train | test) & test == test
    turned = Selection(both[::-1], splits=("test",), match="all")
    assert (handgun & person) & turned == dataclasses.replace(handgun & person, splits=("test",))
    assert (handgun & person) | turned == handgun & person
    few = dataclasses.replace(handgun, limit=5)
    assert few | dataclasses.replace(person, limit=5) == Selection(both, limit=5)
    assert few & few == few
    assert handgun - person - Selection(("Man",)) == Selection(
        ("Handgun",), exclude=("Person", "Man")
    )


@pytest.mark.parametrize("field", ["upright", "original", "metadata", "images"])
def test_how_images_come_is_no_matter_of_those_taken_away(field: str) -> None:
    """What the second says of bringing images has no say; the first keeps what it says."""
    changed: dict[str, Any] = {field: not getattr(handgun, field)}
    other = dataclasses.replace(handgun, **changed)
    taken = dataclasses.replace(other, exclude=("Person",))
    assert other - person == taken
    assert handgun - dataclasses.replace(other, classes=("Person",)) == handgun - person


@pytest.mark.parametrize(
    ("combine", "says"),
    [
        (lambda: handgun | Selection(("Person",), limit=3), "they differ in limit"),
        (lambda: handgun | Selection(("Person",), occluded="no"), "they differ in occluded"),
        (lambda: handgun | Selection(("Dog", "Cat"), match="all"), "match 'all' of several"),
        (lambda: Selection(("Dog",), total=3) | Selection(("Cat",), total=3), "total of both"),
        (lambda: Selection(("Dog",), limit=3) & Selection(("Cat",), limit=3), "a limit picks"),
        (lambda: handgun & Selection(("Dog", "Cat")), "any of several classes"),
        (lambda: Selection(("Dog",), limit=3) - handgun, "they differ in limit"),
        (lambda: handgun - Selection(("Dog",), min_area=0.1), "only images with any"),
        (lambda: handgun - Selection(("Dog",), splits=("train",)), "lacks a split"),
        (
            lambda: (
                Selection((), image_ids=listed, match="all")
                & Selection(("Dog",), image_ids=listed, match="all")
            ),
            "listed images alone",
        ),
        (lambda: negatives & Selection(("Dog",), **hard), "a negative of another"),
        (lambda: negatives - Selection(("Dog",), **hard), "do not show its classes"),
        (lambda: negatives - Selection(("Dog",), labels=("points",)), "differ in negatives"),
        (
            lambda: Selection(("Dog",), splits=("train",)) & Selection(("Dog",), splits=("test",)),
            "no split in common",
        ),
    ],
)
def test_what_one_selection_cannot_say_is_refused(
    combine: Callable[[], Selection], says: str
) -> None:
    """A combination that would not be exact is an error that says what stands in the way."""
    with pytest.raises(UsageError, match=says):
        combine()


@pytest.mark.parametrize("sign", [operator.or_, operator.and_, operator.sub])
def test_nothing_else_can_be_combined(sign: Callable[[object, object], object]) -> None:
    """A selection and something else is a type error, as with any value."""
    with pytest.raises(TypeError):
        sign(handgun, "Person")
