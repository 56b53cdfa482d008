"""One part of the benchmark by itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Scale, Sheet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["alone"]


def alone(part: str, run: Callable[[Sheet, Scale], None]) -> None:
    """Run a part with the flags of ``python -m bench``, and write its sheet."""
    parser = argparse.ArgumentParser(prog=f"bench.{part}")
    parser.add_argument("--full", action="store_true", help="the published sizes")
    parser.add_argument("--rounds", type=int, default=1, help="how often everything is measured")
    parser.add_argument("--place", type=Path, default=Path("build/bench"), help="where things go")
    options = parser.parse_args()
    scale = Scale(options.full, options.rounds, options.place.absolute())
    scale.made.mkdir(parents=True, exist_ok=True)
    sheet = Sheet(part)
    run(sheet, scale)
    sheet.write(scale.place / f"{part}.json")
