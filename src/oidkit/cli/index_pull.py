"""`oid index pull`: a team's tables and mask indexes, into the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, json_value, line
from oidkit.cli.parsing import Parser, add_json, add_quiet, settings_of
from oidkit.cli.results import index_in_words

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid index pull``."""
    parser.add_argument(
        "url",
        metavar="URL",
        help="where from: a folder, file://, http(s)://, s3://, gs:// or az://",
    )
    add_json(parser, "what came")
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Take what is not in the cache."""
    from oidkit.api.pulling import index_pull
    from oidkit.quantities import byte_count

    with drawing(quiet=options.quiet) as on_event:
        found = index_pull(options.url, settings=settings_of(options), on_event=on_event)
    if options.json:
        json_value(found.as_dict())
    else:
        line(
            f"{index_in_words(found)} came from {found.url} ({byte_count(found.received_bytes)}), "
            f"{found.present:,} there before"
        )
    return 0
