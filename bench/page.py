"""The page of the benchmarks, docs/reference/benchmarks.md, out of the JSON beside it."""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from bench.measure import OURS, Cost, Sheet, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BOOK", "PAGE", "book_of", "merged", "rendered", "sheets_of"]

_DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference"
BOOK, PAGE = _DOCS / "benchmarks.json", _DOCS / "benchmarks.md"
_FLOOR = "floor"
_TITLES = {
    "commands": "Commands as whole processes",
    "tables": "Tables: a class out of the CSV",
    "images": "Images",
    "masks": "Masks of one class out of the zips",
    "zips": "The directory of a zip",
    "masks_to_rle": "Masks to COCO run lengths and polygons",
    "memory": "Memory",
    "explorer": "The web explorer",
}
_HEAD = """# Benchmarks

Made by `make bench`, which measures oidkit and what people would use instead in one run on one
machine, in turns. Only the ratios carry over to another machine. What is measured, and at which
size, stands in `bench/`; the figures of every round are in [benchmarks.json](benchmarks.json).

A figure is the median of the rounds. Memory is the peak of the process and all that it started.
"""


def book_of(sheets: Sequence[Sheet], *, full: bool, rounds: int) -> dict[str, Any]:
    """Put what was measured into one book, with what has to be known of the machine."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9),
            "python": platform.python_version(),
            "system": platform.system(),
        },
        "size": "full" if full else "quick",
        "rounds": rounds,
        "sheets": {sheet.part: asdict(sheet) for sheet in sheets},
    }


def merged(before: dict[str, Any], book: dict[str, Any]) -> dict[str, Any]:
    """Keep the sheets of an earlier run of the same size that this one has not made."""
    if before.get("size") != book["size"]:
        return book
    return book | {"sheets": before["sheets"] | book["sheets"]}


def sheets_of(book: dict[str, Any]) -> list[Sheet]:
    """Give the sheets of a book, in the order of the page."""
    found = book.get("sheets", {})
    return [Sheet.read(json.dumps(found[part])) for part in [*_TITLES] if part in found]


def rendered(book: dict[str, Any]) -> str:
    """Give the text of the page."""
    if not book:
        return _HEAD + "\nNothing was measured yet.\n"
    machine = book["machine"]
    about = (
        f"Machine: {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}. Size: {book['size']}."
    )
    parts = [_HEAD, about + "\n", "## What had to be reached\n", *_targets(sheets_of(book))]
    for sheet in sheets_of(book):
        parts.append(f"\n## {_TITLES[sheet.part]}\n")
        for what, ways in sheet.costs.items():
            parts += [f"### {what}\n", *_ways(what, ways, sheet), ""]
    return "\n".join(parts).rstrip("\n") + "\n"


def _targets(sheets: Sequence[Sheet]) -> list[str]:
    lines = ["| what | must reach | found | met |", "|---|---|---|---|"]
    limits: list[str] = []
    for sheet in sheets:
        for each in sheet.targets:
            lines.append(f"| {each.what} | {each.must} | {each.found} | {_met(each)} |")
            if each.limit:
                limits.append(f"- {each.what}: {each.limit}")
    return lines + (["", "What stands in the way:", "", *limits] if limits else [])


def _met(target: Target) -> str:
    return "yes" if target.met else "**no**"


def _ways(what: str, ways: dict[str, list[Cost]], sheet: Sheet) -> list[str]:
    """Give a table of all that was measured of one thing, with the ratio to ours."""
    numbers = sorted({name for costs in ways.values() for cost in costs for name in cost.counts})
    head = ["", "s", "times ours", "CPU s", "peak MB", "MB received", *numbers]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for who, costs in sorted(ways.items(), key=lambda item: item[0].startswith(_FLOOR)):
        times = f"{sheet.ratio(what, who, OURS):.2f}" if OURS in ways else ""
        received = statistics.median(cost.received for cost in costs) / 1e6
        peak = statistics.median(cost.peak_mb for cost in costs)
        cells = [
            who,
            _short(sheet.median(what, who)),
            times,
            _short(sheet.median(what, who, "cpu")),
            f"{peak:,.0f}" if peak else "",
            _short(received) if received else "",
            *(_count(costs, name) for name in numbers),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    notes = [
        f"{key.partition(' | ')[2]}: {text}."
        for key, text in sheet.notes.items()
        if key.partition(" | ")[0] == what
    ]
    return [*lines, *(["", " ".join(notes)] if notes else [])]


def _count(costs: Sequence[Cost], name: str) -> str:
    found = [cost.counts[name] for cost in costs if name in cost.counts]
    return f"{statistics.median(found):,.0f}" if found else ""


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
