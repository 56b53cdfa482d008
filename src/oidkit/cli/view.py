"""`oid view`: a dataset folder in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.cli.output import flush, line, say
from oidkit.cli.parsing import Parser, settings_of, whole

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid view``."""
    parser.add_argument("folder", metavar="DIR", help="the folder of a download")
    parser.add_argument(
        "--port",
        type=whole,
        default=0,
        metavar="N",
        help="the port of 127.0.0.1 to listen on (default: any that is free)",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address and open nothing"
    )


def run(options: Namespace) -> int:
    """Serve the explorer until Ctrl-C."""
    from oidkit.explorer import check_extra

    check_extra()
    from oidkit.explorer.opening import explore

    explorer = explore(options.folder, port=options.port, settings=settings_of(options))
    line(explorer.url)
    flush()
    say("this address is for you alone; end it with Ctrl-C")
    if not options.no_browser:
        import webbrowser

        if not webbrowser.open(explorer.url):
            say("no browser opens here; open the address yourself")
    explorer.run()
    return 0
