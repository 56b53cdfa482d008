"""Images over loopback, ours beside the programs that people would use, at two delays.

    python -m bench.images [--full] [--rounds N] [--place DIR]

Every figure is for 1,000 images of 300 kB, so that a slow program may be given fewer of them. Its
start is in it. What the server counted stands beside it: requests, and bytes of bodies. Files go
into the machine's memory where there is room, as a disk would be all that is measured: ours waits
for it and the others do not. What that costs has a table of its own.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import sys
import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from bench.alone import alone
from bench.image_ways import (
    ADAPTIVE,
    ENVIRONMENT,
    FLOOR,
    OFFICIAL,
    UNCHECKED,
    WAYS,
    Way,
    fixed,
)
from bench.jpegs import DELAYS, SPOILT, Server, image_ids, lacking, serving
from bench.made import plain_environment
from bench.measure import OURS, Cost, Scale, Sheet, call_cost, command_cost, in_turns
from bench.peers import Job

from oidkit.disk import fingerprint, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["run"]

_IMAGES = 20_000
_UNIT = 1_000
_WORKERS = {4: 400, 8: 800, 16: 1_500, 32: 3_000, 64: 3_000, 128: 3_000, 256: 3_000}
"""Fixed settings, and the images that each gets."""
_QUICK_SHARE = 40
_ROOM = 9 << 30
_ON_DISK, _IMAGE_BYTES = 1_000, 300_000
_SYNCED = "floor: the same bytes into one file, synced"
_WRITING = "floor: MD5 and writing, no network"
_CHECKED = ("s5cmd", "rclone, s3", "aria2c")
_TIMES_OFFICIAL = {0: 8.0, 50: 20.0}
_MOST_CPU_MS, _LEAST_UNCHECKED, _LEAST_OF_BEST, _FOUND_WITHIN = 2.0, 0.8, 0.9, 0.1
_DAMAGED = 6
_NOISE = "what is left is within the noise of the machine, some 10 % from round to round"


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure everything, at each delay."""
    if text := lacking():
        sheet.notes["Images | all"] = text
        return
    with serving(scale) as server:
        bench = _Bench(sheet, scale, server)
        bench.check()
        for delay in DELAYS:
            if delay not in server.urls:
                sheet.notes[f"Images, {delay} ms"] = (
                    "was not measured: apt-get install libnginx-mod-http-lua"
                )
                continue
            bench.peers(delay)
            bench.workers(delay)
            bench.curve(delay)
        if scale.full:
            bench.disk()


class _Bench:
    """The server, and a place in which one program after the other fetches from it."""

    def __init__(self, sheet: Sheet, scale: Scale, server: Server) -> None:
        self._sheet, self._scale, self._server = sheet, scale, server
        self._ids = image_ids(_IMAGES)
        self._where = _memory() or scale.place

    def peers(self, delay: int) -> None:
        """Measure ours beside everybody else's, and say what was reached."""
        what = f"1,000 images, {delay} ms"
        ways: dict[str, Callable[[], Cost]] = {}
        for way in WAYS:
            if not self._scale.full and (delay or way.late) and way.name != OURS:
                continue
            if way.lacking:
                self._sheet.notes[f"{what} | {way.name}"] = way.lacking
            else:
                ways[way.name] = partial(self._cost, way, delay)
        if not delay:
            ways[_WRITING] = self._writing
        in_turns(self._sheet, what, ways, rounds=self._scale.rounds)
        if delay:
            text = f"the server waits {delay} ms before each answer; a connection is made at once"
            self._sheet.notes[what] = text
        self._counts(what)
        if self._scale.full:
            self._targets(what, delay, [name for name in ways if name != OURS])

    def _counts(self, what: str) -> None:
        """Assert what does not depend on the machine."""
        runs = [cost.counts for cost in self._sheet.costs[what][OURS]]
        self._sheet.target(
            f"{what}: requests and bytes",
            must="1 request an image, each byte of it once",
            found=f"{runs[-1]['requests']:,} requests, {runs[-1]['images']:,} images",
            met=all(each["requests"] == each["images"] == each["gets"] for each in runs)
            and all(each["surplus bytes"] == 0 for each in runs),
        )

    def _targets(self, what: str, delay: int, others: list[str]) -> None:
        for name in others:
            times = self._sheet.ratio(what, name, OURS)
            least = None
            if name == OFFICIAL:
                least = _TIMES_OFFICIAL[delay]
            elif name in _CHECKED:
                least = 1.0
            elif name in UNCHECKED:
                least = _LEAST_UNCHECKED
            if least is not None:
                self._sheet.target(
                    f"{what}, beside {name}",
                    must=f"at least {least} times as fast",
                    found=f"{times:.2f} times",
                    met=times >= least,
                    limit="" if times >= least else self._limit(what, delay),
                )
        cpu = self._sheet.median(what, OURS, "cpu")
        self._sheet.target(
            f"{what}: processor time",
            must=f"at most {_MOST_CPU_MS} ms an image",
            found=f"{cpu:.2f} ms",
            met=cpu <= _MOST_CPU_MS,
        )

    def _limit(self, what: str, delay: int) -> str:
        text = "the network is not what holds it back"
        if FLOOR in self._sheet.costs[what]:
            text = f"curl that keeps nothing takes {self._sheet.median(what, FLOOR):.2f} s for them"
        if not delay:
            cpu = self._sheet.median(what, _WRITING, "cpu")
            text += f"; MD5 and writing alone take {cpu:.2f} s of processor"
        return text

    def workers(self, delay: int) -> None:
        """Measure the adaptive limit beside every fixed one."""
        what = f"requests in flight, {delay} ms"
        ways = [Way(ADAPTIVE, WAYS[0].command, max(_WORKERS.values()))]
        limits = _WORKERS if self._scale.full else {64: _QUICK_SHARE}
        ways += [fixed(workers, share) for workers, share in limits.items()]
        in_turns(
            self._sheet,
            what,
            {way.name: partial(self._cost, way, delay) for way in ways},
            rounds=self._scale.rounds,
        )
        if not self._scale.full:
            return
        best = min(map(str, _WORKERS), key=partial(self._sheet.median, what))
        share = self._sheet.ratio(what, best, ADAPTIVE)
        self._sheet.target(
            what,
            must=f"at least {_LEAST_OF_BEST} of the best fixed limit",
            found=f"{share:.2f} of {best} in flight",
            met=share >= _LEAST_OF_BEST,
            limit="" if share >= _LEAST_OF_BEST else _NOISE,
        )

    def curve(self, delay: int) -> None:
        """Fetch the whole list once, and say when the limit was found."""
        count = _IMAGES if self._scale.full else _QUICK_SHARE * 10
        with self._job(delay, self._ids[:count]) as job:
            result = job.root / "curve.json"
            script = str(Path(__file__).with_name("pace_curve.py"))
            places = [job.url, *map(str, (job.ids, job.folder, job.root / "cache", result))]
            cost = command_cost([sys.executable, script, *places], env=plain_environment())
            sent = self._server.sent()
            curve = json.loads(result.read_bytes())
        what = f"the limit over {count:,} images, {delay} ms"
        counted = {"found after images": curve[-1][0], "limit": curve[-1][2]}
        at = ", ".join(f"{limit} after {done:,} images ({time} s)" for done, time, limit in curve)
        self._sheet.add(what, OURS, self._of(cost, count, sent.bytes, counted), note=at)
        if self._scale.full:
            share = curve[-1][0] / count
            self._sheet.target(
                what,
                must=f"found within {_FOUND_WITHIN:.0%} of the run",
                found=f"{curve[-1][2]} in flight, after {share:.1%}",
                met=share <= _FOUND_WITHIN,
            )

    def check(self) -> None:
        """Assert that the MD5 of the server's ETag is looked at: one is that of another image."""
        with self._job(0, [*self._ids[:5], SPOILT]) as job:
            command = WAYS[0].command(job, 0)
            command_cost(command, env=plain_environment(), codes=[_DAMAGED])
            with (job.folder / ".oid" / "manifest.csv").open(encoding="utf-8", newline="") as file:
                rows = {row["path"]: row for row in csv.DictReader(file)}
            stands = {path.name for path in job.folder.glob("*.jpg")}
        self._server.sent()
        spoilt = f"{SPOILT.rpartition('/')[2]}.jpg"
        refused = [path for path, row in rows.items() if row["status"] == "damaged"]
        checked = sum(row["check"].startswith("md5:") for row in rows.values())
        self._sheet.target(
            "MD5 of images: one of six is spoilt",
            must="exit 6, that one refused and 5 checked",
            found=f"refused {len(refused)}, checked {checked}",
            met=refused == [spoilt] and checked == 5 and spoilt not in stands and len(stands) == 5,
        )

    def disk(self) -> None:
        """Measure how long it takes until the images would outlast a loss of power.

        Ours sees to it by itself; after the others the file system is synced.
        """
        what = "1,000 images onto the disk, synced"
        ways = {
            way.name: partial(self._cost, way, 0, most=_ON_DISK, synced=way.name != OURS)
            for way in WAYS
            if way.name in (OURS, *UNCHECKED) and not way.lacking
        }
        in_turns(self._sheet, what, ways | {_SYNCED: self._synced}, rounds=self._scale.rounds)

    def _cost(
        self, way: Way, delay: int, *, most: int = _IMAGES, synced: bool | None = None
    ) -> Cost:
        """Run a program; where *synced* is not None, onto the disk, and with it sync that."""
        count = min(way.share, most if self._scale.full else _QUICK_SHARE)
        where = None if synced is None else self._scale.place
        with self._job(delay, self._ids[:count], where=where) as job:
            env = plain_environment() | dict(ENVIRONMENT)
            cost = command_cost(way.command(job, delay), env=env, cwd=job.root)
            if synced:
                cost = _sum(cost, command_cost(["sync", "-f", job.folder]))
            sent = self._server.sent()
            kept = [path.stat().st_size for path in job.folder.rglob("*.jpg")]
        if way.name != FLOOR and len(kept) != count:
            raise RuntimeError(f"{way.name} has brought {len(kept)} of {count} images")
        counted = {"images": count, "requests": sent.requests, "gets": sent.gets}
        counted["surplus bytes"] = sent.bytes - (sum(kept) or sent.bytes)
        return self._of(cost, count, sent.bytes, counted)

    def _writing(self) -> Cost:
        """Do what is left of the work without a network, on one thread."""
        bodies = [path.read_bytes() for path in (self._scale.made / "jpegs").glob("*.jpg")]
        count = 1_000 if self._scale.full else _QUICK_SHARE
        with self._job(0, []) as job:

            def work() -> None:
                for number in range(count):
                    body = bodies[number % len(bodies)]
                    fingerprint(body)
                    write_atomically(job.folder / f"{number}.jpg", body)

            return self._of(call_cost(work), count, 0, {"images": count})

    def _synced(self) -> Cost:
        """Write the bytes of the images into one file of the disk, as fast as it takes them."""
        body = b"".join(path.read_bytes() for path in (self._scale.made / "jpegs").glob("*.jpg"))
        with (
            self._job(0, [], where=self._scale.place) as job,
            (job.root / "all").open("wb") as file,
        ):

            def work() -> None:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())

            return self._of(call_cost(work), len(body) // _IMAGE_BYTES, 0, {})

    def _of(self, cost: Cost, count: int, received: int, counts: dict[str, int]) -> Cost:
        """Scale a cost to 1,000 images."""
        times = _UNIT / count
        return Cost(
            cost.seconds * times,
            cost.cpu * times,
            cost.peak_mb,
            round(received * times),
            counts | {"images a second": round(count / cost.seconds)},
        )

    @contextlib.contextmanager
    def _job(self, delay: int, ids: Sequence[str], *, where: Path | None = None) -> Iterator[Job]:
        """Give a place for one program, which is gone afterwards."""
        where = where or self._where
        root = where / f"oidkit-bench-{uuid.uuid4().hex[:8]}"
        (root / "images").mkdir(parents=True)
        try:
            yield Job(self._server.urls[delay], ids, root)
        finally:
            shutil.rmtree(root)


def _sum(one: Cost, other: Cost) -> Cost:
    """Add what a second program took to the first one's."""
    return replace(one, seconds=one.seconds + other.seconds, cpu=one.cpu + other.cpu)


def _memory() -> Path | None:
    """Give a place in the machine's memory, if there is room for the whole list in it."""
    place = Path("/dev/shm")  # noqa: S108 - each job makes a folder of its own there
    enough = psutil.virtual_memory().available > _ROOM
    return place if place.is_dir() and shutil.disk_usage(place).free > _ROOM and enough else None


if __name__ == "__main__":
    alone("images", run)
