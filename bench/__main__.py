"""Everything that is measured, ours beside the peers', and the page of it.

    python -m bench [--full] [--rounds N] [--place DIR] [PART ...]

Without --full it takes small sizes, asserts what does not depend on the machine (requests, bytes,
rows), prints times and writes no page: `make bench-quick`. With it, the published sizes: `make
bench`, which writes docs/reference/benchmarks.md and the JSON beside it. PARTs are modules of this
folder; without any, all are run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from bench.measure import Scale, Sheet
from bench.page import BOOK, PAGE, book_of, merged, rendered

_PARTS = ("commands", "tables", "images", "masks", "zips", "masks_to_rle", "memory", "explorer")
_FULL_ROUNDS, _QUICK_ROUNDS = 5, 1


def main() -> int:
    """Run the parts that are asked for; 1 where a count of the quick size is not as it must be."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the published sizes, and the page")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--place", type=Path, default=Path("build/bench"), help="where things go")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(_PARTS))
    options = parser.parse_args()
    unknown = set(options.parts) - set(_PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    rounds = options.rounds or (_FULL_ROUNDS if options.full else _QUICK_ROUNDS)
    scale = Scale(options.full, rounds, options.place.absolute())
    scale.made.mkdir(parents=True, exist_ok=True)
    sheets = []
    for part in options.parts or _PARTS:
        sheet = Sheet(part)
        importlib.import_module(f"bench.{part}").run(sheet, scale)
        sheet.write(scale.place / f"{part}.json")
        sheets.append(sheet)
        if scale.full:
            _write(sheets, scale)
    return 0 if scale.full or all(each.met for sheet in sheets for each in sheet.targets) else 1


def _write(sheets: list[Sheet], scale: Scale) -> None:
    """Write the page after each part: a run that ends early has not measured for nothing."""
    before = json.loads(BOOK.read_bytes()) if BOOK.exists() else {}
    book = merged(before, book_of(sheets, full=True, rounds=scale.rounds))
    BOOK.write_text(json.dumps(book, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(rendered(book), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
