"""A class out of the CSV of the boxes: the first answer, and every later one.

python -m bench.tables [--full] [--rounds N] [--place DIR]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.alone import alone
from bench.made import boxes_csv, peers_python, plain_environment, release
from bench.measure import OURS, Cost, Scale, Sheet, call_cost, command_cost, in_turns

from oidkit.schema import BOXES
from oidkit.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run"]

_MID = "/m/0gxl3"
_FIRST, _LATER = "the first answer: CSV to table", "a later answer"
_POLARS = "polars, one filter pass"
_FLOOR = "floor: ripgrep finds the lines"
_WAYS = {
    _POLARS: "polars",
    "duckdb, one filter pass": "duckdb",
    "pandas, the whole": "pandas",
    "csv module, row by row": "csv",
}
_MOST_TIMES, _MOST_MB, _MOST_SHARE = 2.5, 1_200.0, 0.15
_MOST_MS, _TIMES_PANDAS, _MOST_READ = 30.0, 300.0, 0.03


def run(sheet: Sheet, scale: Scale) -> None:
    """Measure them all, on one file."""
    csv = boxes_csv(release(scale))
    place = scale.place / "tables"
    shutil.rmtree(place, ignore_errors=True)
    ours = partial(_build, csv, place)
    peers = _peers(sheet, csv)
    in_turns(sheet, _FIRST, {OURS: ours, **peers}, rounds=scale.rounds)
    table = Table.load(next((place / "tables").iterdir()))
    _first_targets(sheet, scale, csv, table)
    _later(sheet, scale, csv, table)
    shutil.rmtree(place)


def _build(csv: Path, place: Path) -> Cost:
    """Make the table anew, in a process of its own as the command does."""
    shutil.rmtree(place, ignore_errors=True)
    env = plain_environment()
    return command_cost([sys.executable, "-m", "bench.tables", "build", csv, place], env=env)


def build(csv: Path, place: Path) -> None:
    """Feed a file to the builder of tables, as a transfer does."""
    from oidkit.store import Checksums
    from oidkit.tables import TableBuilder

    builder = TableBuilder(place / "tables", place / "work", BOXES, name=csv.name)
    builder.begin('"bench"', Checksums(size=csv.stat().st_size))
    with csv.open("rb") as file:
        while data := file.read(1 << 20):
            builder.feed(data)
    builder.finish()


def _peers(sheet: Sheet, csv: Path) -> dict[str, Callable[[], Cost]]:
    """Give each way of others that is on this machine."""
    found: dict[str, Callable[[], Cost]] = {}
    python, env = peers_python(), plain_environment()
    script = Path(__file__).with_name("answers.py")
    for who, name in _WAYS.items():
        interpreter = Path(sys.executable) if name in ("polars", "csv") else python
        if interpreter is None:
            sheet.notes[f"{_FIRST} | {who}"] = "was not measured: make peers"
            continue
        found[who] = partial(command_cost, [interpreter, script, name, csv, _MID], env=env)
    if shutil.which("rg"):
        found[_FLOOR] = partial(command_cost, ["rg", "-F", "-c", f",{_MID},", str(csv)], env=env)
    else:
        sheet.notes[f"{_FIRST} | {_FLOOR}"] = "was not measured: apt-get install ripgrep"
    return found


def _first_targets(sheet: Sheet, scale: Scale, csv: Path, table: Table) -> None:
    share = _size(table) / csv.stat().st_size
    # what a small file has of tables is mostly their heads
    most = _MOST_SHARE if scale.full else 2 * _MOST_SHARE
    sheet.target(
        "size of the table",
        must=f"at most {most:.0%} of the CSV",
        found=f"{share:.1%}",
        met=share <= most,
    )
    if not scale.full:
        return
    times = sheet.ratio(_FIRST, OURS, _POLARS)
    cpu = sheet.ratio(_FIRST, OURS, _POLARS, "cpu")
    sheet.target(
        _FIRST,
        must=f"at most {_MOST_TIMES} times one pass of polars",
        found=f"{times:.1f} times (CPU {cpu:.1f} times)",
        met=times <= _MOST_TIMES,
        limit=f"reading the fields takes about half of it, writing Parquet a third; a pass that "
        f"only looks for lines takes {sheet.median(_FIRST, _FLOOR):.1f} s"
        if _FLOOR in sheet.costs[_FIRST]
        else "",
    )
    peak = sheet.median(_FIRST, OURS, "peak_mb")
    sheet.target(
        "memory of the build",
        must=f"at most {_MOST_MB:,.0f} MB",
        found=f"{peak:,.0f} MB",
        met=peak <= _MOST_MB,
    )


def _size(table: Table) -> int:
    return sum(path.stat().st_size for path in table.folder.iterdir())


def _later(sheet: Sheet, scale: Scale, csv: Path, table: Table) -> None:
    """Ask for the images of a class, in this process."""
    rows, _ = table.count(_MID)
    wanted = subprocess.run(
        [sys.executable, Path(__file__).with_name("answers.py"), "csv", csv, _MID],
        capture_output=True,
        text=True,
        check=True,
    )
    sheet.target(
        "rows of a class",
        must=wanted.stdout.strip(),
        found=str(rows),
        met=rows == int(wanted.stdout),
    )
    for _ in range(max(7, scale.rounds)):
        fresh = Table.load(table.folder)
        cost = call_cost(lambda: fresh.images_of(_MID))  # noqa: B023 - called at once
        sheet.add(_LATER, OURS, cost, note="the images of a class, with the check of what is read")
        cost = call_cost(lambda: fresh.rows_of([_MID]))  # noqa: B023
        sheet.add(_LATER, "oidkit, every column as published", cost)
    parts = {run[0] for run in table.labels[_MID]}
    read = sum((table.folder / f"part-{part:04d}.parquet").stat().st_size for part in parts)
    share = read / _size(table)
    if not scale.full:
        return
    sheet.target(
        "bytes read for a class",
        must=f"at most {_MOST_READ:.0%} of the table",
        found=f"{share:.1%} ({read:,} bytes)",
        met=share <= _MOST_READ,
    )
    ms = sheet.median(_LATER, OURS) * 1000
    sheet.target(_LATER, must=f"{_MOST_MS:.0f} ms", found=f"{ms:.1f} ms", met=ms <= _MOST_MS)
    pandas = "pandas, the whole"
    if pandas in sheet.costs[_FIRST]:
        times = sheet.median(_FIRST, pandas) / max(1e-9, sheet.median(_LATER, OURS))
        sheet.target(
            "a later answer beside pandas",
            must=f"{_TIMES_PANDAS:.0f} times faster",
            found=f"{times:,.0f} times",
            met=times >= _TIMES_PANDAS,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        build(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        alone("tables", run)
