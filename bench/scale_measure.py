"""What a worker of a Ray cluster costs an image, measured on loopback with 1, 2 and 4 of them.

Images of 300 kB come from nginx, at once and 50 ms after they were asked for. Files go into the
machine's memory where there is room. Everything runs on one machine: the server, the driver and the
workers share its processors, so the cost of an image is what holds elsewhere, and not the speed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psutil
from bench.jpegs import image_ids, lacking, serving

from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.api.shards import Errand, Shard, fetch_shard
from oidkit.api.spreading import errand_of, spread_images
from oidkit.cluster import Ray
from oidkit.dataset import open_dataset
from oidkit.disk import Record
from oidkit.planning import ImagePlan
from oidkit.tables import Manifest, ManifestPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.jpegs import Server
    from bench.measure import Scale

    from oidkit.api.shards import Batch
    from oidkit.api.spreading import Died, Workers

__all__ = ["WORKERS", "measured"]

WORKERS = (1, 2, 4)
_QUANTILES = 40
_WARM, _SHARD = 200, 4_000
_LOOK_SECONDS = 0.1
_PATIENCE = 300.0


def measured(scale: Scale, *, images: int) -> dict[str, Any]:
    """Measure everything, and give it as plain values.

    Raises:
        RuntimeError: the server that it needs is not on this machine.

    """
    if text := lacking():
        raise RuntimeError(text)
    rows, seconds = [], {}
    with serving(scale) as server, _place(scale) as place:
        for delay, url in server.urls.items():
            for workers in WORKERS:
                row, samples = _alone(server, url, place, workers=workers, images=images)
                rows.append({"delay_ms": delay, "workers": workers, **row})
                print(rows[-1], flush=True)
                if workers == 1:
                    seconds[str(delay)] = samples
        standing = _standing(server.urls[0], place, images=images)
        merges = []
        for count in (25 * images, 100 * images):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                merges.append(pool.submit(_merge, place / f"merged-{count}", count).result())
            print(merges[-1], flush=True)
    return {
        "cores": os.cpu_count(),
        "images": images,
        "rows": rows,
        "seconds": seconds,
        "standing": standing,
        "merges": merges,
    }


def _alone(
    server: Server, url: str, place: Path, *, workers: int, images: int
) -> tuple[dict[str, Any], list[float]]:
    """Measure in a process of its own, in which no earlier Ray has left anything."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_with_ray, server, url, place, workers, images).result()


def _with_ray(
    server: Server, url: str, place: Path, workers: int, images: int
) -> tuple[dict[str, Any], list[float]]:
    # A Ray that gets no processor may give its tasks to nobody; then it says where that was.
    faulthandler.dump_traceback_later(_PATIENCE, exit=True)
    with _ray(workers, place):
        return _run(server, url, place, workers=workers, images=images)


@contextlib.contextmanager
def _place(scale: Scale) -> Iterator[Path]:
    memory = Path("/dev/shm")  # noqa: S108 - for its speed; the folder in it is our own
    where = memory if memory.is_dir() and scale.full else scale.place
    with tempfile.TemporaryDirectory(prefix="oidkit-scale-", dir=where) as made:
        yield Path(made)


@contextlib.contextmanager
def _ray(workers: int, place: Path) -> Iterator[None]:
    """Start a Ray of so many workers on loopback."""
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ["HOME"] = str(place)
    import logging

    import ray

    ray.init(
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100 << 20,
    )
    try:
        yield
    finally:
        ray.shutdown()


def _plan(first: int, count: int) -> ImagePlan:
    names = image_ids(first + count)[first:]
    ids = np.array([int(name[-16:], 16) for name in names], dtype=np.uint64)
    nothing = np.zeros(count, dtype=np.bool_)
    return ImagePlan("train", ("images/train",), ids, np.zeros(count, dtype=np.int32), nothing)


def _run(
    server: Server, url: str, place: Path, *, workers: int, images: int
) -> tuple[dict[str, Any], list[float]]:
    """Fetch the images, after some others that make the workers ready."""
    root = place / "out"
    settings = Settings(url, place / "cache", requests_per_second=1e6)
    with (
        Session(settings) as session,
        Ray().connected() as cluster,
        open_dataset(root, release=None) as dataset,
    ):
        pool = _Timed(cluster.workers(errand_of(root.absolute(), session)))
        dataset.make("images/train")

        def fetch(first: int, count: int) -> None:
            plan = _plan(first, count)
            spread_images(session, dataset, [plan], workers=pool, count=lambda _: None, degrees={})

        fetch(images, _WARM * workers)
        server.sent()
        pool.samples.clear()
        with _Watched() as watched:
            begun, cpu = time.perf_counter(), time.process_time()
            fetch(0, images)
            seconds, driver = time.perf_counter() - begun, time.process_time() - cpu
        driver -= watched.own
        sent = server.sent()
    shutil.rmtree(root)
    samples = pool.samples or [seconds / images]
    return {
        "seconds": round(seconds, 2),
        "images_a_second": round(images / seconds, 1),
        "cpu_ms": round(1000 * watched.cpu / images, 3),
        "driver_cpu_ms": round(1000 * driver / images, 3),
        "peak_mb": round(watched.peak / 1e6, 1),
        "requests": round(sent.requests / images, 4),
    }, [round(each, 6) for each in _quantiles(samples)]


def _quantiles(samples: list[float]) -> list[float]:
    if len(samples) < 2:
        return samples
    return statistics.quantiles(samples, n=_QUANTILES, method="inclusive")


def _standing(url: str, place: Path, *, images: int) -> float:
    """Measure what it takes to look at an image that a dead worker has left."""
    errand = Errand(place / "again", Settings(url, place / "cache"))
    (errand.root / ".oid").mkdir(parents=True)
    plan = _plan(0, images)
    for again in (False, True):
        begun = time.perf_counter()
        (errand.root / "images" / "train").mkdir(parents=True, exist_ok=True)
        *_, last = fetch_shard(errand, Shard(0, plan, again=again))
        if last.error is not None:
            raise last.error
        seconds = time.perf_counter() - begun
    return round(seconds / images, 6)


def _merge(folder: Path, count: int) -> dict[str, float]:
    """Measure what the driver takes at the end, to make one manifest of the parts of shards."""
    folder.mkdir()
    for first in range(0, count, _SHARD):
        part = ManifestPart(folder)
        for number in range(first, min(first + _SHARD, count)):
            path = f"images/train/{number:016x}.jpg"
            key, check = f"open-images-dataset/train/{number:016x}.jpg", "md5:" + "0" * 32
            # As rows of images are; a part makes their files last, and there are none here.
            part.add(Record(path, "annotations", key, "ok", 303_000, check, width=1024, height=768))
        part.close()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    Manifest(folder).close()
    seconds = time.perf_counter() - begun
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"rows": count, "seconds": round(seconds, 2), "peak_mb": round(most / 1024, 1)}


@dataclass(slots=True)
class _Timed:
    """Workers, and how long each took for an image of what it told."""

    workers: Workers
    samples: list[float] = field(default_factory=list)
    _since: dict[int, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.workers.count

    def start(self, errand: Errand, shard: Shard) -> None:
        self.workers.start(errand, shard)

    def wait(self, seconds: float) -> list[tuple[int, Batch | Died]]:
        told = list(self.workers.wait(seconds))
        now = time.perf_counter()
        for number, each in told:
            records = getattr(each, "records", ())
            if records and number in self._since:
                self.samples.append((now - self._since[number]) / len(records))
            self._since[number] = now
        return told

    def stop(self) -> None:
        self.workers.stop()


class _Watched:
    """Looks at the processes of workers while something runs: processor time, and most memory."""

    def __init__(self) -> None:
        self.peak = 0
        self.own = 0.0
        """Seconds of processor time that the looking itself took."""
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def cpu(self) -> float:
        return sum(last - self._first[pid] for pid, last in self._last.items())

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._look()
        self.own = time.thread_time()

    def _look(self) -> None:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                title = " ".join(process.cmdline())
                if not title.startswith(("ray::_work", "ray::IDLE")):
                    continue
                times, memory = process.cpu_times(), process.memory_info().rss
                self._first.setdefault(process.pid, times.user + times.system)
                self._last[process.pid] = times.user + times.system
                if title.startswith("ray::_work"):
                    self.peak = max(self.peak, memory)
