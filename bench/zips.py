"""Reading the directory of a zip of 168,000 members, beside zipfile and remotezip.

python -m bench.zips [--full] [--rounds N] [--place DIR]

Each way runs in a fresh process, which says how long the reading took and by how much it made the
peak of the process grow: from just before it, with all libraries imported, to just after it, with
what was read still there. Nothing is taken off that. The columns are those of the reading; what the
whole process took at its peak is a count beside them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.alone import alone
from bench.made import peers_python, plain_environment, release
from bench.measure import OURS, Cost, Scale, Sheet, in_turns

from oidkit.testing import MirrorServer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]

_ZIPFILE, _REMOTEZIP = "zipfile", "remotezip"
_FLOOR = "floor: reading the bytes"
_MOST_MEMORY = 0.1
_WAYS = {OURS: "ours", _ZIPFILE: "zipfile", _FLOOR: "bytes"}


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure them all on the first zip of train, from the disk; remotezip over loopback."""
    root = release(scale)
    key = "openimages/v5/train-masks/train-masks-0.zip"
    script = Path(__file__).with_name("zip_directory.py")
    members = _said([sys.executable, script, "zipfile", root / key])["members"]
    what = f"{members:,} members"
    ways: dict[str, Callable[[], Cost]] = {
        who: partial(_cost, [sys.executable, script, way, root / key]) for who, way in _WAYS.items()
    }
    python = peers_python()
    with MirrorServer(root) as server:
        if python is None:
            sheet.notes[f"{what} | {_REMOTEZIP}"] = "was not measured: make peers"
        else:
            url = f"{server.url}/{key}"
            ways[_REMOTEZIP] = partial(_cost, [python, script, "remotezip", url])
        in_turns(sheet, what, ways, rounds=scale.rounds)
    _targets(sheet, scale, what, members)


def _targets(sheet: Sheet, scale: Scale, what: str, members: int) -> None:
    found = sheet.median(what, OURS, "peak_mb") / sheet.median(what, _ZIPFILE, "peak_mb")
    read = {cost.counts["members"] for who in (OURS, _ZIPFILE) for cost in sheet.costs[what][who]}
    sheet.target(
        f"{what}: what is read",
        must="the members that zipfile finds",
        found=", ".join(f"{each:,}" for each in sorted(read)),
        met=read == {members},
    )
    if not scale.full:
        return
    sheet.target(
        f"{what}: memory",
        must=f"at most {_MOST_MEMORY:.0%} of zipfile's",
        found=f"{found:.1%}",
        met=found <= _MOST_MEMORY,
    )
    ratio = sheet.ratio(what, _ZIPFILE, OURS)
    sheet.target(
        f"{what}: time",
        must="at least as fast as zipfile",
        found=f"{ratio:.1f} times as fast",
        met=ratio >= 1,
    )


def _said(command: list[str | Path]) -> dict[str, int]:
    ended = subprocess.run(command, check=True, capture_output=True, env=plain_environment())
    found: dict[str, int] = json.loads(ended.stdout)
    return found


def _cost(command: list[str | Path]) -> Cost:
    said = _said(command)
    counts = {"members": said["members"], "process MB": said["peak"] // 1_000_000}
    return Cost(said["us"] / 1e6, said["cpu_us"] / 1e6, said["grown"] / 1e6, counts=counts)


if __name__ == "__main__":
    alone("zips", run)
