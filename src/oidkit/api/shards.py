"""A plan in shards, and what a worker does with one: the very transfer that a run of its own does.

A shard is data: some thousand images of one split, in the order of their ids, with the places
where they belong. Whoever fetches it writes a part of the manifest, and the shard is done when that
part is. Nothing here knows how a shard comes to its worker.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.api.session import Session
from oidkit.api.turning import Turning
from oidkit.dataset import standing_image
from oidkit.disk import written_at_once
from oidkit.errors import DiskError, OidError
from oidkit.events import PaceChanged, Received
from oidkit.planning import ImagePlan
from oidkit.tables import ManifestPart
from oidkit.transfer import ImageJob, LinkJob, Traffic
from oidkit.transfer.records import event_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oidkit.api.settings import Settings
    from oidkit.disk import Record
    from oidkit.events import Event
    from oidkit.objectpath import Location
    from oidkit.planning import ImageTask

__all__ = ["Batch", "Errand", "Shard", "cut", "fetch_shard", "shard_size"]

_LARGEST, _SMALLEST, _TURNS = 4_000, 50, 4
_BATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Errand:
    """What every worker of a run is told: where the dataset lies, as seen by all, and settings."""

    root: Location
    settings: Settings


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Images of one split, none of which stands anywhere, and by how much some are turned.

    It is given out `again` when the worker that had it died: what that one has left is looked at.
    """

    number: int
    plan: ImagePlan
    degrees: Mapping[str, int] = field(default_factory=dict)
    again: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker has to say, about twice a second: what happened since it last spoke.

    `part` names its part of the manifest, which is done when `done`. An `error` is the last word.
    """

    records: tuple[Record, ...] = ()
    events: tuple[Event, ...] = ()
    requests: int = 0
    received: int = 0
    part: str = ""
    done: bool = False
    error: OidError | None = None


def shard_size(images: int, workers: int) -> int:
    """Say how many images a shard has: each worker gets several, and none loses much with one."""
    return max(_SMALLEST, min(_LARGEST, -(-images // (workers * _TURNS))))


def cut(
    plans: Sequence[ImagePlan], *, size: int, degrees: Mapping[str, int] | None = None
) -> Iterator[Shard]:
    """Cut what is to be fetched into shards of *size* images, in the order of splits and ids."""
    number = 0
    for plan in plans:
        wanted = plan.to_ask
        for at in range(0, len(wanted), size):
            ids = wanted[at : at + size]
            first = np.searchsorted(plan.ids, ids[0], side="left")
            rows = slice(int(first), int(np.searchsorted(plan.ids, ids[-1], side="right")))
            near = ImagePlan(
                plan.split, plan.folders, plan.ids[rows], plan.folder[rows], plan.there[rows]
            )
            names = (f"{image:016x}" for image in ids.tolist()) if degrees else ()
            turned = {name: degrees[name] for name in names if degrees and name in degrees}
            yield Shard(number, near.only(ids), turned)
            number += 1


def fetch_shard(errand: Errand, shard: Shard) -> Iterator[Batch]:
    """Fetch the images of a shard into the dataset, and tell what becomes of them.

    It raises nothing: an error is the last that is told.
    """
    trouble: OidError | None = None
    try:
        part = ManifestPart(errand.root / ".oid")
        said, traffic = _Said(part), Traffic()
        settlers = written_at_once(errand.root)
        try:
            yield said.batch(traffic)
            with Session(errand.settings, said.hear) as session:
                run, traffic = session.run(record=said.record), session.traffic
                for _ in run.steps(_jobs(errand, shard, said), settlers=settlers):
                    if said.is_due():
                        yield said.batch(traffic)
        except OidError as error:
            trouble = error
        finally:
            # Only then its files last, and others may take it.
            part.close()
        yield said.batch(traffic, error=trouble, done=trouble is None)
    except OSError as error:
        disk = error if isinstance(error, DiskError) else DiskError.from_os(error, path=errand.root)
        yield Batch(error=disk)


class _Said:
    """What a worker has not told yet."""

    def __init__(self, part: ManifestPart) -> None:
        self.part = part
        self._records: list[Record] = []
        self._events: list[Event] = []
        self._requests = self._received = 0
        self._told = time.monotonic()
        self._own: Event | None = None

    def record(self, record: Record) -> None:
        """Write down what became of a file; the event of it is made where it is told."""
        self.part.add(record)
        self._records.append(record)
        self._own = event_of(record)

    def hear(self, event: Event) -> None:
        """Keep an event; the pace and the bytes of one worker say nothing of the run."""
        if not (isinstance(event, PaceChanged | Received) or event == self._own):
            self._events.append(event)

    def is_due(self) -> bool:
        """Tell whether it is time to speak."""
        return time.monotonic() - self._told >= _BATCH_SECONDS

    def batch(
        self, traffic: Traffic, *, error: OidError | None = None, done: bool = False
    ) -> Batch:
        """Give what is new since the last one, of all the *traffic* so far."""
        new = traffic.requests - self._requests, traffic.received - self._received
        records, events = tuple(self._records), tuple(self._events)
        found = Batch(records, events, *new, self.part.name, done, error)
        self._records, self._events = [], []
        self._requests, self._received = traffic.requests, traffic.received
        self._told = time.monotonic()
        return found


def _jobs(errand: Errand, shard: Shard, said: _Said) -> Iterator[ImageJob | LinkJob]:
    turning = Turning(shard.degrees)
    turn = turning.jpeg if shard.degrees else None
    for task in shard.plan.tasks():
        key = catalog.image_key(shard.plan.split, task.image_id)
        standing = _standing(errand, task, key, turning) if shard.again else []
        if not standing:
            yield ImageJob(errand.root, key, task.absent, turn=turn)
            continue
        for record in standing:
            said.record(record)
        left = {*task.absent} - {record.path for record in standing}
        if left:
            yield LinkJob(errand.root, standing[0], sorted(left))


def _standing(errand: Errand, task: ImageTask, key: str, turning: Turning) -> list[Record]:
    """Give the files of an image that a dead worker has left whole."""
    found = (standing_image(errand.root, path, key=key, fits=turning.fits) for path in task.absent)
    return [record for record in found if record is not None]
