"""Commands as whole processes: the help, the class list, and the plan of a download.

python -m bench.commands [--full] [--rounds N] [--place DIR]
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.alone import alone
from bench.made import boxes_csv, oid, peers_python, plain_environment, release
from bench.measure import OURS, Cost, Scale, Sheet, command_cost, in_turns

from oidkit import catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Counts = Callable[[Mapping[str, Any]], Mapping[str, int]]

__all__ = ["run"]

_CLASS = "Handgun"
_MID = "/m/0gxl3"
_BARE = "floor: a bare interpreter"
_POLARS = "floor: an interpreter that imports polars"
_HELP, _CLASSES, _PLAN = "oid --help", "oid classes handgun", "oid download --dry-run"
# The 150 and 300 ms, where a bare interpreter takes 25.
_MOST_TIMES = {_HELP: 6.0, _CLASSES: 12.0}
_MOST_SECONDS, _MOST_MB = 1.0, 300.0


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure them all."""
    root = release(scale)
    env = plain_environment() | {
        "OID_SOURCE": str(root),
        "OID_CACHE": str(scale.made / "cache"),
    }

    def cost(command: Sequence[str | Path], *, counts: Counts | None = None) -> Cost:
        return command_cost(command, env=env, cwd=scale.place, counts=counts)

    bare = partial(cost, [sys.executable, "-c", "pass"])
    for what, words in {_HELP: ["--help"], _CLASSES: ["classes", "handgun"]}.items():
        cost([oid(), *words])  # the second time is that of every later one
        ours = partial(cost, [oid(), *words])
        in_turns(sheet, what, {OURS: ours, _BARE: bare}, rounds=max(9, scale.rounds))
        if scale.full:
            _judge_start(sheet, what)
    _plan(sheet, scale, root, cost)


def _judge_start(sheet: Sheet, what: str) -> None:
    times, most = sheet.ratio(what, OURS, _BARE), _MOST_TIMES[what]
    sheet.target(
        what,
        must=f"at most {most:.0f} times a bare interpreter",
        found=f"{times:.1f} times ({sheet.median(what, OURS) * 1000:.0f} ms)",
        met=times <= most,
    )


def _plan(sheet: Sheet, scale: Scale, root: Path, cost: Callable[..., Cost]) -> None:
    """Measure the plan of a download where the tables are there."""
    csv = boxes_csv(root)
    plan = [oid(), "download", _CLASS, "--dry-run", "--quiet", "--json", "--out", "none"]
    cost([oid(), "index", "build", "--quiet"])
    cost(plan)
    ways: dict[str, Callable[[], Cost]] = {OURS: partial(cost, plan, counts=_planned)}
    python = peers_python()
    for who, name in {"OIDv4's way (pandas)": "oidv4", "FiftyOne's way": "fiftyone"}.items():
        if python is None:
            sheet.notes[f"{_PLAN} | {who}"] = "was not measured: make peers"
            continue
        script = Path(__file__).with_name("filters.py")
        ways[who] = partial(cost, [python, script, name, csv, _MID])
    ways[_POLARS] = partial(cost, [sys.executable, "-c", "import polars"])
    in_turns(sheet, _PLAN, ways, rounds=scale.rounds)
    if not scale.full:
        rows, found = _rows(root), sheet.costs[_PLAN][OURS][-1].counts["boxes"]
        sheet.target(_PLAN, must=f"{rows:,} boxes", found=f"{found:,}", met=found == rows)
        return
    seconds, peak = sheet.median(_PLAN, OURS), sheet.median(_PLAN, OURS, "peak_mb")
    sheet.target(
        _PLAN,
        must=f"under {_MOST_SECONDS:.0f} s and {_MOST_MB:.0f} MB as a whole process",
        found=f"{seconds:.2f} s, {peak:.0f} MB",
        met=seconds < _MOST_SECONDS and peak < _MOST_MB,
        limit=f"importing polars alone takes {sheet.median(_PLAN, _POLARS):.2f} s",
    )


def _planned(said: Mapping[str, Any]) -> Mapping[str, int]:
    return {"images": said["images"]["asked"], "boxes": said["annotations"]["boxes"]}


def _rows(root: Path) -> int:
    """Count the boxes of the class in every split, by what the lines hold."""
    kinds = (catalog.tables("v7", "boxes", split) for split in catalog.SPLITS)
    files = (root / file.key for found in kinds for file in found)
    lines = (line for path in files for line in path.read_text(encoding="utf-8").splitlines())
    return sum(f",{_MID}," in line for line in lines)


if __name__ == "__main__":
    alone("commands", run)
