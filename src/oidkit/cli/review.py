"""`oid review`: the verdicts of people on a dataset folder, and those of others merged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import json_value, line, number
from oidkit.cli.parsing import Parser, add_folder, add_json

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid review``."""
    add_folder(parser)
    parser.add_argument(
        "--merge",
        action="append",
        default=[],
        metavar="FILE",
        help="take in another review.csv; of two verdicts on one thing the later stays; may be "
        "repeated",
    )
    add_json(parser, "the counts")


def run(options: Namespace) -> int:
    """Merge what is to be merged, and count the verdicts."""
    from oidkit.api.reviewing import review

    found = review(options.folder, merge=options.merge)
    if options.json:
        json_value(found.as_dict())
        return 0
    for merged in found.merged:
        line(
            f"{merged.file}: {number(merged.added, 'verdict')} new, {merged.replaced:,} in the "
            f"place of an earlier one, {merged.kept:,} older than ours and left out"
        )
    line(
        f"{found.path}: {number(found.images, 'image')}, {number(found.annotations, 'annotation')} "
        f"with a verdict: {found.bad:,} bad, {found.good:,} good"
    )
    return 0
