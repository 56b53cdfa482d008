"""`oid stats`: a dataset folder in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import can_encode, json_value, lines
from oidkit.cli.parsing import Parser, add_folder, add_json, whole

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid stats``."""
    add_folder(parser, buckets=True)
    parser.add_argument(
        "--top",
        type=whole,
        default=10,
        metavar="N",
        help="how many classes, pairs of classes and image sizes to list, 0 for all (default: 10); "
        "--json has every class",
    )
    add_json(parser, "the numbers")


def run(options: Namespace) -> int:
    """Count what the folder holds, and print it."""
    from oidkit.api.counting import stats

    found = stats(options.folder, top=options.top)
    if options.json:
        json_value(found.as_dict())
        return 0
    from oidkit.cli.figures import BAR, PLAIN_BAR, drawn

    lines(drawn(found, top=options.top, bar=BAR if can_encode(BAR) else PLAIN_BAR))
    return 0
