"""Workers that are threads of the test's own process, in place of those of a real Ray."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mirrors import CLASSES
from oidkit.api import Settings, Summary, download, shards
from oidkit.api.shards import Errand, fetch_shard
from oidkit.api.spreading import Died
from oidkit.events import ignore
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from oidkit.api.shards import Batch, Shard
    from oidkit.events import Listener
    from oidkit.testing import MirrorServer


@dataclass
class Threads:
    """An engine, its cluster and its workers; `dies` is asked before each word of a worker.

    At first they are `silent` for some turns, and the `slowest` shard while there are others.
    """

    count: int = 3
    dies: Callable[[int, int], bool] = lambda shard, words: False
    slowest: int | None = None
    silent: int = 0
    errands: list[Errand] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    most: int = 0
    most_in_flight: int = 0
    most_a_second: float = 0.0
    stopped: bool = False
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _under_way: dict[int, Iterator[Batch]] = field(default_factory=dict)
    _told: dict[int, Settings] = field(default_factory=dict)
    _words: Counter[int] = field(default_factory=Counter)

    @contextlib.contextmanager
    def connected(self) -> Iterator[Threads]:
        with self._pool:
            yield self

    def workers(self, errand: Errand) -> Threads:
        assert isinstance(errand.root, ObjectPath) or errand.root.is_absolute()
        return self

    def start(self, errand: Errand, shard: Shard) -> None:
        self.errands.append(errand)
        self.given.append(shard.number)
        sent = pickle.loads(pickle.dumps((errand, shard)))  # noqa: S301 - our own
        self._under_way[shard.number] = fetch_shard(*sent)
        self.most = max(self.most, len(self._under_way))
        self._told[shard.number] = errand.settings
        told = [self._told[number] for number in self._under_way]
        self.most_in_flight = max(self.most_in_flight, sum(each.workers or 0 for each in told))
        rates = (each.requests_per_second or 0.0 for each in told)
        self.most_a_second = max(self.most_a_second, sum(rates))

    def wait(self, seconds: float) -> list[tuple[int, Batch | Died]]:
        if self.silent:
            self.silent -= 1
            time.sleep(0.02)
            return []
        speak = [number for number in self._under_way if number != self.slowest]
        return [(number, self._next(number)) for number in speak or list(self._under_way)]

    def _next(self, number: int) -> Batch | Died:
        words = self._under_way[number]
        if self.dies(number, self._words[number]):
            self._end(number)
            return Died("it was killed")
        self._words[number] += 1
        told: Batch = self._pool.submit(next, words).result()
        if told.done or told.error is not None:
            self._end(number)
        return pickle.loads(pickle.dumps(told))  # type: ignore[no-any-return]  # noqa: S301

    def _end(self, number: int) -> None:
        self._pool.submit(self._under_way.pop(number).close).result()  # type: ignore[attr-defined]

    def stop(self) -> None:
        self.stopped = True
        for number in list(self._under_way):
            self._end(number)


@dataclass(frozen=True)
class Case:
    """A place for downloads from a server."""

    server: MirrorServer
    root: Path

    def download(
        self,
        out: str,
        engine: Threads | None = None,
        *,
        on_event: Listener = ignore,
        **more: object,
    ) -> Summary:
        settings = Settings(self.server.url, self.root / "cache", **more)  # type: ignore[arg-type]
        place = self.root / out
        return download(CLASSES, place, settings=settings, on_event=on_event, engine=engine)

    def images_asked(self) -> Counter[str]:
        """Count the requests for each image."""
        log = self.server.log
        return Counter(each.path for each in log if each.path.endswith(".jpg"))


def case(server: MirrorServer, tmp_path: Path) -> Case:
    """Give a place for downloads from the fixture `server`; it is made a fixture, too."""
    return Case(server, tmp_path)


def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be many shards, and let workers tell of each round; it is made a fixture, too."""
    monkeypatch.setattr(shards, "_SMALLEST", 8)
    monkeypatch.setattr(shards, "_BATCH_SECONDS", 0.0)
