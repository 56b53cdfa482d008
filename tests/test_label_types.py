"""Every label type and flag, in every release: whole folders against the slow oracle."""

from __future__ import annotations

import dataclasses
import operator
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from label_oracle import HAVING, LABELS, SPLITS, Asked, Published, chosen, expected
from oidkit.api import Settings, download, plan
from oidkit.errors import UsageError
from oidkit.selection import Selection
from oracle import differences, tree_of

PERSON, HANDGUN, CAR, TAXI, CLOTHING = "/m/01g317", "/m/0gxl3", "/m/0k4j", "/m/0pg52", "/m/09j2d"
RELAY, NDUJA = "/m/067_4k", "/m/0c4936"
BOXABLE = [PERSON, HANDGUN, CAR, TAXI, CLOTHING]
FLAGS = {"occluded": "IsOccluded", "group_of": "IsGroupOf", "depiction": "IsDepiction"}
TEXTS = {"yes": "1", "no": "0"}
SHARES = [0.0, 0.6, 0.85, 1.0]
pytest_plugins = ["label_fixtures"]


@st.composite
def asks(draw: st.DrawFn, *, labels: tuple[str, ...] = ()) -> tuple[str, Asked]:
    """Draw a release and a selection that it can carry out."""
    having = [each for each in HAVING if set(labels) <= set(HAVING[each])]
    release = draw(st.sampled_from(having[::-1]))
    more = draw(st.sets(st.sampled_from(HAVING[release]), min_size=0 if labels else 1))
    wanted = tuple(each for each in LABELS if each in {*labels, *more})
    beyond = bool({"image-labels", "points"} & set(wanted))
    known = [*BOXABLE, *([RELAY, NDUJA] if beyond else [])]
    classes = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
    free = [each for each in (HANDGUN, TAXI, CLOTHING) if each not in classes]
    fields: dict[str, Any] = {
        "match": draw(st.sampled_from(["any", "any", "all"])),
        "limit": draw(st.sampled_from([None, None, 1, 3])),
        "total": draw(st.sampled_from([None, None, 2, 7])),
        "seed": draw(st.sampled_from([0, 1, 2**64 - 1])),
        "layout": draw(st.sampled_from(["class", "flat"])),
        "images": draw(st.booleans()),
        "metadata": draw(st.booleans()),
        "min_area": draw(st.sampled_from([0.0, 0.0, 0.05])),
        "exclude": tuple(draw(st.sets(st.sampled_from(free), max_size=1))) if free else (),
        # Taxis are cars: whoever excludes cars with all below them can ask for no taxi.
        "subclasses": draw(st.booleans()),
        "annotations": draw(st.sampled_from(["requested", "requested", "all"])),
        "flags": draw(st.sampled_from([(), (), (("group_of", "no"),), (("occluded", "yes"),)])),
    }
    if "image-labels" in wanted:
        fields["label_source"] = draw(st.sampled_from(["all", "all", "human", "machine"]))
        if fields["label_source"] != "human":
            fields["min_confidence"] = draw(st.sampled_from(SHARES))
    if "points" in wanted or ("image-labels" in wanted and fields["label_source"] != "machine"):
        fields["negatives"] = draw(st.booleans())
    if "narratives" in wanted:
        fields["captions"] = draw(st.booleans())
    splits = tuple(draw(st.sets(st.sampled_from(SPLITS), min_size=1)))
    fields["splits"] = tuple(each for each in SPLITS if each in splits)
    return release, Asked(tuple(classes), wanted, **fields)


def selected(asked: Asked) -> Selection:
    """Say the same to oidkit."""
    fields = {each.name: getattr(asked, each.name) for each in dataclasses.fields(asked)}
    return Selection(**fields | dict(fields.pop("flags")))


def in_columns(asked: Asked) -> Asked:
    """Word the flags as the published columns do."""
    flags = tuple((FLAGS[name], TEXTS[value]) for name, value in asked.flags)
    return dataclasses.replace(asked, flags=flags)


def agree(published: Published, asked: Asked, cache: Path) -> None:
    """Download into a new folder, and compare files and numbers with the oracle's."""
    want = expected(published, in_columns(asked))
    settings = Settings(source=str(published.root), cache=cache, release=published.release)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        ahead = plan(selected(asked), out, settings=settings)
        summary = download(selected(asked), out, settings=settings)
        assert differences(tree_of(out), want.tree) == []
    assert summary.annotations == ahead.rows == want.rows
    images = summary.images
    assert (images.asked, images.missing) == (len(want.images), len(want.missing))
    assert images.fetched == len(want.images) - len(want.missing)
    assert summary.masks.asked == summary.masks.fetched == len(want.masks)
    assert summary.exit_code == (3 if want.missing else 0)


@pytest.mark.parametrize("label", LABELS)
@given(data=st.data())
@effort(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whole_folders_are_as_the_oracle_has_them(
    releases: dict[str, Published], cache: Path, label: str, data: st.DataObject
) -> None:
    """Whatever the release, label types and flags, each file and number is as worked out."""
    release, asked = data.draw(asks(labels=(label,)))
    agree(releases[release], asked, cache)


@given(asks(), st.randoms(use_true_random=False))
@effort(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_listed_images_too(
    releases: dict[str, Published], cache: Path, drawn: tuple[str, Asked], random: Any
) -> None:
    """Images that are listed, with classes or without any, have the rows that they should."""
    release, asked = drawn
    every = [
        f"{split}/{row[0]}"
        for split in asked.splits
        for row in releases[release].boxable.image_list(split).rows
    ]
    listed = tuple(random.sample(every, 5))
    classes, match = (asked.classes, asked.match) if random.random() < 0.5 else ((), "any")
    negatives = asked.negatives and bool(classes)
    asked = dataclasses.replace(
        asked, image_ids=listed, classes=classes, match=match, negatives=negatives
    )
    agree(releases[release], asked, cache)


@given(drawn=asks(), more=asks(), splits=st.sampled_from([("test",), ("validation", "test")]))
@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_combined_selections(
    releases: dict[str, Published],
    drawn: tuple[str, Asked],
    more: tuple[str, Asked],
    splits: tuple[str, ...],
) -> None:
    """`|`, `&` and `-` choose what the sets of images come to, wherever they are not refused."""
    release, one = drawn
    plain: dict[str, Any] = {
        "limit": None,
        "total": None,
        "min_area": 0.0,
        "flags": (),
        "label_source": "all",
    }
    one = dataclasses.replace(one, **plain, min_confidence=0.0, splits=splits, exclude=())
    free = {each: getattr(more[1], each) for each in ("classes", "match")}
    two = dataclasses.replace(one, **free, splits=("test",))
    published = releases[release]

    def images(asked: Asked) -> set[str]:
        found = in_columns(asked)
        return {
            f"{split}/{image}"
            for split in asked.splits
            for ids in chosen(published, found, split).values()
            for image in ids
        }

    for sign in (operator.or_, operator.and_, operator.sub):
        try:
            combined = sign(selected(one), selected(two))
        except UsageError:
            continue
        fields = {name: getattr(combined, name) for name in (*free, "splits", "exclude")}
        assert images(dataclasses.replace(one, **fields)) == sign(images(one), images(two))
