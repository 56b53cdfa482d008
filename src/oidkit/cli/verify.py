"""`oid verify`: every file of a dataset folder against its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, json_value, lines, number, number_is, say
from oidkit.cli.parsing import (
    Parser,
    add_folder,
    add_index,
    add_json,
    add_quiet,
    settings_of,
)
from oidkit.cli.results import in_a_bucket

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from oidkit.api.verifying import Report

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid verify``."""
    add_folder(parser, buckets=True)
    parser.add_argument(
        "--repair", action="store_true", help="fetch again what is damaged or not there"
    )
    add_json(parser, "the report")
    add_quiet(parser)
    add_index(parser)


def run(options: Namespace) -> int:
    """Check the folder and list what is wrong."""
    from oidkit.api.verifying import verify

    with drawing(quiet=options.quiet) as on_event:
        report = verify(
            options.folder,
            repair=options.repair,
            settings=settings_of(options),
            on_event=on_event,
        )
    if options.json:
        json_value(report.as_dict())
    else:
        lines(_listed(report, "bucket" if in_a_bucket(options.folder) else "folder"))
    if report.cache:
        say("what is damaged in the cache can be built again: add --repair")
    if wrong := len(report.damaged) + len(report.absent):
        remedy = "run the same command again" if options.repair else "add --repair"
        say(f"{number_is(wrong, 'file')} damaged or absent; {remedy}")
    return report.exit_code


def _listed(report: Report, place: str) -> Iterator[str]:
    groups = {
        "damaged": report.damaged,
        "absent": report.absent,
        "missing": report.missing,
        "foreign": report.foreign,
    }
    for word, paths in groups.items():
        for path in paths:
            yield f"{word:<7}  {path}"
    for key in report.cache:
        yield f"damaged  {key} in the cache"
    counts = [
        f"{number(report.checked, 'file')} checked",
        f"{len(report.damaged):,} damaged",
        f"{len(report.absent):,} absent from the {place}",
        f"{len(report.missing):,} missing at the source",
        f"{len(report.foreign):,} foreign",
    ]
    if report.repaired:
        counts.append(f"{report.repaired:,} repaired")
    if report.cache:
        counts.append(f"{len(report.cache):,} damaged in the cache")
    if report.rebuilt:
        counts.append(f"{report.rebuilt:,} in the cache built again")
    yield ", ".join(counts)
