"""Two selections in one folder come to the same files, whichever was first."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from oidkit.api import Settings, download
from oidkit.selection import Selection
from oracle import Tree, differences, tree_of
from test_label_types import CAR, HANDGUN, PERSON, asks, selected

if TYPE_CHECKING:
    from label_oracle import Asked, Published

pytest_plugins = ["label_fixtures"]
PAIR = (PERSON, HANDGUN)


def filled(published: Published, cache: Path, *wanted: Selection) -> Tree:
    """Download one selection after the other into a new folder."""
    settings = Settings(source=str(published.root), cache=cache, release=published.release)
    with tempfile.TemporaryDirectory() as folder:
        for each in wanted:
            download(each, Path(folder) / "out", settings=settings)
        return tree_of(Path(folder) / "out")


def lines_of(tree: Tree, path: str) -> Counter[bytes]:
    """Count the lines of a file, which may not be there."""
    return Counter(tree.get(path, b"").splitlines())


def check_both_orders(published: Published, cache: Path, one: Selection, two: Selection) -> None:
    """Compare both orders, and look for every line of either selection by itself."""
    both, turned = filled(published, cache, one, two), filled(published, cache, two, one)
    assert differences(both, turned) == []
    apart = filled(published, cache, one), filled(published, cache, two)
    for path in both:
        if not path.startswith(("images/", "masks/")):
            either = lines_of(apart[0], path) | lines_of(apart[1], path)
            assert lines_of(both, path) == either, path


@pytest.mark.parametrize(
    ("labels", "one", "two"),
    [
        ("image-labels", {"label_source": "human"}, {"label_source": "machine"}),
        ("image-labels", {}, {"label_source": "machine"}),
        ("image-labels", {}, {"label_source": "human"}),
        (
            "image-labels",
            {"label_source": "human", "annotations": "all"},
            {"label_source": "machine", "annotations": "all"},
        ),
        ("image-labels", {"min_confidence": 0.9}, {"min_confidence": 0.6}),
        ("image-labels", {"label_source": "human", "negatives": True}, {"subclasses": True}),
        ("points", {"negatives": True}, {}),
        ("narratives", {}, {"captions": True}),
        ("narratives", {"match": "all"}, {"exclude": ("/m/09j2d",)}),
        ("relationships", {"classes": (PERSON,)}, {"classes": (CAR,), "subclasses": True}),
        ("relationships", {"limit": 2}, {"subclasses": True}),
    ],
    ids=str,
)
def test_orders(
    releases: dict[str, Published], cache: Path, labels: str, one: dict[str, Any], two: Any
) -> None:
    """Parts of a label type add up to the same files in either order, and nothing is lost."""
    usual: dict[str, Any] = {
        "classes": PAIR,
        "labels": (labels,),
        "images": False,
        "metadata": False,
        "splits": ("validation",),
    }
    first, second = Selection(**usual | one), Selection(**usual | two)
    check_both_orders(releases["v7"], cache, first, second)


@given(st.data())
@effort(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_two(releases: dict[str, Published], cache: Path, data: st.DataObject) -> None:
    """Any two selections of a release add up to the same files in either order."""
    release, one = data.draw(asks())
    two: Asked = data.draw(asks().filter(lambda drawn: drawn[0] == release))[1]
    wanted = [selected(each) for each in (one, two)]
    check_both_orders(releases[release], cache, *wanted)
