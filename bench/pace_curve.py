"""Fetches a list of images, and writes down how the limit of requests in flight went meanwhile.

python bench/pace_curve.py URL IDS_FILE FOLDER CACHE RESULT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import oidkit
from oidkit.events import Fetched, PaceChanged

if TYPE_CHECKING:
    from oidkit.events import Event


def main(url: str, ids_file: str, folder: str, cache: str, result: str) -> None:
    """Fetch; *result* becomes a JSON list of [images fetched, seconds, limit]."""
    curve: list[tuple[int, float, int]] = []
    fetched = 0

    def on_event(event: Event) -> None:
        nonlocal fetched
        if isinstance(event, Fetched):
            fetched += 1
        elif isinstance(event, PaceChanged):
            curve.append((fetched, round(event.seconds, 3), event.limit))

    settings = oidkit.Settings(source=url, cache=Path(cache))
    summary = oidkit.fetch(ids_file, folder, settings=settings, on_event=on_event)
    Path(result).write_text(json.dumps(curve), encoding="utf-8")
    sys.exit(summary.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
