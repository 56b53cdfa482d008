"""What it costs to look masks up in sorted zips over HTTP, and what happens where that fails."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mask_release
from mask_release import MOST_WASTE, Masks, masks_of, zip_key
from oidkit import zipsearch
from oidkit.api import Settings, download, index_build, index_info, plan
from oidkit.events import Fetched, PhaseStarted
from oidkit.testing import Fault, MirrorServer, PerSplit, RequestInfo, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oidkit.api import Summary
    from oidkit.events import Event

MEMBERS = 2_500
SPEC = dataclasses.replace(
    mask_release.SPEC, members_per_zip=PerSplit(MEMBERS, 0, 0), sorted_zips=True
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Masks:
    """Make 16 sorted zips of 2,500 members; each has a directory of 220 kB."""
    return Masks(make_release(tmp_path_factory.mktemp("sorted"), SPEC).root)


@pytest.fixture(scope="module")
def running(made: Masks) -> Iterator[MirrorServer]:
    """Serve them."""
    with MirrorServer(made.root) as server:
        yield server


@pytest.fixture
def masks(made: Masks, request: pytest.FixtureRequest, tmp_path: Path) -> Masks:
    """Give the release, or a copy of it that a test may change."""
    if request.node.get_closest_marker("usefixtures") is None:
        return made
    return Masks(Path(shutil.copytree(made.root, tmp_path / "mirror")))


@pytest.fixture
def server(masks: Masks, made: Masks, running: MirrorServer) -> Iterator[MirrorServer]:
    """Serve it, with new books."""
    if masks is made:
        running.hook = None
        running.reset()
        yield running
        return
    with MirrorServer(masks.root) as server:
        yield server


@pytest.fixture
def changeable() -> None:
    """Mark a test that changes its release."""


@pytest.fixture
def settings(server: MirrorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Look names up in directories of any size; the table of masks is there."""
    monkeypatch.setattr(zipsearch, "SMALLEST_DIRECTORY", 0)
    found = Settings(source=server.url, cache=tmp_path / "cache")
    plan(masks_of("Person"), tmp_path / "none", settings=found)
    server.reset()
    return found


def fetched(mid: str, out: Path, settings: Settings) -> Summary:
    """Download the masks of a class."""
    return download(masks_of(mid), out, settings=settings)


def is_whole(masks: Masks, mid: str, out: Path) -> bool:
    """Compare the masks of a class with what zipfile reads."""
    names = masks.by_class[mid]
    with contextlib.ExitStack() as opened:
        archives = {
            shard: opened.enter_context(zipfile.ZipFile(masks.root / zip_key(shard)))
            for shard in {name[0] for name in names}
        }
        read = {name: archives[name[0]].read(name) for name in names}
    return all((out / "masks/train" / name).read_bytes() == read[name] for name in names)


def ranges(server: MirrorServer, masks: Masks, kind: str) -> list[tuple[str, int, int]]:
    """Give the requests that went to directories ("directory"), to members, or for the ends."""
    found = []
    for each in server.log:
        if not each.path.endswith(".zip") or each.status != 206:
            continue
        text = (each.range or "").removeprefix("bytes=")
        if text.startswith("-"):
            what, first = "end", 0
        else:
            first = int(text.split("-")[0])
            what = "directory" if first >= masks.starts[each.path[-5]] else "member"
        if what == kind:
            found.append((each.path, first, each.sent))
    return found


def sizes(masks: Masks) -> int:
    """Sum up the bytes of all directories."""
    every = masks.starts.items()
    return sum((masks.root / zip_key(shard)).stat().st_size - at for shard, at in every)


def small_class(masks: Masks, most: int = 32) -> str:
    """Name a class of so few masks that looking for them pays in every zip."""
    counts = {mid: len(names) for mid, names in masks.by_class.items()}
    return max((mid for mid in counts if counts[mid] <= most), key=counts.__getitem__)


def test_a_small_class_reads_a_part_of_the_directories_once(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """The ends, some ranges of 4 to 64 KiB, the masks; a second time, the masks alone."""
    mid = small_class(masks)
    names = masks.by_class[mid]
    zips = len({name[0] for name in names})
    summary = fetched(mid, tmp_path / "out", settings)
    assert (summary.masks.fetched, summary.exit_code) == (len(names), 0)
    assert is_whole(masks, mid, tmp_path / "out")
    probes = ranges(server, masks, "directory")
    assert len(ranges(server, masks, "end")) == zips
    assert not [sent for _, _, sent in probes if sent > 64 << 10]
    assert len(probes) <= 4 * len(names)
    received = sum(sent for _, _, sent in probes + ranges(server, masks, "end"))
    assert received < sizes(masks) / 2
    assert len(set(probes)) == len(probes)
    assert summary.received_bytes == server.bytes_sent
    assert summary.requests == server.requests
    conditional = [each for each in server.log if "if-match" in each.headers]
    assert len(conditional) == len(probes) + len(ranges(server, masks, "member"))

    server.reset()
    again = fetched(mid, tmp_path / "again", settings)
    assert (again.masks.fetched, again.exit_code) == (len(names), 0)
    assert ranges(server, masks, "directory") == ranges(server, masks, "end") == []
    held = sum(masks.members[name[0]][name] for name in names)
    got = ranges(server, masks, "member")
    assert held <= sum(sent for _, _, sent in got) <= held + MOST_WASTE * len(got)


def test_the_next_class_starts_from_what_is_known(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """Another class asks for ranges of its own, not for the ends, and for no range twice."""
    first = small_class(masks)
    second = small_class(masks, most=len(masks.by_class[first]) - 1)
    fetched(first, tmp_path / "out", settings)
    known = ranges(server, masks, "directory")
    shards = {name[0] for name in masks.by_class[first]}
    fetched(second, tmp_path / "out", settings)
    assert is_whole(masks, second, tmp_path / "out")
    every = ranges(server, masks, "directory")
    assert len({(path, first) for path, first, _ in every}) == len(every) > len(known)
    ends = [path for path, _, _ in ranges(server, masks, "end")]
    assert len(ends) == len(set(ends)) == len(shards | {n[0] for n in masks.by_class[second]})


def test_a_large_class_reads_the_directories_whole_and_then_they_are_known(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """Thousands of names cost more than the directory; what was known in part gives way."""
    small, large = small_class(masks), max(masks.by_class, key=lambda mid: len(masks.by_class[mid]))
    fetched(small, tmp_path / "out", settings)
    summary = fetched(large, tmp_path / "out", settings)
    assert summary.exit_code == 0
    server.reset()
    entries = [each for each in index_info(settings=settings) if each.kind == "mask directory"]
    assert [each.rows for each in entries] == [MEMBERS] * 16
    fetched(small_class(masks, most=20), tmp_path / "out", settings)
    assert ranges(server, masks, "directory") == ranges(server, masks, "end") == []


def test_index_build_reads_whole_what_is_known_in_part(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """Built ahead of time means all of it: no class asks for a directory afterwards."""
    fetched(small_class(masks), tmp_path / "out", settings)
    entries = [each for each in index_info(settings=settings) if each.kind == "mask directory"]
    assert not [each for each in entries if not 0 < each.rows < MEMBERS]
    index_build(splits=("train",), labels=("masks",), metadata=False, settings=settings)
    entries = [each for each in index_info(settings=settings) if each.kind == "mask directory"]
    assert [each.rows for each in entries] == [MEMBERS] * 16
    server.reset()
    fetched(small_class(masks, most=20), tmp_path / "out", settings)
    assert ranges(server, masks, "directory") == ranges(server, masks, "end") == []


def test_the_plan_counts_directories_whole_until_they_are_known_to_be_sorted(
    masks: Masks, settings: Settings, tmp_path: Path
) -> None:
    """The estimate is the most that it may be, then what a search takes, then the masks alone."""
    first = small_class(masks)
    second = small_class(masks, most=len(masks.by_class[first]) - 1)
    before = plan(masks_of(second), tmp_path / "none", settings=settings).bytes_to_receive
    fetched(first, tmp_path / "out", settings)
    after = plan(masks_of(second), tmp_path / "none", settings=settings).bytes_to_receive
    summary = fetched(second, tmp_path / "out", settings)
    assert summary.received_bytes <= after < before / 4
    spans = plan(masks_of(second), tmp_path / "none", settings=settings).bytes_to_receive
    assert summary.masks.bytes <= spans < after


@pytest.mark.usefixtures("changeable")
def test_a_mask_that_a_sorted_zip_lacks_is_missing(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """It is not found where it should be, so the directory is read whole, and it is not there."""
    mid = small_class(masks)
    gone = masks.by_class[mid][0]
    path = masks.zip(gone)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if name != gone}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    summary = fetched(mid, tmp_path / "out", settings)
    assert (summary.masks.missing, summary.exit_code) == (1, 3)
    assert gone in str(summary.missing)
    server.reset()
    fetched(mid, tmp_path / "again", settings)
    assert ranges(server, masks, "directory") == []


@pytest.mark.usefixtures("changeable")
def test_a_zip_that_changes_between_two_classes_is_noticed(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """A range of another zip answers 412; what was known is forgotten, and masks are right."""
    first = small_class(masks)
    second = small_class(masks, most=len(masks.by_class[first]) - 1)
    fetched(first, tmp_path / "out", settings)
    path = masks.zip(masks.by_class[second][0])
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in reversed(archive.namelist())}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    server.reset()
    summary = fetched(second, tmp_path / "out", settings)
    assert summary.exit_code == 0
    assert is_whole(masks, second, tmp_path / "out")
    assert 412 in {each.status for each in server.log}


@pytest.mark.parametrize("other", ["download", "build"])
def test_a_run_beside_it_takes_no_directory_away(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path, other: str
) -> None:
    """Its index replaces that of the first in the cache, which goes on and asks for no more."""
    first = small_class(masks)
    second = small_class(masks, most=len(masks.by_class[first]) - 1)
    names = masks.by_class[first]
    zips = len({name[0] for name in names})
    before: list[set[Path]] = []
    costs: list[tuple[int, int]] = []
    phases = []

    def looked_up() -> int:
        return len(ranges(server, masks, "directory") + ranges(server, masks, "end"))

    def beside(event: Event) -> None:
        if isinstance(event, PhaseStarted):
            phases.append(event.phase)
        if phases[-1:] != ["masks"] or not isinstance(event, Fetched) or before:
            return
        # One mask has come, and most zips are still to be looked into.
        before.append(set((tmp_path / "cache").glob("*/masks/*.parquet")))
        server.reset()
        if other == "build":
            index_build(splits=("train",), labels=("masks",), metadata=False, settings=settings)
        else:
            fetched(second, tmp_path / "second", settings)
        costs.append((len(server.log), looked_up()))

    slow = dataclasses.replace(settings, workers=1)
    summary = download(masks_of(first), tmp_path / "first", settings=slow, on_event=beside)
    assert (summary.masks.fetched, summary.exit_code) == (len(names), 0)
    assert is_whole(masks, first, tmp_path / "first")
    assert len(before[0]) == zips
    assert not all(path.exists() for path in before[0])
    asked, directories = costs[0]
    assert looked_up() == directories > 0
    assert 0 < len(server.log) - asked < len(names)
    assert {each.status for each in server.log[asked:]} == {206}


def test_whole_directories_that_go_meanwhile_are_brought_again(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """A run that found a zip replaced drops its index, which this one still needs."""
    index_build(splits=("train",), labels=("masks",), metadata=False, settings=settings)
    server.reset()
    mid = small_class(masks)
    names = masks.by_class[mid]
    phases = []

    def drop(event: Event) -> None:
        if not isinstance(event, PhaseStarted):
            return
        phases.append(event.phase)
        if phases.count("masks") == 1 and event.phase == "masks":
            for path in (tmp_path / "cache").glob("*/masks/*.parquet"):
                path.unlink()

    summary = download(masks_of(mid), tmp_path / "out", settings=settings, on_event=drop)
    assert (summary.masks.fetched, summary.exit_code) == (len(names), 0)
    assert is_whole(masks, mid, tmp_path / "out")
    assert phases.count("masks") == 2
    assert len(ranges(server, masks, "end")) == len({name[0] for name in names})


def test_a_range_that_breaks_is_asked_for_again(
    masks: Masks, server: MirrorServer, settings: Settings, tmp_path: Path
) -> None:
    """Every second range of a directory is cut off once; all masks come nevertheless."""
    seen: dict[str, int] = {}

    def cut(info: RequestInfo) -> Fault | None:
        if not info.path.endswith(".zip") or not info.range:
            return None
        seen[info.range] = seen.get(info.range, 0) + 1
        return Fault(cut=100) if len(seen) % 2 and seen[info.range] == 1 else None

    server.hook = cut
    mid = small_class(masks)
    summary = fetched(mid, tmp_path / "out", settings)
    assert (summary.masks.fetched, summary.exit_code) == (len(masks.by_class[mid]), 0)
    assert is_whole(masks, mid, tmp_path / "out")


def test_unsorted_zips_cost_what_they_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the directory tells; then it comes whole, in one range and without a try."""
    monkeypatch.setattr(zipsearch, "SMALLEST_DIRECTORY", 0)
    spec = dataclasses.replace(SPEC, sorted_zips=False, members_per_zip=PerSplit(1_200, 0, 0))
    masks = Masks(make_release(tmp_path / "unsorted", spec).root)
    mid = small_class(masks, most=16)
    with MirrorServer(masks.root) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        assert fetched(mid, tmp_path / "out", settings).exit_code == 0
        zips = len({name[0] for name in masks.by_class[mid]})
        assert len(ranges(server, masks, "end")) == zips
        assert len(ranges(server, masks, "directory")) == zips
    assert is_whole(masks, mid, tmp_path / "out")
