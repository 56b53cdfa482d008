"""Images start while the CSV that names them still arrives: what is asked, and what is left."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from mirrors import environment, published, start, tree
from oidkit import catalog
from oidkit.api import Settings, download, early, plan
from oidkit.api.aside import set_aside
from oidkit.api.early import is_certain
from oidkit.api.session import Session
from oidkit.dataset import Dataset, open_dataset
from oidkit.errors import (
    DiskError,
    IntegrityError,
    InterruptedRunError,
    MalformedError,
    SourceError,
    UsageError,
)
from oidkit.events import Event, Fetched, ignore
from oidkit.selection import Selection
from oidkit.store import parse_source
from oidkit.tables import build
from oidkit.testing import Fault, MirrorServer, PerSplit, ReleaseSpec, RequestInfo, make_release
from oidkit.transfer import Beside, FileJob, ImageJob, Run, Traffic, budget, retry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from oidkit.store import Transfer

BOXES = "openimages/v6/oidv6-train-annotations-bbox.csv"
HANDGUNS = Selection(("Handgun",), ("train",), ("boxes",), metadata=False)
WITH_MASKS = dataclasses.replace(HANDGUNS, labels=("boxes", "masks"))
SPEC = dataclasses.replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(250, 10, 10),
    jpegs=0.9,
)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a mirror a tenth of whose images the bucket lacks."""
    return make_release(tmp_path_factory.mktemp("early"), SPEC).root


@pytest.fixture(scope="module")
def plain(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Give the folder of the usual selection, whose tables were there before."""
    return undisturbed(mirror, tmp_path_factory.mktemp("plain"), HANDGUNS)


@dataclass
class Slow:
    """A hook that lets the boxes trickle, and changes their end as it is told."""

    bandwidth: float = 200_000.0
    end: Fault = field(default_factory=Fault)
    tries: int = 1

    def __call__(self, request: RequestInfo) -> Fault | None:
        """Answer the request for the boxes slowly."""
        if request.path != BOXES:
            return None
        end = self.end if request.attempt <= self.tries else Fault()
        return dataclasses.replace(end, bandwidth=self.bandwidth)


@pytest.fixture
def server(mirror: Path) -> Iterator[MirrorServer]:
    """Serve it, the boxes slowly."""
    with MirrorServer(mirror, hook=Slow()) as running:
        yield running


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the CSV into some blocks."""
    monkeypatch.setattr(build, "BLOCK_BYTES", 40 << 10)
    monkeypatch.setattr(early, "LEAST_BYTES", 0)


def settings(server: MirrorServer, cache: Path) -> Settings:
    """Read from the server, with a cache of one's own."""
    return Settings(source=server.url, cache=cache)


def asked(server: MirrorServer) -> Counter[str]:
    """Count the requests for each image."""
    paths = (request.path for request in server.log)
    return Counter(path for path in paths if path.endswith(".jpg"))


def before_the_end(server: MirrorServer) -> int:
    """Count the images that were asked for before the first request that follows the boxes."""
    paths = [request.path for request in server.log]
    after = paths[paths.index(BOXES) + 1 :]
    return next((at for at, path in enumerate(after) if not path.endswith(".jpg")), len(after))


def undisturbed(mirror: Path, tmp_path: Path, selection: Selection) -> Mapping[str, bytes]:
    """Give the folder of a run whose tables were there before, which has nothing to do early."""
    with MirrorServer(mirror) as plain:
        held = settings(plain, tmp_path / "plain-cache")
        download(dataclasses.replace(selection, images=False), tmp_path / "tables", settings=held)
        download(selection, tmp_path / "plain", settings=held)
    found = tree(tmp_path / "plain")
    return {path: data for path, data in found.items() if ".oid/" not in path or "manif" in path}


def left(out: Path) -> dict[str, bytes]:
    """Give what stands in a folder, without the notes that name the server."""
    found = tree(out)
    return {path: data for path, data in found.items() if path not in NOTES}


NOTES = {".oid/dataset.json", ".oid/recipe.toml"}


def test_images_come_while_the_boxes_still_arrive(
    server: MirrorServer, plain: Mapping[str, bytes], tmp_path: Path
) -> None:
    """They are asked for once each, counted as ever, and stand where they would have stood."""
    out = tmp_path / "out"
    events: list[Event] = []
    held = settings(server, tmp_path / "cache")
    summary = download(HANDGUNS, out, settings=held, on_event=events.append)
    assert before_the_end(server) > 5
    assert set(asked(server).values()) == {1}
    images = [path for path in plain if path.endswith(".jpg")]
    assert summary.images.fetched == len(images)
    assert summary.images.bytes == sum(len(plain[path]) for path in images)
    assert summary.images.present == 0
    assert summary.images.missing == summary.images.asked - len(images) > 0
    assert summary.images.missing == len(summary.missing)
    assert (summary.requests, summary.received_bytes) == (server.requests, server.bytes_sent)
    assert left(out) == plain
    told = Counter(event.name for event in events if isinstance(event, Fetched))
    assert not [path for path in images if told[path] != 1]
    assert {name for name in told if name not in images} == {BOXES}


def test_a_second_run_asks_for_nothing_but_what_was_missing(
    server: MirrorServer, tmp_path: Path
) -> None:
    """What came early is there for good, and what the bucket lacks is asked for once a run."""
    held = settings(server, tmp_path / "cache")
    first = download(HANDGUNS, tmp_path / "out", settings=held)
    server.reset()
    again = download(HANDGUNS, tmp_path / "out", settings=held)
    assert again.images.present == first.images.fetched
    assert again.images.fetched == 0
    assert sum(asked(server).values()) == again.images.missing == first.images.missing


def test_an_image_of_two_classes_comes_once(
    mirror: Path, server: MirrorServer, tmp_path: Path
) -> None:
    """It stands in the folders of both, though only one of its rows had been read."""
    both = dataclasses.replace(HANDGUNS, classes=("Handgun", "Person"), labels=("boxes", "masks"))
    download(both, tmp_path / "out", settings=settings(server, tmp_path / "cache"))
    assert set(asked(server).values()) == {1}
    assert left(tmp_path / "out") == undisturbed(mirror, tmp_path, both)


@pytest.mark.parametrize("end", [Fault(flip=-3), Fault(cut=60_000)], ids=["flipped", "cut"])
def test_boxes_that_come_whole_at_the_second_try(
    mirror: Path, plain: Mapping[str, bytes], tmp_path: Path, end: Fault
) -> None:
    """No image is asked for twice, and the folder is that of an undisturbed run."""
    with MirrorServer(mirror, hook=Slow(end=end)) as server:
        held = settings(server, tmp_path / "cache")
        download(HANDGUNS, tmp_path / "out", settings=held)
        assert sum(request.path == BOXES for request in server.log) == 2
        assert set(asked(server).values()) == {1}
    assert left(tmp_path / "out") == plain


def test_boxes_that_never_come_whole_leave_nothing(mirror: Path, tmp_path: Path) -> None:
    """What was chosen by rows that nothing vouches for is not kept, neither shown nor aside."""
    with MirrorServer(mirror, hook=Slow(end=Fault(flip=-3), tries=99)) as server:
        with pytest.raises(IntegrityError):
            download(HANDGUNS, tmp_path / "out", settings=settings(server, tmp_path / "cache"))
        assert len(asked(server)) > 5
    assert [path for path in tree(tmp_path / "out") if path.endswith(".jpg")] == []
    assert list((tmp_path / "out" / ".oid").glob("early-*")) == []


def test_other_boxes_leave_no_image_that_was_not_asked_for(mirror: Path, tmp_path: Path) -> None:
    """Where the file that comes whole shows other images, those of the first are not kept."""
    whole = (mirror / BOXES).read_bytes()
    lines = whole.splitlines(keepends=True)
    few = b"".join(line for line in lines if b"/m/0gxl3" not in line or line[:1] < b"4")
    with MirrorServer(mirror) as server:

        def hook(request: RequestInfo) -> Fault | None:
            if request.path != BOXES:
                return None
            if request.attempt == 1:
                return Fault(bandwidth=200_000, flip=-3)
            return Fault(body=few, status=200, headers={"ETag": '"other"', "x-goog-hash": ""})

        server.hook = hook
        held = settings(server, tmp_path / "cache")
        summary = download(HANDGUNS, tmp_path / "out", settings=held)
        early = {path.rpartition("/")[2] for path in asked(server)}
    there = {path.name for path in (tmp_path / "out").rglob("*.jpg")}
    assert {name for name in early if name[0] >= "4"}
    assert there == {name for name in there if name[0] < "4"}
    assert summary.images.fetched == len(there) > 0


def test_a_source_that_goes_away_leaves_what_came_for_the_next_run(
    mirror: Path, plain: Mapping[str, bytes], tmp_path: Path
) -> None:
    """The images wait out of sight; the next run puts them into their places and asks no more.

    A plan that is made meanwhile counts them as there, and touches nothing.
    """

    def hook(request: RequestInfo) -> Fault | None:
        if request.path != BOXES:
            return None
        return Fault(bandwidth=200_000, cut=120_000) if request.attempt == 1 else Fault.answer(403)

    with MirrorServer(mirror, hook=hook) as server:
        held = settings(server, tmp_path / "cache")
        with pytest.raises(SourceError):
            download(HANDGUNS, tmp_path / "out", settings=held)
        here = [path for path in tree(tmp_path / "out") if path.endswith(".jpg")]
        assert len(here) > 5
        assert not [path for path in here if not path.startswith(".oid/early-")]
        server.hook = None
        before = tree(tmp_path / "out")
        planned = plan(HANDGUNS, tmp_path / "out", settings=held)
        assert planned.images[0].present == len(here)
        assert tree(tmp_path / "out") == before
        summary = download(HANDGUNS, tmp_path / "out", settings=held)
        again = {path for path, count in asked(server).items() if count > 1}
    assert summary.images.present == len(here)
    # What the bucket lacks may be asked for in every run.
    assert not {path.rpartition("/")[2] for path in again} & {*published(mirror)}
    assert left(tmp_path / "out") == plain


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_run_that_is_killed_again_and_again_ends_as_if_undisturbed(
    server: MirrorServer, plain: Mapping[str, bytes], tmp_path: Path
) -> None:
    """Whenever it is killed, the next run goes on, and what was there is not asked for again."""
    out, env = tmp_path / "out", environment(OID_CACHE=str(tmp_path / "cache"))
    words = ["download", "Handgun", "--split", "train", "--labels", "boxes", "--no-metadata"]
    words += ["--source", server.url, "--out", str(out), "--quiet"]
    kept: set[str] = set()
    for wait in (2, 5, 9, 4, 7):
        server.reset()
        process = start(*words, env=env)
        while sum(asked(server).values()) < wait and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not kept & {path.rpartition("/")[2] for path in asked(server)}
        kept = {path.name for path in out.rglob("*.jpg")}
    server.reset()
    process = start(*words, env=env)
    _, said = process.communicate()
    assert process.returncode == 3, said
    assert not kept & {path.rpartition("/")[2] for path in asked(server)}
    assert left(out) == plain


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 3},
        {"total": 3},
        {"exclude": ("Person",)},
        {"classes": ("Handgun", "Person"), "match": "all"},
        {"upright": True},
        {"original": True},
        {"images": False},
        {"labels": ("narratives",)},
        {"classes": (), "image_ids": ("train/0000000000000001",)},
    ],
    ids=str,
)
def test_nothing_starts_where_a_later_row_may_change_the_choice(change: dict[str, object]) -> None:
    """A limit, a class to leave out and the like need the whole of the tables."""
    assert is_certain(HANDGUNS)
    assert is_certain(dataclasses.replace(HANDGUNS, match="all", subclasses=True))
    assert not is_certain(dataclasses.replace(HANDGUNS, **change))  # type: ignore[arg-type]


def test_a_limit_keeps_what_it_kept(mirror: Path, server: MirrorServer, tmp_path: Path) -> None:
    """With a limit no image is asked for that is not among those it keeps."""
    few = dataclasses.replace(HANDGUNS, limit=5)
    summary = download(few, tmp_path / "out", settings=settings(server, tmp_path / "cache"))
    assert before_the_end(server) == 5
    assert sum(asked(server).values()) == summary.images.asked == 5
    assert left(tmp_path / "out") == undisturbed(mirror, tmp_path, few)


def test_an_error_that_says_nothing_of_the_tables_leaves_what_waits(
    mirror: Path, tmp_path: Path
) -> None:
    """A source that refuses ranges ends the run; the next one asks for none of the images again."""

    def hook(request: RequestInfo) -> Fault | None:
        if request.path == BOXES:
            return Fault(bandwidth=200_000)
        return Fault(ignore_range=True) if request.path.endswith(".zip") else None

    out = tmp_path / "out"
    with MirrorServer(mirror, hook=hook) as server:
        held = settings(server, tmp_path / "cache")
        with pytest.raises(UsageError):
            download(WITH_MASKS, out, settings=held)
        waiting = {path.name for path in out.rglob("*.jpg")}
        assert len(waiting) > 5
        server.hook = None
        server.reset()
        summary = download(WITH_MASKS, out, settings=held)
        again = {path.rpartition("/")[2] for path in asked(server)}
    assert not again & waiting
    assert summary.images.present == len(waiting)
    assert list((out / ".oid").glob("early-*")) == []


def test_a_damaged_index_of_masks_leaves_what_waits(
    server: MirrorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did not choose the images, though its error is of the kind that bad tables have."""

    def damaged(*_: object) -> None:
        raise MalformedError("the index is damaged", remedy="remove it")

    monkeypatch.setattr(Session, "mask_indexes", damaged)
    with pytest.raises(MalformedError):
        download(HANDGUNS, tmp_path / "out", settings=settings(server, tmp_path / "cache"))
    assert len(list((tmp_path / "out" / ".oid").glob("early-*/train/*.jpg"))) > 5


@dataclass
class BadImages:
    """A hook that lets the boxes trickle, and but for the first images answers with a fault.

    One that *passes* does so before the first mask is asked for.
    """

    fault: Fault
    passes: bool = False
    well: int = 3
    after: bool = False

    def __call__(self, request: RequestInfo) -> Fault | None:
        """Answer badly for images."""
        if request.path == BOXES:
            return Fault(bandwidth=100_000)
        self.after = self.after or request.path.endswith(".zip")
        if not request.path.endswith(".jpg") or (self.passes and self.after):
            return None
        self.well -= 1
        return self.fault if self.well < 0 else None


BAD = {
    "closed": Fault.answer(503, retry_after="3600"),
    "broken": Fault.answer(500),
    "unanswered": Fault(reset=True),
}


@pytest.fixture
def _soon_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody try as often as usual, which takes a minute."""
    monkeypatch.setattr(retry, "_TRIES", 2)
    monkeypatch.setattr(budget, "_MOST_LOST", 4)
    monkeypatch.setattr(budget, "_OUTAGE_SECONDS", 1.0)


@pytest.mark.usefixtures("_soon_over")
@pytest.mark.parametrize("kind", BAD)
def test_images_that_cannot_be_had_do_not_end_the_tables(
    mirror: Path, tmp_path: Path, kind: str
) -> None:
    """The run fails as it did when images came last: annotations and masks are there by then."""
    out = tmp_path / "out"
    with MirrorServer(mirror, hook=BadImages(BAD[kind])) as server:
        held = settings(server, tmp_path / "cache")
        with pytest.raises(SourceError):
            download(WITH_MASKS, out, settings=held)
        assert before_the_end(server) > 0
        assert list(out.rglob("*.png"))
        assert [path for path in out.rglob("*.csv") if ".oid" not in path.parts]


@pytest.mark.usefixtures("_soon_over")
@pytest.mark.parametrize("kind", BAD)
def test_images_that_were_lost_to_trouble_come_in_their_turn(
    mirror: Path, tmp_path: Path, kind: str
) -> None:
    """When the trouble is over by then, nothing of it is left in the dataset."""
    hook = BadImages(BAD[kind], passes=True)
    with MirrorServer(mirror, hook=hook) as server:
        held = settings(server, tmp_path / "cache")
        summary = download(WITH_MASKS, tmp_path / "out", settings=held)
        assert before_the_end(server) > 0
    assert summary.images.failed == 0
    assert summary.images.fetched + summary.images.missing == summary.images.asked
    assert left(tmp_path / "out") == undisturbed(mirror, tmp_path, WITH_MASKS)


def test_a_folder_that_a_dead_run_was_removing_goes(server: MirrorServer, tmp_path: Path) -> None:
    """A kill amid the removal of what waits leaves a part of it under a name of nobody."""
    half = tmp_path / "out" / ".oid" / ".oid-tmp-0123456789ab" / "train"
    half.mkdir(parents=True)
    (half / "0000000000000001.jpg").write_bytes(b"half")
    few = dataclasses.replace(HANDGUNS, images=False)
    download(few, tmp_path / "out", settings=settings(server, tmp_path / "cache"))
    assert not half.parent.exists()


def full(*_: object, **__: object) -> None:
    """Do as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_does_not_hide_what_ended_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That what waits cannot be written down is told only where nothing else went wrong."""

    def end(dataset: Dataset, error: BaseException | None) -> None:
        with set_aside(dataset) as aside:
            assert aside is not None
            monkeypatch.setattr(aside.own.manifest, "close", full)
            if error is not None:
                raise error

    with open_dataset(tmp_path, release="v7") as dataset:
        with pytest.raises(InterruptedRunError):
            end(dataset, InterruptedRunError("interrupted"))
        with pytest.raises(DiskError, match="early-"):
            end(dataset, None)


@pytest.mark.parametrize("what", ["aside.Manifest", "early.listing"])
def test_no_place_for_what_comes_early_is_an_error_of_the_disk(
    server: MirrorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The path is named, and the exit code is that of a disk."""
    monkeypatch.setattr(f"oidkit.api.{what}", full)
    with pytest.raises(DiskError, match=r"cannot write .*out"):
        download(HANDGUNS, tmp_path / "out", settings=settings(server, tmp_path / "cache"))


@dataclass
class OneAtATime:
    """The small files of a release, each given when the one before it is there."""

    jobs: list[FileJob]
    given: int = 0

    def __iter__(self) -> Iterator[FileJob]:
        """Give itself: it goes on when it is asked again."""
        return self

    def __next__(self) -> FileJob:
        """Give the next, if it is time for it."""
        before = self.jobs[: self.given]
        if self.given == len(self.jobs) or any(job.content is None for job in before):
            raise StopIteration
        self.given += 1
        return self.jobs[self.given - 1]


def opened(server: MirrorServer) -> AbstractContextManager[Transfer]:
    """Open a connection to the server."""
    return parse_source(server.url, official=catalog.OFFICIAL_HOSTS).open()


def test_a_pause_that_the_images_ask_for_holds_back_no_table(mirror: Path, tmp_path: Path) -> None:
    """Each image waits for as long as its host wants, and what is of another goes on meanwhile."""
    files = [catalog.class_file("v7"), catalog.hierarchy_file()]
    keys = [
        f"open-images-dataset/train/{path.name}" for path in sorted(mirror.rglob("train/*.jpg"))[:3]
    ]
    names = [key.rpartition("/")[2] for key in keys]
    jobs = [ImageJob(tmp_path, key, (name,)) for key, name in zip(keys, names, strict=True)]
    tables = OneAtATime([FileJob(file, etag=None, official=False) for file in files])
    when: list[tuple[str, float]] = []

    def hook(request: RequestInfo) -> Fault | None:
        when.append((request.path, time.monotonic()))
        if request.path.endswith(".jpg"):
            return Fault.answer(503, retry_after="2") if request.attempt == 1 else None
        return Fault(delay=0.3)

    with MirrorServer(mirror, hook=hook) as server, opened(server) as transfer:
        run = Run(transfer, traffic=Traffic(), on_event=ignore)
        run.carry_out(tables, beside=Beside(iter(jobs), on_trouble=lambda: None))
    first = when[0][1]
    assert max(at for path, at in when if not path.endswith(".jpg")) - first < 1.9
    assert min(at for path, at in when[-3:]) - first >= 2
    assert {path.name for path in tmp_path.glob("*.jpg")} == set(names)
