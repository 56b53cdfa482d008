"""`oid fetch`: the images of a list into one flat folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, json_value, lines
from oidkit.cli.parsing import Parser, add_json, add_quiet, settings_of, whole
from oidkit.cli.results import summed_up, tell_troubles

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid fetch``, those of the official script, with dashes as well."""
    parser.add_argument(
        "ids_file", metavar="IDS_FILE", help="list of images: train/<ImageID>, one a line"
    )
    parser.add_argument(
        "--download_folder",
        "--download-folder",
        default=".",
        metavar="DIR",
        help="where the images go, flat (default: here)",
    )
    parser.add_argument(
        "--num_processes",
        "--num-processes",
        type=whole,
        metavar="N",
        help="requests in flight at the most (default: adaptive)",
    )
    add_json(parser, "the summary")
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Fetch the list."""
    from oidkit.api.fetchlist import fetch

    settings = settings_of(options, workers=options.num_processes)
    with drawing(quiet=options.quiet) as on_event:
        summary = fetch(
            options.ids_file, options.download_folder, settings=settings, on_event=on_event
        )
    if options.json:
        json_value(summary.as_dict())
    else:
        lines(summed_up(summary))
    tell_troubles(summary)
    return summary.exit_code
