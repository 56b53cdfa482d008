"""`oid index build`: tables and mask indexes ahead of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.index_info import listed
from oidkit.cli.output import drawing, json_value, lines
from oidkit.cli.parsing import (
    Parser,
    add_json,
    add_labels,
    add_quiet,
    add_splits,
    labels_of,
    settings_of,
    splits_of,
)

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid index build``."""
    add_splits(parser)
    add_labels(parser)
    parser.add_argument(
        "--no-metadata", action="store_true", help="leave out the image lists (638 MB for train)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare what is there with its checksums, and build again what is damaged",
    )
    add_json(parser, "the entries")
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Build what is not there, and list it."""
    labels = labels_of(options)
    from oidkit.api.index import index_build

    with drawing(quiet=options.quiet) as on_event:
        entries = index_build(
            splits=splits_of(options),
            labels=labels,
            metadata=not options.no_metadata,
            check=options.check,
            settings=settings_of(options),
            on_event=on_event,
        )
    if options.json:
        json_value([entry.as_dict() for entry in entries])
    else:
        lines(listed(entries))
    return 0
