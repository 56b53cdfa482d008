"""All of Open Images over many workers: the program's own driver, on a simulated clock.

The plan, its shards, who gets which, what is told of every image, and who takes a shard over are
those of the program (`oidkit.api.spreading`). Only the worker is replaced: it takes the time that
was measured for one, and the share of requests a second that it was given. The same seed gives the
same run.
"""

from __future__ import annotations

import heapq
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from oidkit import catalog
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.api.shards import Batch, Errand, Shard
from oidkit.api.spreading import Died, spread_images
from oidkit.disk import Record
from oidkit.events import Warned
from oidkit.planning import ImagePlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.dataset import Dataset
    from oidkit.events import Event

__all__ = ["IMAGES", "Outcome", "Weather", "Worker", "simulate"]

IMAGES = {"train": 9_011_219, "validation": 41_620, "test": 125_436}
"""Every image of the bucket, 9,178,275, by split."""
_PIECES = 8


@dataclass(frozen=True, slots=True)
class Worker:
    """What was measured of one: seconds an image, as quantiles, and seconds to look at one."""

    seconds: Sequence[float]
    standing: float


@dataclass(frozen=True, slots=True)
class Weather:
    """What goes wrong: a share of the workers is so many times as slow, a share of shards dies.

    `found_out` are the seconds until a death is known.
    """

    slow: float = 0.0
    times: float = 4.0
    failing: float = 0.0
    found_out: float = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: simulated seconds, and the driver's own real seconds of processor time."""

    images: int
    shards: int
    seconds: float
    deaths: int
    requests: int
    busiest: float
    driver: float


@dataclass(slots=True)
class _Simulated:
    """Workers on the clock of the simulation."""

    count: int
    worker: Worker
    weather: Weather
    seed: int
    now: float = 0.0
    deaths: int = 0
    shards: int = 0
    made: float = 0.0
    """Seconds of this process that went into making up what workers say."""
    asked: list[tuple[float, float, int]] = field(default_factory=list)
    _free: list[int] = field(default_factory=list)
    _coming: list[tuple[float, int, int, int, Batch | Died]] = field(default_factory=list)
    _standing: dict[int, int] = field(default_factory=dict)
    _order: int = 0

    def __post_init__(self) -> None:
        self._free = list(range(self.count))

    def start(self, errand: Errand, shard: Shard) -> None:
        begun = time.process_time()
        self._order += 1
        dice = random.Random(f"{self.seed} {shard.number} {self._order}")
        slot = heapq.heappop(self._free)
        slow = slot < round(self.count * self.weather.slow + 0.499)
        ids = shard.plan.ids.tolist()
        there = self._standing.get(shard.number, 0) if shard.again else 0
        todo = len(ids) - there
        each = sum(dice.choice(self.worker.seconds) for _ in range(_PIECES)) / _PIECES
        each = max(
            each * (self.weather.times if slow else 1.0),
            1.0 / (errand.settings.requests_per_second or float("inf")),
        )
        looking, done = there * self.worker.standing, len(ids)
        died = dice.random() < self.weather.failing
        if died:
            self.deaths += 1
            done = there + int(todo * dice.random())
            self._standing[shard.number] = done
        fetched = done - there
        ends = self.now + looking + fetched * each
        self.asked.append((self.now + looking, ends, fetched))
        said = Batch(
            tuple(_record(shard.plan.split, image) for image in ids[:done]),
            requests=fetched,
            received=fetched * catalog.IMAGE_BYTES,
            part="part",
            done=not died,
        )
        self._say(ends, slot, shard.number, said)
        if died:
            late = ends + self.weather.found_out
            self._say(late, slot, shard.number, Died("its machine went away"))
        self.shards += not shard.again
        self.made += time.process_time() - begun

    def _say(self, at: float, slot: int, number: int, told: Batch | Died) -> None:
        self._order += 1
        heapq.heappush(self._coming, (at, self._order, slot, number, told))

    def wait(self, seconds: float) -> list[tuple[int, Batch | Died]]:
        del seconds
        self.now, _, slot, number, told = heapq.heappop(self._coming)
        if isinstance(told, Died) or told.done:
            heapq.heappush(self._free, slot)
        return [(number, told)]

    def stop(self) -> None:
        """Nothing goes on by itself here."""


def _record(split: str, image: int) -> Record:
    name = f"{image:016x}"
    return Record(f"images/{split}/{name}.jpg", "image", name, "ok", catalog.IMAGE_BYTES)


def simulate(
    workers: int,
    worker: Worker,
    *,
    weather: Weather | None = None,
    per_second: float = 5_000.0,
    share: float = 1.0,
    seed: int = 0,
) -> Outcome:
    """Fetch a *share* of all images with so many workers, and say how it ended."""
    plans = [_plan(split, int(count * share)) for split, count in IMAGES.items()]
    pool = _Simulated(workers, worker, weather or Weather(), seed)
    told, lost = 0, 0

    def count(record: Record) -> None:
        nonlocal told
        told += record.status == "ok"

    def hear(event: Event) -> None:
        nonlocal lost
        lost += isinstance(event, Warned)

    nothing: Any = SimpleNamespace(expect=lambda _: None, inherit=lambda _: None)
    dataset = cast("Dataset", SimpleNamespace(root=Path(), manifest=nothing))
    settings = Settings("official", Path(), requests_per_second=per_second)
    begun = time.process_time()
    with Session(settings, hear) as session:
        spread_images(session, dataset, plans, workers=pool, count=count, degrees={})
        requests = session.traffic.requests
    driver = time.process_time() - begun - pool.made
    wanted = sum(plan.asked for plan in plans)
    if (told, requests, lost) != (wanted, wanted, pool.deaths):
        raise AssertionError(f"{told} of {wanted} images, {requests} requests, {lost} deaths told")
    busiest = _busiest(pool.asked)
    return Outcome(wanted, pool.shards, pool.now, pool.deaths, requests, busiest, driver)


def _plan(split: str, count: int) -> ImagePlan:
    """Plan all images of a split, none of which is there: columns, as the program has them."""
    ids = np.arange(1, count + 1, dtype=np.uint64) * np.uint64((1 << 63) // max(count, 1))
    folder = np.zeros(count, dtype=np.int32)
    return ImagePlan(split, (f"images/{split}",), ids, folder, np.zeros(count, dtype=np.bool_))


def _busiest(asked: Sequence[tuple[float, float, int]]) -> float:
    """Give the most requests a second of all workers together."""
    steps: list[tuple[float, float]] = []
    for begun, ended, count in asked:
        if ended > begun:
            rate = count / (ended - begun)
            steps += [(begun, rate), (ended, -rate)]
    most = now = 0.0
    for _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most
