"""What selections, plans, summaries, statistics and folders show of themselves in a notebook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import oidkit
from html_pages import HOSTILE, Page
from mirrors import made_mirror
from oidkit import Selection, Settings, stats
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Read from the shared mirror."""
    return Settings(str(made_mirror(tmp_path_factory)), tmp_path_factory.mktemp("values") / "cache")


def shown(value: Any) -> Iterator[str]:
    """Give the texts of what a value shows of itself in a notebook, checked to be sound."""
    found = Page(value._repr_html_())
    assert {name for name, _ in found.elements} <= {
        *("table", "caption", "tr", "th", "td", "div", "figure", "img", "figcaption", "code")
    }
    styles = " ".join(attributes.get("style", "") for _, attributes in found.elements)
    assert "background" not in styles
    assert "#" not in styles
    yield from (each for each in found.words if each.strip())


def test_values_show_themselves(settings: Settings, tmp_path: Path) -> None:
    """A selection, a plan, a summary, statistics and a folder are tables without a colour."""
    selection = Selection(("Handgun", HOSTILE), limit=5, image_ids=["0" * 16] * 3)
    said = dict(zip(*[iter([*shown(selection)][1:])] * 2, strict=True))
    assert said["limit"] == "5"
    assert said["labels"] == "boxes, masks"
    assert said["image ids"] == "3 listed"
    assert "<script>" in said["classes"]
    plan = oidkit.plan("Handgun", tmp_path / "out", settings=settings)
    fetch = sum(each.to_fetch for each in plan.images)
    assert f"{fetch:,} to fetch of {fetch:,}" in [*shown(plan)]
    every = Selection(("Handgun",), annotations="all")
    summary = oidkit.download(every, tmp_path / "out", settings=settings)
    assert str(summary.images) in [*shown(summary)]
    numbers = stats(tmp_path / "out")
    assert f"Classes, the first 10 of {len(numbers.classes)}" in [*shown(numbers)]
    folder = oidkit.DatasetFolder(tmp_path / "out")
    assert [*shown(folder)][: len([*shown(numbers)])] == [*shown(numbers)]
    ids = [each for each in shown(folder) if re.fullmatch(r"\w+/[0-9a-f]{16}", each)]
    assert len(ids) == 6
    assert set(ids) <= set(folder.image_ids())
    with pytest.raises(UsageError, match="no dataset"):
        oidkit.DatasetFolder(tmp_path)


def test_a_long_list_of_images_is_not_shown() -> None:
    """A selection of many images says how many they are."""
    ids = [f"{number:016x}" for number in range(5000)]
    selection = Selection(tuple(f"class {n}" for n in range(50)), image_ids=ids)
    text = selection._repr_html_()
    assert "5,000 listed" in text
    assert "and 30 more" in text
    assert len(text) < 5000
