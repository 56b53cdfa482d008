"""`oid report`: a dataset folder as one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, json_value, lines
from oidkit.cli.parsing import Parser, add_folder, add_json, add_quiet

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid report``."""
    add_folder(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="HTML page to write (default: report.html in the folder)"
    )
    add_json(parser, "where the page is and its bytes")
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Write the page and say where it is."""
    from oidkit.api.reporting import report
    from oidkit.quantities import byte_count

    with drawing(quiet=options.quiet) as on_event:
        path = report(options.folder, options.out, on_event=on_event)
    size = path.stat().st_size
    if options.json:
        json_value({"out": str(path), "bytes": size})
    else:
        lines([f"report  {path} ({byte_count(size)})"])
    return 0
