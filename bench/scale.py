"""What a run over a cluster costs: workers measured on loopback, and all images simulated.

    python -m bench.scale measure [--images N] [--place DIR]
    python -m bench.scale simulate [--share F]
    python -m bench.scale page

``measure`` needs Ray and nginx, and writes docs/concepts/scale.json; ``simulate`` reads that, needs
neither, and adds the runs of 9,178,275 images to it. Both write the tables of
docs/concepts/scale.md, as ``page`` does by itself. With ``--dry`` nothing is written.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.scale_simulation import IMAGES, Outcome, Weather, Worker, simulate

from oidkit.quantities import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BOOK", "PAGE", "main", "rendered", "scenarios", "tables"]

PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "scale.md"
BOOK = PAGE.with_suffix(".json")
TOTAL = sum(IMAGES.values())
_FLEETS = (10, 100)
_TROUBLE = Weather(slow=0.05, failing=0.03)
_LIMITS = (5_000.0,)


def main() -> int:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "simulate", "page"))
    parser.add_argument("--images", type=int, default=4_000, help="images of each measure")
    parser.add_argument("--share", type=float, default=1.0, help="share of all images to simulate")
    parser.add_argument("--place", type=Path, default=Path("build/bench"), help="where things go")
    parser.add_argument("--dry", action="store_true", help="write nothing into the documentation")
    parser.add_argument("--again", action="store_true", help="keep the faster of old and new")
    parser.add_argument("--small", action="store_true", help="images of 30 kB, as in CI")
    options = parser.parse_args()
    # So that nginx and Ray are ended with this.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    book: dict[str, Any] = json.loads(BOOK.read_bytes()) if BOOK.exists() else {}
    if options.what == "measure":
        from bench.jpegs import lacking
        from bench.measure import Scale
        from bench.scale_measure import measured

        if text := lacking():
            print(f"the measure of a cluster {text}")
            return 0
        scale = Scale(not options.small, 1, options.place.absolute())
        scale.made.mkdir(parents=True, exist_ok=True)
        fresh = measured(scale, images=options.images)
        book["measured"] = faster(book["measured"], fresh) if options.again else fresh
    elif options.what == "simulate":
        book["simulated"] = list(scenarios(book["measured"], share=options.share))
    if not options.dry:
        BOOK.write_text(json.dumps(book, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), book), encoding="utf-8")
    return 0


def faster(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Take of each measure the one that other work on the machine has held up less."""
    rows, seconds = [], new["seconds"]
    for before, now in zip(old["rows"], new["rows"], strict=True):
        better = before if before["images_a_second"] > now["images_a_second"] else now
        rows.append(better)
        if better is before and before["workers"] == 1:
            seconds[str(before["delay_ms"])] = old["seconds"][str(before["delay_ms"])]
    merges = [
        min(each, key=lambda one: one["seconds"])
        for each in zip(old["merges"], new["merges"], strict=True)
    ]
    standing = min(old["standing"], new["standing"])
    return new | {"rows": rows, "seconds": seconds, "merges": merges, "standing": standing}


def scenarios(measures: dict[str, Any], *, share: float = 1.0) -> Iterator[dict[str, Any]]:
    """Simulate each fleet, in good weather and with stragglers and deaths."""
    worker = Worker(measures["seconds"]["50"], measures["standing"])
    for workers in _FLEETS:
        for limit in _LIMITS:
            for weather in (Weather(), _TROUBLE):
                done = simulate(workers, worker, weather=weather, per_second=limit, share=share)
                row = {"workers": workers, "limit": limit, "weather": asdict(weather)}
                yield row | asdict(done)
                print(_line(row | asdict(done)), flush=True)


def tables(book: dict[str, Any]) -> dict[str, list[str]]:
    """Give the tables of the page, by name."""
    return {"measures": list(_measures(book)), "simulation": list(_simulation(book))}


def rendered(page: str, book: dict[str, Any]) -> str:
    """Put the tables into the page, between their marks."""
    for name, lines in tables(book).items():
        mark = f"<!-- {name}: made by bench/scale.py -->"
        block = "\n".join([mark, "", *lines, "", f"<!-- end of {name} -->"])
        pattern = f"{re.escape(mark)}.*<!-- end of {name} -->"
        page = re.sub(pattern, block.replace("\\", r"\\"), page, flags=re.DOTALL)
    return page


def _measures(book: dict[str, Any]) -> Iterator[str]:
    measures = book["measured"]
    yield "| delay | workers | images/s | CPU ms an image | memory each | requests an image |"
    yield "|---|---|---|---|---|---|"
    for row in measures["rows"]:
        yield (
            f"| {row['delay_ms']} ms | {row['workers']} | {row['images_a_second']:,.0f} |"
            f" {row['cpu_ms']:.2f} | {row['peak_mb']:.0f} MB | {row['requests']:g} |"
        )
    yield ""
    driver = max(row["driver_cpu_ms"] for row in measures["rows"])
    few, many = measures["merges"]
    rows = many["rows"] - few["rows"]
    micros = 1e6 * (many["seconds"] - few["seconds"]) / rows
    size = 1e6 * (many["peak_mb"] - few["peak_mb"]) / rows
    most = max(row["cpu_ms"] for row in measures["rows"])
    text = (
        f"{measures['images']:,} images of 300 kB on {measures['cores']} cores, which the server "
        f"and the driver share. The driver takes up to {driver:.2f} ms of processor an image while "
        f"they come, and at the end {micros:.0f} µs and {size:.0f} bytes for each row of the "
        f"manifest: {duration(micros * TOTAL / 1e6)} and {size * TOTAL / 1e9:.1f} GB of memory "
        "for all images. To look at an image that a dead worker has left takes "
        f"{1000 * measures['standing']:.2f} ms. At 5,000 images a second the workers take "
        f"{5 * most:.0f} such cores, and the driver {5 * driver:.1f} of one."
    )
    yield from textwrap.wrap(text, 105)


def _simulation(book: dict[str, Any]) -> Iterator[str]:
    yield "| workers | requests/s, limit | trouble | takes | busiest second | deaths | driver |"
    yield "|---|---|---|---|---|---|---|"
    for row in book.get("simulated", ()):
        yield _line(row)


def _line(row: dict[str, Any]) -> str:
    outcome = Outcome(**{name: row[name] for name in Outcome.__dataclass_fields__})
    trouble = "5 % slow, 3 % die" if row["weather"]["failing"] else "none"
    driver = 1e6 * outcome.driver / outcome.images
    return (
        f"| {row['workers']} | {row['limit']:,.0f} | {trouble} | {duration(outcome.seconds)} |"
        f" {outcome.busiest:,.0f} | {outcome.deaths} | {driver:.1f} µs an image |"
    )


if __name__ == "__main__":
    sys.exit(main())
