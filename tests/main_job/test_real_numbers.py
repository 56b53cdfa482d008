"""The main job on real files comes to the numbers that were counted in them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from main_job.results import PERSON, agree
from oidkit.api import Settings, download
from oidkit.selection import Selection
from oidkit.testing import MirrorServer
from oracle import Asked, Mirror, expected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.catalog import Split
    from oidkit.choice import Match


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the table of issue 2; bytes are those of the images, where it gives them."""

    classes: tuple[str, ...]
    split: Split
    images: int
    masks: int
    boxes: int
    match: Match = "any"
    missing: int = 0
    bytes: int | None = None


_REAL = [
    Line(("Person",), "validation", 61, 0, 110, bytes=21_299_917),
    Line(("apple", "orange"), "validation", 86, 0, 229),
    Line(("Apple", "Orange"), "validation", 0, 0, 0, match="all"),
    Line(("Dog", "Pizza", "Taxi"), "train", 10, 15, 15),
    Line(("Human foot",), "train", 0, 0, 2_189, missing=962),
]
_REAL_MIDS = {
    "person": PERSON,
    "apple": "/m/014j1m",
    "orange": "/m/0cyhj_",
    "dog": "/m/0bt9lr",
    "pizza": "/m/0663v",
    "taxi": "/m/0pg52",
    "human foot": "/m/031n1",
}


@pytest.fixture(scope="module", params=["folder", "http"])
def real(
    request: pytest.FixtureRequest, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Read the mirror of real files from its folder, then over HTTP."""
    cache = tmp_path_factory.mktemp("real-cache")
    if request.param == "folder":
        yield Settings(source=str(sample), cache=cache)
        return
    with MirrorServer(sample) as server:
        yield Settings(source=server.url, cache=cache)


@pytest.mark.parametrize("line", _REAL, ids=lambda line: "-".join(line.classes))
def test_the_real_files_come_to_the_numbers_of_the_issue(
    sample: Path, real: Settings, tmp_path: Path, line: Line
) -> None:
    """Each line of the table gives its images, masks and boxes, and the oracle's folder."""
    mids = tuple(_REAL_MIDS[name.lower()] for name in line.classes)
    want = expected(Mirror(sample), Asked(mids, splits=(line.split,), match=line.match))
    selection = Selection(line.classes, splits=(line.split,), match=line.match)
    summary = download(selection, tmp_path / "out", settings=real)
    agree(tmp_path / "out", summary, want)
    assert (summary.images.fetched, summary.images.missing) == (line.images, line.missing)
    assert line.bytes in (None, summary.images.bytes)
    assert (summary.masks.fetched, summary.annotations["boxes"]) == (line.masks, line.boxes)
    assert summary.exit_code == (3 if line.missing else 0)
