"""`oid download`: everything that classes have, into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, json_value, lines
from oidkit.cli.parsing import Parser, add_json, add_quiet, settings_of, whole
from oidkit.cli.results import planned, summed_up, tell_troubles
from oidkit.cli.selecting import add_classes, add_selection, recipe_of, selection_of

if TYPE_CHECKING:
    from argparse import Namespace

    from oidkit.recipe import Recipe
    from oidkit.selection import Selection

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid download``."""
    add_classes(parser)
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="take all that says what is wanted, and the release, from a recipe, such as the "
        "DIR/.oid/recipe.toml of another dataset",
    )
    parser.add_argument(
        "--out", default="open-images", metavar="DIR", help="dataset folder (default: open-images)"
    )
    add_selection(parser)
    parser.add_argument(
        "--workers",
        type=whole,
        metavar="N",
        help="requests in flight at the most (default: adaptive)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be done, the bytes to receive and the disk needed; "
        "fetch nothing but tables",
    )
    add_json(parser, "the summary")
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Download, or with ``--dry-run`` plan it."""
    selection = recipe_of(options) if options.recipe else selection_of(options)
    settings = settings_of(options, workers=options.workers)
    if options.dry_run:
        return _plan(options, selection)
    from oidkit.api.downloading import download

    with drawing(quiet=options.quiet) as on_event:
        summary = download(selection, options.out, settings=settings, on_event=on_event)
    if options.json:
        json_value(summary.as_dict())
    else:
        lines(summed_up(summary))
    tell_troubles(summary)
    return summary.exit_code


def _plan(options: Namespace, selection: Selection | Recipe) -> int:
    from oidkit.api.downloading import plan

    settings = settings_of(options, workers=options.workers)
    with drawing(quiet=options.quiet) as on_event:
        made = plan(selection, options.out, settings=settings, on_event=on_event)
    if options.json:
        json_value(made.as_dict())
    else:
        lines(planned(made, out=options.out))
    return 0
