"""Filters of the explorer against a slow reading of the same files, and against each other."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from looked_at import LABELS, Seen, corners, every_label, seen
from oidkit.api.looking import look
from oidkit.schema import FLAGS
from oidkit.tables.exhibit import PLACES
from oidkit.tables.sieve import ANSWERS, BIN_EDGES, Sieve, Sifter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.tables.exhibit import Exhibit

ROUNDS = 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a dataset with every label type."""
    return every_label(tmp_path_factory)


@pytest.fixture(scope="module")
def exhibit(root: Path) -> Exhibit:
    """Read it as the explorer does."""
    return look(root)[0]


@pytest.fixture(scope="module")
def slow(root: Path) -> dict[str, Seen]:
    """Read it with the csv module."""
    return seen(root)


@pytest.fixture
def sifter(exhibit: Exhibit) -> Sifter:
    """Ask about it; some images have verdicts."""
    return Sifter(exhibit, _verdicts())


def _verdicts() -> dict[str, np.ndarray[tuple[int], np.dtype[np.uint32]]]:
    some = {"bad": [1, 2, 5], "good": [2, 7]}
    return {word: np.array(found, dtype=np.uint32) for word, found in some.items()}


def some_sieve(draw: random.Random, mids: tuple[str, ...]) -> Sieve:
    """Make filters by chance, a few of them set."""

    def maybe(values: tuple[str, ...], most: int = 2) -> tuple[str, ...]:
        return tuple(draw.sample(values, draw.randint(1, most))) if draw.random() < 0.2 else ()

    def span(name: str) -> tuple[float, float] | None:
        if draw.random() < 0.8:
            return None
        low, high = sorted(draw.sample([*BIN_EDGES[name], math.inf], 2))
        return low, (1.0 if name != "boxes" and high == math.inf else high)

    answers = tuple(ANSWERS)
    place = (draw.randrange(PLACES), draw.randrange(PLACES)) if draw.random() < 0.1 else None
    return Sieve(
        any_of=maybe(mids, 3),
        all_of=maybe(mids),
        none_of=maybe(mids, 1),
        split=maybe(("train", "validation", "test")),
        label=maybe(LABELS),
        review=maybe(("bad", "good", "none"), 1),
        flags=tuple((word, found) for word in FLAGS if (found := maybe(answers))),
        size=span("size"),
        boxes=span("boxes"),
        confidence=span("confidence"),
        place=place,
        text=maybe(("a", "the", "of")),
    )


def _sieves(mids: tuple[str, ...]) -> Iterator[Sieve]:
    draw = random.Random(20_261_129)
    for _ in range(ROUNDS):
        yield some_sieve(draw, mids)


def _in(value: float, span: tuple[float, float]) -> bool:
    return span[0] <= value < span[1] or value == span[1] == 1


def _counts(value: int, span: tuple[float, float]) -> bool:
    return span[0] <= value < span[1]


def _fits(box: dict[str, str], sieve: Sieve) -> bool:
    x0, y0, x1, y1 = corners(box)
    column = min(int((x0 + x1) / 2 * PLACES), PLACES - 1)
    row = min(int((y0 + y1) / 2 * PLACES), PLACES - 1)
    return (
        all(
            int(box[FLAGS[word]]) in [ANSWERS[each] for each in wanted]
            for word, wanted in sieve.flags
        )
        and (sieve.size is None or _in((x1 - x0) * (y1 - y0), sieve.size))
        and (sieve.place is None or sieve.place == (column, row))
    )


def meets(image: str, one: Seen, sieve: Sieve) -> bool:
    """Say the slow way whether an image meets the filters, verdicts aside."""
    split = image.partition("/")[0]
    has = {
        "boxes": one.boxes,
        "masks": one.masks,
        "image-labels": one.labels,
        "relationships": one.relationships,
        "points": one.points,
        "narratives": one.captions,
    }
    text = "\n".join([one.title, *one.captions]).lower()
    fitting = [box for box in one.boxes if _fits(box, sieve)]
    classes = {box["LabelName"] for box in fitting} if sieve.of_boxes else one.classes
    confidences = [float(row["Confidence"]) for row in one.labels]
    return (
        (not sieve.split or split in sieve.split)
        and (not sieve.label or any(has[label] for label in sieve.label))
        and (sieve.boxes is None or _counts(len(one.boxes), sieve.boxes))
        and (sieve.confidence is None or any(_in(each, sieve.confidence) for each in confidences))
        and all(word in text for word in sieve.text)
        and (not sieve.of_boxes or bool(fitting))
        and (not sieve.any_of or bool(classes & {*sieve.any_of}))
        and classes >= {*sieve.all_of}
        and not one.classes & {*sieve.none_of}
    )


def test_every_image_and_class_is_there(exhibit: Exhibit, slow: dict[str, Seen]) -> None:
    """Images stand in the order of split and id; classes are those of the rows."""
    names = [exhibit.name(at) for at in range(len(exhibit))]
    assert {*slow} <= {*names}
    order = {"train": 0, "validation": 1, "test": 2}
    assert names == sorted(names, key=lambda name: (order[name.split("/")[0]], name))
    assert {*exhibit.mids} == {mid for one in slow.values() for mid in one.classes}
    assert all(exhibit.labels[label].any() for label in LABELS)


def test_filters_choose_what_a_slow_reading_chooses(
    exhibit: Exhibit, slow: dict[str, Seen]
) -> None:
    """Sixty sets of filters by chance, on every image; some choose few, some many."""
    sifter, sizes = Sifter(exhibit), set()
    for sieve in _sieves(exhibit.mids):
        bare = replace(sieve, review=())
        found = {exhibit.name(at) for at in sifter.chosen(bare).tolist()}
        every = {exhibit.name(at): Seen() for at in range(len(exhibit))} | slow
        assert found == {name for name, one in every.items() if meets(name, one, bare)}, bare
        sizes.add(len(found))
    assert len(sizes) > 10


def test_a_count_is_what_its_choice_leaves(exhibit: Exhibit, sifter: Sifter) -> None:
    """The number beside a filter is the number of images when it is the one of its group."""
    for sieve in [*_sieves(exhibit.mids)][:25]:
        counts = sifter.counts(sieve)
        assert counts["total"] == len(sifter.chosen(sieve))
        for mid in exhibit.mids[:5]:
            alone = replace(sieve, any_of=(mid,))
            assert counts["classes"][mid] == len(sifter.chosen(alone))
        for group, values in (
            ("splits", ("train", "test")),
            ("labels", LABELS),
            ("review", ("bad", "good", "none")),
        ):
            for value in values:
                name = group.removesuffix("s") if group != "review" else group
                choice: Any = {name: (value,)}
                chosen = sifter.chosen(replace(sieve, **choice))
                assert counts[group][value] == len(chosen), (group, value)
        for word in FLAGS:
            rest = tuple(each for each in sieve.flags if each[0] != word)
            for answer, count in counts["flags"][word].items():
                one = replace(sieve, flags=(*rest, (word, (answer,))))
                assert count == len(sifter.chosen(one))
        for group, name in (("sizes", "size"), ("boxes", "boxes"), ("confidence", "confidence")):
            for each in counts[group]:
                high = math.inf if each["to"] is None else each["to"]
                span: Any = {name: (each["from"], high)}
                chosen = sifter.chosen(replace(sieve, **span))
                assert each["count"] == len(chosen), (group, each)


def test_bins_part_the_images(exhibit: Exhibit, slow: dict[str, Seen]) -> None:
    """Every image is in one bin of boxes an image; those of the first have none."""
    bins = Sifter(exhibit).counts(Sieve())["boxes"]
    assert sum(each["count"] for each in bins) == len(exhibit)
    with_boxes = sum(bool(one.boxes) for one in slow.values())
    assert bins[0]["count"] == len(exhibit) - with_boxes


def test_charts_count_what_is_shown(exhibit: Exhibit, slow: dict[str, Seen]) -> None:
    """Classes and pairs count images, sizes and places count boxes."""
    charts = Sifter(exhibit).charts(Sieve(split=("train",)))
    ours = {name: one for name, one in slow.items() if name.startswith("train/")}
    boxes = [box for one in ours.values() for box in one.boxes]
    assert sum(map(sum, charts["places"])) == len(boxes)
    assert sum(each["count"] for each in charts["sizes"]) == len(boxes)
    for mid, count in charts["classes"]:
        assert count == sum(mid in one.classes for one in ours.values())
    assert charts["pairs"]
    for one, other, count in charts["pairs"]:
        assert count == sum({one, other} <= each.classes for each in ours.values())
    shared = [count for *_, count in charts["pairs"]]
    assert shared == sorted(shared, reverse=True)


def test_verdicts_move_images(exhibit: Exhibit, sifter: Sifter) -> None:
    """An image with any bad mark is bad; what was never looked at is neither."""
    assert sifter.chosen(Sieve(review=("bad",))).tolist() == [1, 2, 5]
    assert sifter.chosen(Sieve(review=("good",))).tolist() == [2, 7]
    assert len(sifter.chosen(Sieve(review=("none",)))) == len(exhibit) - 4
    sifter.review({})
    assert len(sifter.chosen(Sieve(review=("none",)))) == len(exhibit)
