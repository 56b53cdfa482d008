"""Memory: of a download as it grows, and of a plan for every image that there is.

python -m bench.memory [--full] [--rounds N] [--place DIR]
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from bench.alone import alone
from bench.made import oid, plain_environment, release
from bench.measure import OURS, Cost, Scale, Sheet, command_cost
from bench.served import served

from oidkit import catalog
from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["run"]

_FETCHED = {True: (1_000, 100_000), False: (100, 1_000)}
# As many as Open Images has, and for the small size a share of them.
_PLANNED = {
    True: {"train": 9_011_219, "validation": 41_620, "test": 125_436},
    False: {"train": 90_000, "validation": 416, "test": 1_254},
}
_MOST_TIMES, _MOST_BYTES_EACH = 1.1, 1_200
_MOST_OTHERS = 10  # the lists of classes and the table
_MOST_MB, _MOST_SECONDS = 1_500.0, 60.0
# A file system bears some tens of thousands of links to one file.
_LINKS = 10_000
_SMALLEST = replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes",),
    images=PerSplit(40, 5, 5),
    jpegs=1,
    long_side=64,
)


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure both."""
    _fetch(sheet, scale)
    _plan(sheet, scale)


# -- a download as it grows ---------------------------------------------------------------------


def _fetch(sheet: Sheet, scale: Scale) -> None:
    """Fetch few images and many of them, so small that the number alone counts."""
    few, many = _FETCHED[scale.full]
    peaks = {}
    root, ids = _tiny_images(scale, many)
    out, listed = scale.place / "memory-out", scale.place / "memory-ids.txt"
    with served(root, scale.place / "memory-server") as url:
        for count in (few, many):
            listed.write_text("".join(f"train/{each}\n" for each in ids[:count]), encoding="ascii")
            what = f"{count:,} images fetched"
            words = ["download", "--image-ids", listed, "--split", "train", "--out", out]
            words += ["--labels", "boxes", "--no-metadata", "--quiet", "--json"]
            env = {"OID_SOURCE": url, "OID_CACHE": str(scale.place / "memory-cache")}
            for _ in range(min(scale.rounds, 3)):
                shutil.rmtree(out, ignore_errors=True)
                sheet.add(what, OURS, _cost([oid(), *words], env, scale, counts=_fetched))
            peaks[count] = sheet.median(what, OURS, "peak_mb")
            found = sheet.costs[what][OURS][-1].counts
            sheet.target(
                what,
                must=f"{count:,} in as many requests, and {_MOST_OTHERS} others at the most",
                found=f"{found['fetched']:,} in {found['requests']:,} requests",
                met=found["fetched"] == count and found["requests"] <= count + _MOST_OTHERS,
            )
    shutil.rmtree(out, ignore_errors=True)
    if scale.full:
        _judge_growth(sheet, peaks, few, many)


def _judge_growth(sheet: Sheet, peaks: Mapping[int, float], few: int, many: int) -> None:
    most = peaks[few] * _MOST_TIMES + (many - few) * _MOST_BYTES_EACH / 1e6
    each = (peaks[many] - peaks[few]) * 1e6 / (many - few)
    sheet.target(
        f"memory of {many:,} images fetched",
        must=f"at most {_MOST_TIMES} times that of {few:,}, and {_MOST_BYTES_EACH:,} bytes for "
        "each row of the manifest",
        found=f"{peaks[many]:.0f} MB, of {few:,} {peaks[few]:.0f} MB: {each:.0f} bytes each",
        met=peaks[many] <= most,
        limit="the manifest is columns in memory, and is sorted when a run ends",
    )


def _fetched(said: Mapping[str, Any]) -> Mapping[str, int]:
    return {"fetched": said["images"]["fetched"], "requests": said["requests"]}


def _tiny_images(scale: Scale, count: int) -> tuple[Path, list[str]]:
    """Make a mirror with so many train images, all of them the same JPEG of some hundred bytes."""
    root = scale.made / "tiny-images"
    ids = [f"{(number * 0x9E3779B97F4A7C15) % (1 << 64):016x}" for number in range(1, count + 1)]
    done = root / f"made-{count}"
    if not done.exists():
        shutil.rmtree(root, ignore_errors=True)
        make_release(root, _SMALLEST)
        folder = root / "open-images-dataset" / "train"
        jpeg = next(folder.glob("*.jpg")).read_bytes()
        first = ""
        for number, each in enumerate(ids):
            path = folder / f"{each}.jpg"
            if number % _LINKS:
                os.link(folder / first, path)
            else:
                path.write_bytes(jpeg)
                first = path.name
        done.touch()
    return root, ids


# -- a plan for every image ---------------------------------------------------------------------


def _plan(sheet: Sheet, scale: Scale) -> None:
    """Plan for a list of all images, of which those of the release have boxes and masks."""
    root = release(scale)
    counts = _PLANNED[scale.full]
    listed = _every_image(scale, root, counts)
    env = {"OID_SOURCE": str(root), "OID_CACHE": str(scale.made / "cache")}
    words = ["download", "--image-ids", listed, "--dry-run", "--quiet", "--json"]
    command = [oid(), *words, "--out", scale.place / "memory-none"]
    _cost([oid(), "index", "build", "--quiet"], env, scale)
    _cost(command, env, scale)  # some tables are built by the first
    total = sum(counts.values())
    what = f"a plan for {total:,} images"
    for _ in range(scale.rounds):
        sheet.add(what, OURS, _cost(command, env, scale, counts=_planned))
    found = sheet.costs[what][OURS][-1].counts["images"]
    sheet.target(what, must=f"{total:,} images", found=f"{found:,}", met=found == total)
    seconds, peak = sheet.median(what, OURS), sheet.median(what, OURS, "peak_mb")
    if scale.full:
        sheet.target(
            f"time and memory of {what}",
            must=f"under {_MOST_SECONDS:.0f} s and {_MOST_MB / 1000} GB as a whole process",
            found=f"{seconds:.1f} s, {peak:,.0f} MB",
            met=seconds < _MOST_SECONDS and peak < _MOST_MB,
        )


def _planned(said: Mapping[str, Any]) -> Mapping[str, int]:
    numbers = {"images": said["images"]["to_fetch"], "masks": said["masks"]["to_fetch"]}
    return {**numbers, "boxes": said["annotations"]["boxes"]}


def _every_image(scale: Scale, root: Path, counts: Mapping[str, int]) -> Path:
    """Write a list of so many images: those of the release, and others."""
    path = scale.made / "every-image.txt"
    if not path.exists():
        with path.open("w", encoding="ascii") as file:
            for split, count in counts.items():
                for numbers in _ids(root, split, count):
                    file.writelines(f"{split}/{each:016x}\n" for each in numbers.tolist())
    return path


def _ids(root: Path, split: str, count: int) -> Iterator[NDArray[np.uint64]]:
    named = next(each for each in catalog.SPLITS if each == split)
    listed = root / catalog.image_list("v7", named).key
    column = pl.scan_csv(listed, infer_schema=False).select("ImageID").collect()["ImageID"]
    known = column.str.to_integer(base=16, dtype=pl.UInt64).to_numpy()[:count]
    drawn = np.random.default_rng(len(split))
    more = drawn.integers(0, 1 << 64, size=2 * count, dtype=np.uint64)
    more = np.setdiff1d(more, known)
    yield known
    yield drawn.permutation(more)[: count - len(known)]


def _cost(
    command: list[Any],
    env: Mapping[str, str],
    scale: Scale,
    *,
    counts: Any = None,
) -> Cost:
    return command_cost(
        command, env=plain_environment() | dict(env), cwd=scale.place, counts=counts
    )


if __name__ == "__main__":
    alone("memory", run)
