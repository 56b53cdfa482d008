"""The images of a run, fetched by many workers: shards given out, taken over, and counted.

What the workers are, and how they are reached, is the business of an `Engine`.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from oidkit.api.shards import Batch, Errand, Shard, cut, shard_size
from oidkit.errors import InterruptedRunError, SourceError, UsageError
from oidkit.events import Noted, Received, Warned
from oidkit.transfer.interrupt import interruptible
from oidkit.transfer.records import event_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from oidkit.api.session import Session
    from oidkit.api.settings import Settings
    from oidkit.dataset import Dataset
    from oidkit.disk import Record
    from oidkit.errors import OidError
    from oidkit.objectpath import Location
    from oidkit.planning import ImagePlan
    from oidkit.selection import Selection

__all__ = ["Cluster", "Died", "Engine", "Workers", "check_spread", "errand_of", "spread_images"]

_REQUESTS_PER_SECOND = 5_000.0  # the bucket's host bears about 5,500 a second for each prefix
_MOST_DEATHS, _MOST_ERRORS = 5, 2
_A_MOMENT = 0.5
_SILENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Died:
    """A worker is no more, or cannot be reached; `why` is what is known of that."""

    why: str


class Workers(Protocol):
    """Workers that are ready; `count` shards can be under way at once.

    `start` gives a shard out. `wait` gives what has been told within some seconds, by the number of
    the shard, in order: after a batch that is done or has an error, and after a death, nothing of
    that shard comes any more. `stop` ends all that is under way and comes back when it has ended.
    """

    @property
    def count(self) -> int: ...

    def start(self, errand: Errand, shard: Shard) -> None: ...

    def wait(self, seconds: float) -> Sequence[tuple[int, Batch | Died]]: ...

    def stop(self) -> None: ...


class Engine(Protocol):
    """Where images are fetched by other processes than this one.

    Raises:
        UsageError: it is not there, or does not answer.
        SourceError: it does not start.

    """

    def connected(self) -> AbstractContextManager[Cluster]: ...


class Cluster(Protocol):
    """Machines that answer.

    `workers` makes sure that all of them run this version of the program, see the dataset folder
    *root*, which exists, and a source that is a folder, and may write into the dataset; otherwise
    it raises a `UsageError`.
    """

    def workers(self, errand: Errand) -> Workers: ...


def check_spread(wanted: Sequence[Selection]) -> None:
    """Refuse what cannot be spread.

    Raises:
        UsageError: some selection takes images from outside the bucket.

    """
    if any(each.original and each.images for each in wanted):
        raise UsageError(
            "images from outside the bucket are not spread over a cluster: each of their hosts is "
            "asked a few at a time, by one process",
            remedy="leave out --original, or the engine",
        )


def spread_images(
    session: Session,
    dataset: Dataset,
    plans: Sequence[ImagePlan],
    *,
    workers: Workers,
    count: Callable[[Record], None],
    degrees: Mapping[str, int],
) -> None:
    """Let *workers* fetch the images of which no file is there; *count* is told of each image.

    Raises:
        OidError: as a worker met it; the other workers have been stopped.
        SourceError: a shard has cost too many workers their life.
        InterruptedRunError: the user stopped the run; what was finished stays.

    """
    todo = sum(plan.to_fetch for plan in plans)
    if not todo:
        return
    at_once = min(workers.count, session.settings.workers or workers.count)
    size = shard_size(todo, at_once)
    session.on_event(Noted(f"{todo:,} images in shards of {size:,} for {at_once:,} workers"))
    shards = cut(plans, size=size, degrees=degrees)
    errand = errand_of(dataset.root, session)
    giving = _Giving(session, dataset, workers=workers, errand=errand, at_once=at_once, count=count)
    with interruptible() as stopped:
        try:
            more = True
            while more and not stopped.is_set():
                more = giving.turn(shards)
        except BaseException:
            workers.stop()
            raise
        if more:
            workers.stop()
            raise InterruptedRunError("interrupted", remedy="run the same command again to go on")


def errand_of(root: Location, session: Session) -> Errand:
    """Say where all that workers need is; its limits are those of the whole run."""
    settings, source = session.settings, session.source
    where = source.root or source.folder
    told = dataclasses.replace(
        settings,
        # As an address: what it is made of here, such as AWS_ENDPOINT_URL, may be another there.
        source=str(where) if where else source.name,
        cache=str(settings.cache_folder.absolute()),
        release=settings.release_name,
        requests_per_second=settings.requests_per_second or _REQUESTS_PER_SECOND,
    )
    return Errand(root.absolute() if isinstance(root, Path) else root, told)


@dataclass(slots=True)
class _Out:
    """A shard that is given out, and what is known of it.

    `images` are those of which was told. Of those that `failed` is told at the end: another worker
    may have them. `deaths` are those since an image came. Whoever has it was told `settings` with
    its share of the limits.
    """

    shard: Shard
    settings: Settings
    images: set[str] = field(default_factory=set)
    failed: dict[str, Record] = field(default_factory=dict)
    deaths: int = 0
    part: str = ""


class _Giving:
    """Gives shards out, and hears of them."""

    def __init__(
        self,
        session: Session,
        dataset: Dataset,
        *,
        workers: Workers,
        errand: Errand,
        at_once: int,
        count: Callable[[Record], None],
    ) -> None:
        self._session, self._dataset, self._workers = session, dataset, workers
        self._errand, self._at_once, self._count = errand, at_once, count
        self._out: dict[int, _Out] = {}
        self._lost: list[_Out] = []
        self._heard: float | None = time.monotonic()

    def turn(self, shards: Iterator[Shard]) -> bool:
        """Give out shards while there is room, and hear what is told; False when all is done."""
        starting: list[_Out] = []
        while len(self._out) + len(starting) < self._at_once and (out := self._next(shards)):
            starting.append(out)
        if starting:
            self._start(starting)
        if not self._out:
            return False
        words = self._workers.wait(_A_MOMENT)
        self._listen(heard=bool(words))
        for number, told in words:
            if isinstance(told, Died):
                self._lose(number, told.why)
            else:
                self._hear(number, told)
        return True

    def _start(self, starting: Sequence[_Out]) -> None:
        """Give shards out, each with the same share of what the others leave of the limits.

        So the last ones have the shares of the workers that have nothing to do any more.
        """
        whole, others = self._errand.settings, [out.settings for out in self._out.values()]
        rate = (whole.requests_per_second or 0.0) - sum(
            each.requests_per_second or 0.0 for each in others
        )
        flight = (whole.workers or 0) - sum(each.workers or 0 for each in others)
        settings = dataclasses.replace(
            whole,
            workers=flight // len(starting) if whole.workers else None,
            requests_per_second=rate / len(starting),
        )
        for out in starting:
            out.settings = settings
            self._out[out.shard.number] = out
            self._workers.start(Errand(self._errand.root, settings), out.shard)

    def _listen(self, *, heard: bool) -> None:
        """Warn of a long silence, once; workers speak twice a second."""
        if heard:
            self._heard = time.monotonic()
        elif self._heard is not None and time.monotonic() - self._heard >= _SILENCE_SECONDS:
            self._heard = None
            text = (
                f"no worker has said anything for {_SILENCE_SECONDS:.0f} seconds: others may hold "
                "all processors of the cluster"
            )
            self._session.on_event(Warned(text))

    def _next(self, shards: Iterator[Shard]) -> _Out | None:
        if self._lost:
            return self._lost.pop()
        shard = next(shards, None)
        return _Out(shard, self._errand.settings) if shard is not None else None

    def _hear(self, number: int, batch: Batch) -> None:
        out, on_event, traffic = self._out[number], self._session.on_event, self._session.traffic
        out.part = batch.part or out.part
        traffic.requests += batch.requests
        traffic.received += batch.received
        if batch.received:
            on_event(Received(batch.received))
        for event in batch.events:
            on_event(event)
        for record in batch.records:
            if record.status in ("ok", "missing"):
                self._tell(out, record)
            else:
                out.failed[record.path] = record
        if isinstance(batch.error, SourceError | InterruptedRunError):
            # It may be this worker's network alone, and somebody else may have stopped it.
            self._lose(number, batch.error.cause, error=batch.error)
        elif batch.error is not None:
            raise batch.error
        elif batch.done:
            del self._out[number]
            for record in out.failed.values():
                self._tell(out, record)
            self._dataset.manifest.expect(out.part)

    def _tell(self, out: _Out, record: Record) -> None:
        """Tell of an image once: it has several places, and another worker may tell of it too."""
        image = record.path.rpartition("/")[2]
        if image in out.images:
            return
        out.images.add(image)
        out.deaths = 0
        self._count(record)
        self._session.on_event(event_of(record))

    def _lose(self, number: int, why: str, *, error: OidError | None = None) -> None:
        out = self._out.pop(number)
        out.deaths += 1
        out.failed.clear()
        if out.part:
            self._dataset.manifest.inherit(out.part)
        if isinstance(error, SourceError) and out.deaths >= _MOST_ERRORS:
            raise error
        if out.deaths >= _MOST_DEATHS:
            raise SourceError(
                f"{_MOST_DEATHS} workers in a row were lost over the same images: {why}",
                remedy="look at their memory and their logs, then run the same command again",
            )
        plan = out.shard.plan
        text = f"{plan.asked:,} images of {plan.split} from {plan.ids[0]:016x} on"
        self._session.on_event(Warned(f"a worker was lost ({why}); another takes over {text}"))
        out.shard, out.part = dataclasses.replace(out.shard, again=True), ""
        self._lost.append(out)
