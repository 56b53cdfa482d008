"""`oid split`: the rows of a class out of an annotation CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import json_value, lines, number, say
from oidkit.cli.parsing import Parser, add_json, settings_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from oidkit.api.splitting import SplitResult

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid split``."""
    parser.add_argument(
        "--label",
        action="append",
        required=True,
        metavar="MID",
        help="a MID such as /m/0gxl3, or a class name; may be repeated",
    )
    parser.add_argument(
        "--subset",
        required=True,
        metavar="SPLIT",
        help="the split that the CSV is of: train, validation or test",
    )
    parser.add_argument(
        "--input", required=True, metavar="CSV", help="any CSV with ImageID and LabelName"
    )
    parser.add_argument(
        "--output-dir", default=".", metavar="DIR", help="where the two files go (default: here)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there with other content"
    )
    add_json(parser, "what was found of each label")


def run(options: Namespace) -> int:
    """Cut the CSV and say what was found."""
    from oidkit.api.splitting import split

    results = split(
        options.label,
        options.input,
        subset=options.subset,
        out=options.output_dir,
        force=options.force,
        settings=settings_of(options),
    )
    if options.json:
        json_value([found.as_dict() for found in results])
    for found in results:
        if not options.json:
            lines(_listed(found))
        if not found.rows:
            say(f"no row of {options.input} has the label {found.mid}")
    return 0


def _listed(found: SplitResult) -> Iterator[str]:
    yield f"{found.mid}: {number(found.rows, 'row')} of {number(found.images, 'image')}"
    yield f"  {found.ids_file}"
    yield f"  {found.annotations_file}"
