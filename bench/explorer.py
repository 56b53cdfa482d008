"""The web explorer over 100,000 images: until it listens, until it is seen, and while it scrolls.

python -m bench.explorer [--full] [--rounds N] [--place DIR]

The command runs as a user starts it, and Chromium without a window draws its page, at 60 frames a
second at most. Small pictures are not there beforehand: the server makes those that come on the
screen, on the same machine as the browser draws. Both paces of scrolling go through the list with
all boxes drawn: one that a reader follows, at which every picture is loaded, and one that rushes.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from bench.alone import alone
from bench.made import oid, plain_environment
from bench.many_images import many_images
from bench.measure import OURS, Cost, Scale, Sheet
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run"]

_CHROMIUM, _DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
_PATIENCE = 120.0
_FULL, _QUICK = 100_000, 2_000
_FIRST_PAINT = 1.0
_FRAME_MS, _FEWEST_FPS = 16.7, 57.0
_PACES = {"at a pace to follow": 1_500, "rushing": 60_000}
"""Pixels a second."""
_SECONDS = {True: 10, False: 1}
_PAINTED = """
const paint = Object.fromEntries(
    performance.getEntriesByType("paint").map((one) => [one.name, one.startTime]));
return {first: paint["first-paint"], content: paint["first-contentful-paint"]};
"""
_ALL_THERE = """
const pictures = [...document.querySelectorAll("#grid .row:not([hidden]) img[src]")];
return document.getElementById("total").dataset.total !== "" && pictures.length > 0
    && pictures.every((one) => one.complete);
"""
_ASKED = """
const asked = performance.getEntriesByType("resource").map((one) => one.name);
return {
    api: asked.filter((name) => name.includes("/api/")).length,
    small: asked.filter((name) => name.includes("/thumb/")).length,
    cells: document.querySelectorAll("#grid .row:not([hidden]) [data-image]").length,
};
"""
_SCROLL = """
const [pace, seconds, done] = arguments;
const grid = document.getElementById("grid");
const frames = [];
let before = 0, place = grid.scrollTop, begun = 0;
function frame(time) {
    begun ||= time;
    if (before) {
        frames.push(time - before);
        place += (pace * (time - before)) / 1000;
        grid.scrollTop = place;
    }
    before = time;
    if (time - begun < seconds * 1000) requestAnimationFrame(frame);
    else done({frames, place: grid.scrollTop});
}
requestAnimationFrame(frame);
"""


@dataclass(slots=True)
class _Served:
    """The command while it runs."""

    url: str
    seconds: float
    process: psutil.Process

    def cost(self) -> Cost:
        times = self.process.cpu_times()
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return Cost(self.seconds, times.user + times.system, int(peak) * 1024 / 1e6)


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure it all, each round with a fresh command, cache and browser."""
    images = _FULL if scale.full else _QUICK
    if not (_CHROMIUM.exists() and _DRIVER.exists()):
        print("explorer: was not measured: apt-get install chromium chromium-driver", flush=True)
        return
    root = many_images(scale, images)
    what = f"{images:,} images"
    for _ in range(scale.rounds):
        with _served(root, scale) as server, _browser() as driver:
            sheet.add(f"{what}: until it listens", OURS, server.cost())
            _paint(sheet, what, driver, server)
            if scale.full or not sheet.costs.get(f"{what}: rushing"):
                _scroll(sheet, what, driver, seconds=_SECONDS[scale.full])
            sheet.add(f"{what}: the server, when all was seen", OURS, server.cost())
    _targets(sheet, scale, what)


@contextlib.contextmanager
def _served(root: Path, scale: Scale) -> Iterator[_Served]:
    cache = Path(tempfile.mkdtemp(prefix="explorer-", dir=scale.place))
    begun = time.perf_counter()
    process = subprocess.Popen(
        [oid(), "view", str(root), "--no-browser"],
        env=plain_environment() | {"OID_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        url = process.stdout.readline().strip()
        yield _Served(url, time.perf_counter() - begun, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.communicate(timeout=_PATIENCE)
        shutil.rmtree(cache, ignore_errors=True)


@contextlib.contextmanager
def _browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(_CHROMIUM)
    for flag in _FLAGS:
        options.add_argument(flag)
    driver = Chrome(options, ChromeService(str(_DRIVER)))
    try:
        driver.set_script_timeout(_PATIENCE)
        metrics = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield driver
    finally:
        driver.quit()


def _there(driver: Chrome) -> None:
    WebDriverWait(driver, _PATIENCE, 0.02).until(lambda _: driver.execute_script(_ALL_THERE))


def _paint(sheet: Sheet, what: str, driver: Chrome, server: _Served) -> None:
    driver.get(f"{server.url}?show=boxes")
    _there(driver)
    seen: dict[str, Any] = driver.execute_script(_PAINTED)
    asked = _asked(driver)
    # Of `performance`, whose zero is where the browser began to go there.
    counts = {"ms until contents": round(seen["content"])}
    sheet.add(f"{what}: first paint", OURS, Cost(seen["first"] / 1e3, 0.0, counts=counts))
    sheet.add(f"{what}: requests of the first screen", OURS, Cost(0.0, 0.0, counts=asked))


def _asked(driver: Chrome) -> dict[str, int]:
    """Count the requests; a browser writes them down a little after they are answered."""
    with contextlib.suppress(TimeoutException):
        WebDriverWait(driver, 5.0, 0.1).until(
            lambda _: (asked := driver.execute_script(_ASKED))["small"] >= asked["cells"]
        )
    found: dict[str, int] = driver.execute_script(_ASKED)
    return found


def _scroll(sheet: Sheet, what: str, driver: Chrome, *, seconds: int) -> None:
    for name, pace in _PACES.items():
        found = driver.execute_async_script(_SCROLL, pace, seconds)
        frames: list[float] = found["frames"]
        counts = {
            "frames a second": round(1e3 * len(frames) / sum(frames)),
            "frames": len(frames),
            "frames over 25 ms": sum(frame > 25 for frame in frames),
            "longest ms": round(max(frames)),
            "pixels": round(found["place"]),
        }
        cost = Cost(statistics.median(frames) / 1e3, 0.0, counts=counts)
        sheet.add(f"{what}: {name}", OURS, cost, note="seconds are those of the median frame")
        _there(driver)


def _targets(sheet: Sheet, scale: Scale, what: str) -> None:
    asked = sheet.costs[f"{what}: requests of the first screen"][OURS]
    sheet.target(
        f"{what}: requests of the first screen",
        must="3 for what is there, and a small picture for each cell",
        found=", ".join(
            f"{cost.counts['api']} and {cost.counts['small']} for {cost.counts['cells']}"
            for cost in asked
        ),
        met=all(
            cost.counts["api"] == 3 and cost.counts["small"] == cost.counts["cells"] < 60
            for cost in asked
        ),
    )
    if not scale.full:
        return
    paint = sheet.median(f"{what}: first paint", OURS)
    sheet.target(
        f"{what}: first paint",
        must=f"in less than {_FIRST_PAINT:.0f} s",
        found=f"{paint:.2f} s",
        met=paint < _FIRST_PAINT,
    )
    for name in _PACES:
        median = 1e3 * sheet.median(f"{what}: {name}", OURS)
        fps = statistics.median(
            cost.counts["frames a second"] for cost in sheet.costs[f"{what}: {name}"][OURS]
        )
        sheet.target(
            f"{what}: scrolling, {name}",
            must=f"a median frame of {_FRAME_MS} ms, {_FEWEST_FPS:.0f} frames a second",
            found=f"{median:.1f} ms, {fps:.0f} frames a second",
            met=round(median, 1) <= _FRAME_MS and fps >= _FEWEST_FPS,
        )


if __name__ == "__main__":
    alone("explorer", run)
