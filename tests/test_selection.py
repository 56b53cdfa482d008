"""Which images are chosen: laws that hold for every set of images and every limit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oidkit.choice import LISTED, Choice, Match, choose, union
from oidkit.errors import UsageError
from oidkit.selection import Selection

Ids = NDArray[np.uint64]
MIDS = ("/m/01g317", "/m/0gxl3", "/m/01_5g", "/g/11c3krnq6j")
# Few different ids, so that classes share images, and both ends of what 16 hex digits can be.
image_id = st.one_of(
    st.integers(0, 40), st.integers(2**64 - 4, 2**64 - 1), st.integers(0, 2**64 - 1)
)
images = st.sets(image_id, max_size=30).map(lambda found: np.array(sorted(found), dtype=np.uint64))
candidates = st.lists(images, min_size=1, max_size=4).map(
    lambda found: dict(zip(MIDS, found, strict=False))
)
matches: st.SearchStrategy[Match] = st.sampled_from(["any", "all"])
limits = st.integers(1, 35)
seeds = st.integers(-5, 2**65)


def sets(choice: Choice) -> dict[str, set[int]]:
    """Give the images of each class as sets of plain numbers."""
    return {mid: set(ids.tolist()) for mid, ids in choice.by_class.items()}


def whole(having: dict[str, Ids], match: Match) -> dict[str, set[int]]:
    """Work out with sets what is chosen without a limit."""
    plain = {mid: set(ids.tolist()) for mid, ids in having.items()}
    if match == "any":
        return plain
    return dict.fromkeys(plain, set.intersection(*plain.values()))


@given(having=candidates, match=matches)
def test_without_a_limit_any_is_each_set_and_all_is_what_they_share(
    having: dict[str, Ids], match: Match
) -> None:
    """`any` keeps every image of each class, and `all` the intersection for each of them."""
    choice = choose(having, match=match)
    assert sets(choice) == whole(having, match)
    assert choice.images.tolist() == sorted(set[int]().union(*whole(having, match).values()))


@given(having=candidates, match=matches, limit=limits, seed=seeds)
def test_a_limit_holds_for_each_class_and_takes_nothing_away_below_it(
    having: dict[str, Ids], match: Match, limit: int, seed: int
) -> None:
    """Each class has min(N, its own) images, all of them its own, sorted and once each."""
    choice = choose(having, match=match, limit=limit, seed=seed)
    for mid, own in whole(having, match).items():
        picked = choice.by_class[mid]
        assert picked.dtype == np.uint64
        assert set(picked.tolist()) <= own
        assert len(picked) == min(limit, len(own))
        assert picked.tolist() == sorted(set(picked.tolist()))
    assert choice.images.tolist() == union(choice.by_class).tolist()


@given(having=candidates, match=matches, limit=limits, more=limits, seed=seeds)
def test_a_larger_limit_keeps_what_a_smaller_one_chose(
    having: dict[str, Ids], match: Match, limit: int, more: int, seed: int
) -> None:
    """What a limit of N chose is a part of what a larger limit chooses, for every class."""
    small = sets(choose(having, match=match, limit=limit, seed=seed))
    large = sets(choose(having, match=match, limit=limit + more, seed=seed))
    assert not [mid for mid in having if not small[mid] <= large[mid]]


@given(having=candidates, match=matches, limit=limits, seed=seeds, data=st.data())
def test_the_order_of_classes_decides_nothing(
    having: dict[str, Ids], match: Match, limit: int, seed: int, data: st.DataObject
) -> None:
    """The same classes in another order get the same images each."""
    order = data.draw(st.permutations(list(having)))
    turned = {mid: having[mid] for mid in order}
    one = choose(having, match=match, limit=limit, seed=seed)
    two = choose(turned, match=match, limit=limit, seed=seed)
    assert sets(one) == sets(two)
    assert one.images.tolist() == two.images.tolist()


@given(having=candidates, limit=limits, seed=seeds)
def test_what_a_class_gets_does_not_depend_on_the_others(
    having: dict[str, Ids], limit: int, seed: int
) -> None:
    """With `any`, a class asked for alone gets the images that it gets among others."""
    together = sets(choose(having, limit=limit, seed=seed))
    for mid, ids in having.items():
        assert sets(choose({mid: ids}, limit=limit, seed=seed)) == {mid: together[mid]}


@given(having=candidates, match=matches, limit=st.none() | limits, seed=seeds, unwanted=images)
def test_what_is_excluded_leaves_room_for_others(
    having: dict[str, Ids], match: Match, limit: int | None, seed: int, unwanted: Ids
) -> None:
    """Excluded images are as if they had never been there: they count against no limit."""
    bad = set(unwanted.tolist())
    rest = {
        mid: np.array([each for each in ids.tolist() if each not in bad], dtype=np.uint64)
        for mid, ids in having.items()
    }
    found = choose(having, match=match, limit=limit, seed=seed, without=unwanted)
    assert sets(found) == sets(choose(rest, match=match, limit=limit, seed=seed))
    assert not set(found.images.tolist()) & bad


@given(having=candidates, match=matches, limit=st.none() | limits, total=limits, seed=seeds)
def test_a_total_takes_images_from_the_classes_in_turn(
    having: dict[str, Ids], match: Match, limit: int | None, total: int, seed: int
) -> None:
    """The images of a total are those of a slow program that deals them out round by round."""
    every = sets(choose(having, match=match, limit=limit, seed=seed))
    start = _splitmix(seed % 2**64)
    ranked = [sorted(ids, key=lambda each: _splitmix(each ^ start)) for ids in every.values()]
    dealt: dict[int, None] = {}
    for at in range(max(map(len, ranked))):
        turn = {ids[at] for ids in ranked if at < len(ids)}
        dealt |= dict.fromkeys(sorted(turn, key=lambda each: _splitmix(each ^ start)))
    kept = set([*dealt][:total])
    found = choose(having, match=match, limit=limit, total=total, seed=seed)
    assert set(found.images.tolist()) == kept
    assert sets(found) == {mid: ids & kept for mid, ids in every.items()}
    assert not [ids for ids in found.by_class.values() if ids.tolist() != sorted(ids.tolist())]


@given(having=candidates, total=limits, more=limits, limit=limits, seed=seeds, data=st.data())
def test_a_larger_total_or_limit_keeps_what_a_smaller_one_chose(
    having: dict[str, Ids], total: int, more: int, limit: int, seed: int, data: st.DataObject
) -> None:
    """Totals are nested, in themselves and in limits, in any order of the classes."""
    turned = {mid: having[mid] for mid in data.draw(st.permutations(list(having)))}
    small = set(choose(having, limit=limit, total=total, seed=seed).images.tolist())
    assert len(small) <= total
    for at_most, altogether in (
        (limit, total + more),
        (limit + more, total),
        (limit + more, total + more),
    ):
        large = choose(turned, limit=at_most, total=altogether, seed=seed)
        assert small <= set(large.images.tolist())
        assert len(large.images) <= altogether


@given(having=candidates, total=limits, seed=seeds)
def test_a_total_is_balanced_over_classes(having: dict[str, Ids], total: int, seed: int) -> None:
    """Each class has its even share of the total, or all its images if they are fewer."""
    found = choose(having, total=total, seed=seed)
    for mid, ids in having.items():
        assert len(found.by_class[mid]) >= min(total // len(having), len(ids))
    every = union(having)
    assert len(found.images) == min(total, len(every))


@given(having=candidates, match=matches, limit=limits, seed=seeds, listed=images)
def test_listed_images_change_nothing_for_the_classes(
    having: dict[str, Ids], match: Match, limit: int, seed: int, listed: Ids
) -> None:
    """Images under `LISTED` are all taken, and each class has what it has without them."""
    alone = choose(having, match=match, limit=limit, seed=seed)
    found = choose({**having, LISTED: listed}, match=match, limit=limit, seed=seed)
    assert sets(found) == {**sets(alone), LISTED: set(listed.tolist())}
    assert set(found.images.tolist()) == {*alone.images.tolist(), *listed.tolist()}


def test_seeds_choose_differently_and_evenly() -> None:
    """Over 400 seeds every one of 50 images is kept about as often as any other."""
    ids = np.arange(50, dtype=np.uint64)
    counts = np.zeros(50, dtype=np.int64)
    for seed in range(400):
        counts[choose({"/m/0gxl3": ids}, limit=10, seed=seed).images.astype(np.int64)] += 1
    # 400 draws of 10 out of 50: 80 each, with a standard deviation of 8.
    assert counts.sum() == 4_000
    assert counts.min() > 80 - 5 * 8
    assert counts.max() < 80 + 5 * 8


def _splitmix(value: int) -> int:
    """Mix a number as Steele et al. 2014 have it, in plain integers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


@pytest.mark.parametrize("seed", [0, 7, 2**63])
def test_the_choice_of_a_seed_is_the_same_for_ever(seed: int) -> None:
    """A dataset made with a limit today is the one that it makes on any machine, in any version."""
    ids = [int(f"{at:02x}" * 8, 16) for at in range(0, 256, 16)]
    chosen = choose({"/m/0gxl3": np.array(ids, dtype=np.uint64)}, limit=4, seed=seed).images
    first = sorted(ids, key=lambda number: _splitmix(number ^ _splitmix(seed)))[:4]
    assert chosen.tolist() == sorted(first)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"splits": ("training",)}, "there is no split 'training'"),
        ({"splits": ()}, "no split was named"),
        ({"labels": ("box",)}, "there is no label type 'box'"),
        ({"match": "some"}, "there is no match 'some'"),
        ({"layout": "tree"}, "there is no layout 'tree'"),
        ({"limit": 0}, "a limit of 0 images makes no sense"),
        ({"limit": -1}, "a limit of -1 images makes no sense"),
        ({"annotations": "none"}, "there is no kind of annotations 'none'"),
        ({"image_ids": ("train/1",)}, "'train/1' is not the id of an image"),
        ({"image_ids": ("dev/0123456789abcdef",)}, "'dev/0123456789abcdef' is not the id"),
        ({"image_ids": ("0123456789ABCDEF",)}, "'0123456789ABCDEF' is not the id"),
        ({"total": 0}, "a total of 0 images makes no sense"),
        ({"occluded": "1"}, "there is no value of occluded '1'"),
        ({"group_of": "-1"}, "there is no value of group_of '-1'"),
        ({"min_area": -0.1}, "a smallest area of -0.1 makes no sense"),
        ({"min_area": 1.01}, "a smallest area of 1.01 makes no sense"),
        ({"min_area": float("nan")}, "a smallest area of nan makes no sense"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, object], says: str) -> None:
    """Each field refuses what it does not know, with a remedy."""
    with pytest.raises(UsageError, match=says) as caught:
        Selection(("Handgun",), **wrong)  # type: ignore[arg-type]
    assert caught.value.remedy


selections = st.builds(
    Selection,
    classes=st.lists(st.sampled_from(MIDS), unique=True).map(tuple),
    match=matches,
    limit=st.none() | limits,
    seed=st.integers(),
    images=st.booleans(),
    metadata=st.booleans(),
    inside=st.sampled_from(["yes", "no", "any"]),
    min_area=st.floats(0, 1),
    exclude=st.lists(st.sampled_from(MIDS), unique=True).map(tuple),
    subclasses=st.booleans(),
    total=st.none() | limits,
    annotations=st.sampled_from(["requested", "all"]),
    image_ids=st.lists(st.sampled_from(["train/0123456789abcdef", "f" * 16])).map(tuple),
)


@given(before=selections)
def test_a_selection_survives_json(before: Selection) -> None:
    """What is written into a dataset's description is read back as the same selection."""
    assert Selection.from_dict(json.loads(json.dumps(before.as_dict()))) == before


def test_what_is_no_selection_is_refused() -> None:
    """A description that lacks a field, or has one too many, is a usage error."""
    plain = Selection(("Handgun",)).as_dict()
    wrong: list[dict[str, object]] = [
        {"colour": "red"},
        {"splits": None},
        {"classes": "Handgun"},
        {"classes": [1]},
        {"limit": "3"},
        {"limit": True},
        {"seed": None},
        {"images": 1},
        {"min_area": "0.5"},
        {"exclude": "Dog"},
        {"subclasses": "yes"},
        {"min_area": False},
        {"occluded": True},
    ]
    for broken in ({}, *({**plain, **each} for each in wrong)):
        with pytest.raises(UsageError):
            Selection.from_dict(broken)


def test_what_an_earlier_version_wrote_is_read() -> None:
    """A description without the newer fields is the selection that it was, and is written so."""
    earlier = {
        "classes": ["/m/0gxl3"],
        "splits": ["train"],
        "labels": ["boxes", "masks"],
        "match": "any",
        "limit": None,
        "seed": 0,
        "layout": "class",
        "images": True,
        "metadata": True,
    }
    found = Selection.from_dict(earlier)
    assert found == Selection(("/m/0gxl3",), splits=("train",), labels=("boxes", "masks"))
    assert json.dumps(found.as_dict()) == json.dumps(earlier)
