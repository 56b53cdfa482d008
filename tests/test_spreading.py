"""Images that are fetched by workers: shards, what they bring, and who takes them over.

The workers here are threads of the test's own process; those of a real Ray are in tests/cluster.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mirrors
import worker_threads
from mirrors import CLASSES, tree
from oidkit.api import Settings, download, shards, spreading
from oidkit.api.shards import cut, shard_size
from oidkit.errors import DiskError, OidError, SourceError, UnknownClassError, UsageError
from oidkit.events import Failed, Fetched, Missing, Received, Warned
from oidkit.planning import plan_images
from oidkit.selection import Selection
from oidkit.testing import Fault
from oidkit.transfer import Rate
from worker_threads import Case, Threads

if TYPE_CHECKING:
    from oidkit.testing import RequestInfo


server = pytest.fixture(mirrors.served)
small_shards = pytest.fixture(autouse=True)(worker_threads.small_shards)
case = pytest.fixture(worker_threads.case)


# -- shards -------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.booleans()), max_size=60),
    st.integers(1, 20),
)
def test_shards_have_every_image_that_is_wanted_once(
    rows: list[tuple[int, int, bool]], size: int
) -> None:
    """Together they are what a run of its own would ask for, in its order, none too large."""
    places = {
        f"images/{at}": sorted({image for image, folder, _ in rows if folder == at})
        for at in range(3)
    }
    there = {image for image, _, here in rows if here}
    plan = plan_images(
        "train",
        {folder: np.array(ids, dtype=np.uint64) for folder, ids in places.items()},
        there=lambda folder: np.array(
            sorted(there) if folder.endswith("1") else [], dtype=np.uint64
        ),
    )
    found = list(cut([plan], size=size, degrees={f"{3:016x}": 90}))
    tasks = [task for shard in found for task in shard.plan.tasks()]
    assert tasks == [task for task in plan.tasks() if not task.present]
    assert not [shard for shard in found if not 0 < shard.plan.asked <= size]
    assert [shard.number for shard in found] == list(range(len(found)))
    assert sum(bool(shard.degrees) for shard in found) == any(
        int(t.image_id, 16) == 3 for t in tasks
    )


def test_the_size_of_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several for each worker, none of more than 4,000 images, and none of a handful."""
    monkeypatch.setattr(shards, "_SMALLEST", 50)
    assert [shard_size(each, 10) for each in (1, 10_000, 10_000_000)] == [50, 250, 4_000]


# -- runs ---------------------------------------------------------------------------------------


def test_what_workers_bring_is_what_one_process_brings(case: Case) -> None:
    """The same bytes, manifest and counts, each image asked for once; again, nothing comes."""
    alone = case.download("alone")
    before = case.images_asked()
    case.server.reset()
    events: list[object] = []
    engine = Threads()
    spread = case.download("spread", engine, on_event=events.append)
    assert tree(case.root / "spread") == tree(case.root / "alone")
    assert case.images_asked() == before
    assert len(engine.given) > engine.count == engine.most
    assert (spread.images, spread.masks) == (alone.images, alone.masks)
    assert sorted(spread.missing) == sorted(alone.missing)
    assert (spread.exit_code, spread.requests) == (alone.exit_code, case.server.requests)
    assert spread.received_bytes == sum(e.bytes for e in events if isinstance(e, Received))
    names = [
        each.name for each in events if isinstance(each, Fetched | Missing) and ".jpg" in each.name
    ]
    assert len(names) == len(set(names))
    case.server.reset()
    again = Threads()
    assert case.download("spread", again).images.fetched == 0
    # what the source does not have is asked for again, and nothing else
    assert len(case.images_asked()) == alone.images.missing


@pytest.mark.parametrize("words", [0, 1, 3])
def test_a_shard_whose_worker_dies_is_taken_over(case: Case, words: int) -> None:
    """Whatever it had done, the end is the same; what stands there is not fetched again."""
    alone = case.download("alone")
    case.server.reset()
    case.server.delay = 0.005
    events: list[object] = []
    died: set[int] = set()

    def dies(shard: int, said: int) -> bool:
        if shard % 2 or said < words or shard in died:
            return False
        died.add(shard)
        return True

    spread = case.download("spread", Threads(dies=dies), on_event=events.append, workers=6)
    assert tree(case.root / "spread") == tree(case.root / "alone")
    assert (spread.images, spread.exit_code) == (alone.images, alone.exit_code)
    lost = [each.text for each in events if isinstance(each, Warned)]
    assert len(lost) == len(died) > 1
    assert lost[0].startswith("a worker was lost (it was killed); another takes over ")
    # those under way when a worker died, two at the most, and those that the source lacks
    again = sum(case.images_asked().values()) - len(case.images_asked())
    assert again <= 2 * len(died) + alone.images.missing * len(died)


def test_images_that_kill_every_worker_end_the_run(case: Case) -> None:
    """After five deaths in a row nobody takes the shard any more; the others are stopped."""
    engine = Threads(dies=lambda shard, said: shard == 1)
    with pytest.raises(SourceError, match="5 workers in a row were lost over the same images"):
        case.download("spread", engine)
    assert engine.stopped
    assert engine.given.count(1) == 5
    assert case.download("spread").exit_code == case.download("alone").exit_code
    assert tree(case.root / "spread") == tree(case.root / "alone")


def test_a_worker_that_cannot_write_ends_the_run(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is the same for all: the sentence of the worker is that of the run."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    case.download("spread", Threads())
    for path in (case.root / "spread").rglob("*.jpg"):
        path.unlink()
    monkeypatch.setattr("oidkit.transfer.jobs.write_everywhere", full)
    with pytest.raises(DiskError, match="no space left on device"):
        case.download("spread", Threads())


def test_a_worker_without_a_network_is_given_up_for_another(case: Case) -> None:
    """A source that stops answering one worker is asked by another; what failed is not counted."""
    alone = case.download("alone")
    case.server.reset()
    refused = 0

    def hook(request: RequestInfo) -> Fault | None:
        nonlocal refused
        if request.path.endswith(".jpg") and refused < 3:
            refused += 1
            return Fault(status=503, headers={"Retry-After": "100"})
        return None

    case.server.hook = hook
    spread = case.download("spread", Threads(count=1), workers=1)
    assert refused == 3
    assert spread.images == alone.images
    assert tree(case.root / "spread") == tree(case.root / "alone")


def test_images_that_fail_are_told_of_once(case: Case) -> None:
    """A failure that stays is one in the summary and one event, at the end of its shard."""
    case.server.hook = lambda request: Fault(status=403) if request.path.endswith("0.jpg") else None
    events: list[object] = []
    spread = case.download("spread", Threads(), on_event=events.append)
    failed = [each.name for each in events if isinstance(each, Failed)]
    assert spread.images.failed == len({Path(name).name for name in failed}) > 0
    assert spread.exit_code == 4


def test_a_limit_is_that_of_the_whole_run(case: Case) -> None:
    """Each worker gets its share of the requests in flight, and of those in a second."""
    engine = Threads(count=4)
    case.download("out", engine, workers=9, requests_per_second=100.0)
    assert engine.errands[0].settings.workers == 2
    assert engine.errands[0].settings.requests_per_second == 25.0
    assert engine.most_in_flight <= 9
    assert engine.most_a_second == pytest.approx(100.0)
    engine = Threads(count=4)
    case.download("few", engine, workers=2)
    assert engine.most == 2
    assert engine.errands[0].settings.requests_per_second == 2_500.0
    assert engine.most_a_second == pytest.approx(5_000.0)


def test_the_last_shards_have_the_shares_of_those_that_are_done(case: Case) -> None:
    """When a worker dies and the others have nothing left to do, its successor has all of it."""
    engine = Threads(4, slowest=0)
    engine.dies = lambda shard, said: shard == 0 and engine.given.count(0) == 1
    case.download("out", engine, workers=9, requests_per_second=100.0)
    last = engine.errands[-1].settings
    assert last.workers == 9
    assert last.requests_per_second == pytest.approx(100.0)
    assert engine.most_a_second == pytest.approx(100.0)


def test_a_long_silence_is_told_of_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers for which a cluster has no processor free are waited for, and that is said."""
    monkeypatch.setattr(spreading, "_SILENCE_SECONDS", 0.01)
    events: list[object] = []
    done = case.download("out", Threads(silent=5), on_event=events.append)
    told = [each.text for each in events if isinstance(each, Warned)]
    assert [text for text in told if "no worker has said anything" in text] == told
    assert len(told) == 1
    assert done.images == case.download("alone").images


def test_what_cannot_be_spread_is_refused(case: Case) -> None:
    """Images from outside the bucket come by one process; that is said before anything is asked."""
    wanted = Selection(CLASSES, original=True)
    settings = Settings(case.server.url, case.root / "cache")
    with pytest.raises(UsageError, match="not spread over a cluster"):
        download(wanted, case.root / "out", settings=settings, engine=Threads())
    assert not (case.root / "out").exists()


# -- limits and errors --------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0.5, 40.0, 5_000.0])
def test_a_rate_never_goes_above_what_is_given(most: float) -> None:
    """However well the source answers, in ten seconds no more go out than ten times the limit."""
    rate, now, sent = Rate(most), 0.0, 0
    while now < 10.0:
        if rate.opens <= now:
            rate.sent(now)
            rate.succeeded(now)
            sent += 1
        now += 0.1 / most
    assert 9.5 * most <= sent <= 10.5 * most + 1
    assert rate.limit == most


def test_a_given_rate_still_bows_to_the_source() -> None:
    """A source that objects is asked less, and later as much as is given again."""
    rate = Rate(100.0)
    for at in range(150):
        rate.succeeded(at / 50)
    rate.throttled(3.0)
    assert rate.limit is not None
    assert rate.limit < 50.0
    for at in range(20_000):
        rate.succeeded(4.0 + at / 100)
    assert rate.limit == 100.0


def test_a_download_keeps_to_the_rate(case: Case) -> None:
    """On the line, too: the images take the seconds that the limit gives them."""
    alone = case.download("out", requests_per_second=400.0)
    assert alone.seconds >= (alone.images.asked - 10) / 400.0
    with pytest.raises(UsageError, match="more than 0"):
        case.download("out", requests_per_second=0.0)


@pytest.mark.parametrize(
    "error",
    [
        DiskError("/full", because="no space left", remedy="free some"),
        SourceError("it is away", remedy="wait"),
        UnknownClassError("hangdun", nearest=["Handgun"]),
    ],
)
def test_errors_go_from_process_to_process(error: OidError) -> None:
    """An error that was pickled is the same one: kind, sentence and fields."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is type(error)
    assert (str(again), vars(again), again.args) == (str(error), vars(error), error.args)
