"""`oid demo`: the main job on a release made here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, lines, say
from oidkit.cli.parsing import Parser, add_quiet
from oidkit.cli.results import summed_up, tell_troubles

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid demo``."""
    parser.add_argument(
        "--out",
        default="open-images-demo",
        metavar="DIR",
        help="dataset folder (default: open-images-demo)",
    )
    add_quiet(parser)


def run(options: Namespace) -> int:
    """Run the demo and say what to look at."""
    import shlex

    from oidkit.demonstration import CLASS, demo, worth_a_look

    for flag in ("source", "cache", "release"):
        if getattr(options, flag) is not None:
            say(f"--{flag} changes nothing here: the demo brings its own")
    out = shlex.quote(options.out)
    with drawing(quiet=options.quiet) as on_event:
        summary = demo(options.out, on_event=on_event)
    lines(
        [
            "A small release was made, served on loopback over HTTP, and this run on it:",
            "",
            f"    oid download {CLASS} --out {out}",
            "",
            *summed_up(summary),
            "",
            "Look at:",
            *(f"    {path}" for path in worth_a_look(options.out)),
            "",
            f"All of it on a page: oid report {out}",
            f"Real data comes with: oid download {CLASS}",
        ]
    )
    tell_troubles(summary)
    return summary.exit_code
