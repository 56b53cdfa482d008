"""Masks of one class out of the zips, cold and warm, over a line of 100 Mbit/s and 20 ms.

python -m bench.masks [--full] [--rounds N] [--place DIR]

Cold: the table of masks is there, and no directory of a zip is known. Warm: they are known. The
peers have no such thing as warm. They are measured on one zip of the 16, and what it took is
counted 16 times: all of them would take two hours in five rounds of the full size.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.alone import alone
from bench.link import MEGABITS, Link
from bench.made import oid, peers_python, plain_environment, release
from bench.measure import OURS, Cost, Scale, Sheet, command_cost, in_turns

from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]

_WHOLE = "whole zips, then unzip (every peer's way)"
_LINE = "floor: the masks' bytes over the line"
_FEW, _MANY = 60, 2_000
_MOST_WARM, _MOST_COLD, _TIMES_FASTER = 1.3, 0.07, 10.0
_QUICK = ReleaseSpec(
    releases=("v7",),
    labels=("masks",),
    image_lists=False,
    images=PerSplit(4_000, 0, 0),
    members_per_zip=PerSplit(1_200, 0, 0),
    classes=601,
    image_level_classes=20,
    jpegs=0,
    mask_bytes=1_500,
)
_CSV = "openimages/v5/train-annotations-object-segmentation.csv"


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure zips in the order of their rows, and at the full size sorted ones as well."""
    if scale.full:
        _measure(sheet, scale, release(scale), "")
        spec = replace(
            ReleaseSpec.full(), labels=("masks",), image_lists=False, jpegs=0, sorted_zips=True
        )
        _measure(sheet, scale, _made(scale, "release-sorted", spec), ", sorted zips")
    else:
        _measure(sheet, scale, _made(scale, "release-masks", _QUICK), "")


def _made(scale: Scale, name: str, spec: ReleaseSpec) -> Path:
    root = scale.made / name
    if not (root / "made").exists():
        make_release(root, spec)
        (root / "made").touch()
    return root


@dataclass(slots=True)
class _Job:
    """The masks of one class in one release, and how they are fetched."""

    scale: Scale
    root: Path
    mid: str
    names: list[str]
    server: MirrorServer
    link: Link

    @property
    def place(self) -> Path:
        return self.scale.made / "masks-at-work"

    @property
    def cache(self) -> Path:
        return self.place / "cache"

    @property
    def env(self) -> dict[str, str]:
        return plain_environment() | {"OID_SOURCE": self.link.url, "OID_CACHE": str(self.cache)}

    def measured(self, command: list[str | Path], *, times: int = 1) -> Cost:
        """Run a command over the line; *times* is by how much what it did has to be taken."""
        shutil.rmtree(self.place / "out", ignore_errors=True)
        self.server.reset()
        self.link.shaped = True
        try:
            cost = command_cost(command, env=self.env, cwd=self.place)
        finally:
            self.link.shaped = False
        return replace(
            cost,
            seconds=cost.seconds * times,
            cpu=cost.cpu * times,
            received=self.server.bytes_sent * times,
            counts={"requests": self.server.requests * times},
        )

    def ours(self, *, cold: bool) -> Cost:
        """Fetch them as a user does."""
        if cold:
            for folder in self.cache.glob("*/masks"):
                shutil.rmtree(folder)
        return self.measured(self.command())

    def command(self, *more: str) -> list[str | Path]:
        """Give the command that a user gives."""
        words = ["--split", "train", "--labels", "masks", "--no-images", "--no-metadata", "--quiet"]
        return [oid(), "download", self.mid, *words, "--out", "out", *more]

    @property
    def share(self) -> tuple[list[str], int]:
        """Give the digits of the zips that the peers read, and how often that has to be taken."""
        used = sorted({name[0] for name in self.names})
        return used[:1], len(used)

    def script(self, *lines: str) -> Cost:
        """Run lines of the shell for each zip of the share: $url, $zip and $names are its own."""
        digits, times = self.share
        text = ["set -e", "mkdir -p out"]
        for digit in digits:
            listed = self.place / f"names-{digit}"
            chosen = [name for name in self.names if name[0] == digit]
            listed.write_text("\n".join(chosen) + "\n", encoding="ascii")
            url = f"{self.link.url}/{_key(digit)}"
            text += [f"url={url}; zip=out/{digit}.zip; names={listed}; to=out/{digit}", *lines]
        return self.measured(["sh", "-c", "\n".join(text)], times=times)


def _key(digit: str) -> str:
    return f"openimages/v5/train-masks/train-masks-{digit}.zip"


def _measure(sheet: Sheet, scale: Scale, root: Path, about: str) -> None:
    count = _MANY if scale.full else _FEW
    mid, names = _class_of(root, count)
    with MirrorServer(root) as server, Link(server.port) as link:
        job = _Job(scale, root, mid, names, server, link)
        shutil.rmtree(job.place, ignore_errors=True)
        job.place.mkdir(parents=True)
        command_cost(job.command("--dry-run"), env=job.env, cwd=job.place)
        cold, warm = (f"{count:,} masks, {how}{about}" for how in ("cold", "warm"))
        in_turns(sheet, cold, _peers(sheet, job, cold), rounds=scale.rounds)
        job.ours(cold=False)
        in_turns(sheet, warm, {OURS: partial(job.ours, cold=False)}, rounds=scale.rounds)
        masks = _bytes(job.place / "out", len(names))
        shutil.rmtree(job.place, ignore_errors=True)
    sizes = [(root / _key(digit)).stat().st_size for digit in sorted({name[0] for name in names})]
    for what in (cold, warm):
        sheet.add(what, _LINE, Cost(masks * 8 / MEGABITS / 1e6, 0.0, received=masks))
        zips = Cost(sum(sizes) * 8 / MEGABITS / 1e6, 0.0, received=sum(sizes))
        sheet.add(what, "floor: the zips' bytes over the line", zips)
    _targets(sheet, scale, (cold, warm), (masks, sum(sizes)))


def _peers(sheet: Sheet, job: _Job, what: str) -> dict[str, Callable[[], Cost]]:
    ways: dict[str, Callable[[], Cost]] = {OURS: partial(job.ours, cold=True)}
    if shutil.which("curl") and shutil.which("unzip"):
        member = f'"*_{job.mid.strip("/").replace("/", "")}_*.png"'
        lines = (
            'curl -sf -o "$zip" "$url"',
            f'mkdir -p "$to"; unzip -q -o "$zip" {member} -d "$to"',
            'rm "$zip"',
        )
        ways[_WHOLE] = partial(job.script, *lines)
    else:
        sheet.notes[f"{what} | {_WHOLE}"] = "was not measured: it takes curl and unzip"
    python, script = peers_python(), Path(__file__).with_name("zip_members.py")
    for who, way in {"remotezip": "remotezip", "fsspec's zip": "fsspec"}.items():
        if python is None:
            sheet.notes[f"{what} | {who}"] = "was not measured: make peers"
        else:
            line = f'"{python}" "{script}" {way} "$url" "$names" "$to"'
            ways[who] = partial(job.script, line)
    digits, times = job.share
    for who in [*ways][1:]:
        said = f"measured on {len(digits)} zip of {times}, and taken {times} times"
        sheet.notes[f"{what} | {who}"] = said
    return ways


def _targets(sheet: Sheet, scale: Scale, whats: tuple[str, str], sizes: tuple[int, int]) -> None:
    (cold, warm), (masks, zips) = whats, sizes
    found = sheet.median(warm, OURS, "received") / masks
    sheet.target(
        f"{warm}: bytes",
        must=f"at most {_MOST_WARM} times the masks'",
        found=f"{found:.2f} times",
        met=found <= _MOST_WARM,
    )
    part = sheet.median(cold, OURS, "received") / zips
    sheet.target(
        f"{cold}: bytes",
        must=f"at most {_MOST_COLD:.0%} of the zips'",
        found=f"{part:.2%}",
        met=part <= _MOST_COLD,
    )
    if not scale.full or _WHOLE not in sheet.costs[cold]:
        return
    whole = sheet.median(cold, _WHOLE)
    for what in whats:
        times = whole / sheet.median(what, OURS)
        sheet.target(
            f"{what}: time",
            must=f"{_TIMES_FASTER:.0f} times faster than whole zips",
            found=f"{times:.0f} times",
            met=times >= _TIMES_FASTER,
        )


def _bytes(out: Path, count: int) -> int:
    found = [path.stat().st_size for path in out.glob("masks/train/*.png")]
    if len(found) != count:
        message = f"{len(found)} masks came instead of {count}"
        raise RuntimeError(message)
    return sum(found)


def _class_of(root: Path, count: int) -> tuple[str, list[str]]:
    """Pick the class whose number of masks is nearest to *count*; its MID and their names."""
    kept = root / f"class-of-{count}.json"
    if not kept.exists():
        with (root / _CSV).open(encoding="utf-8", newline="") as file:
            numbers = Counter(row[2] for row in csv.reader(file))
        mid = min(numbers, key=lambda each: (abs(numbers[each] - count), each))
        with (root / _CSV).open(encoding="utf-8", newline="") as file:
            names = [row[0] for row in csv.reader(file) if row[2] == mid]
        kept.write_text(json.dumps([mid, names]), encoding="utf-8")
    mid, names = json.loads(kept.read_bytes())
    return mid, names


if __name__ == "__main__":
    alone("masks", run)
