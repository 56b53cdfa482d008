"""`oid index push`: the tables and mask indexes of the cache, for a team."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, json_value, line, number
from oidkit.cli.parsing import Parser, add_json, add_quiet, settings_of
from oidkit.cli.results import index_in_words

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid index push``."""
    parser.add_argument(
        "url", metavar="URL", help="where to: a folder, file://, s3://, gs:// or az://"
    )
    add_json(parser, "what was sent")
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Send what is not there yet."""
    from oidkit.api.pushing import index_push
    from oidkit.quantities import byte_count

    with drawing(quiet=options.quiet) as on_event:
        found = index_push(options.url, settings=settings_of(options), on_event=on_event)
    if options.json:
        json_value(found.as_dict())
    else:
        line(
            f"{found.url} has {index_in_words(found)}: {number(found.sent, 'object')} sent "
            f"({byte_count(found.sent_bytes)}), {found.present:,} there before"
        )
    return 0
