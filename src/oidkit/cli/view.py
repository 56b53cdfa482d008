"""`oid view`: a dataset folder in the browser, or with ``--plan`` what a download would fetch."""

from __future__ import annotations

import contextlib
import os
from threading import Thread
from typing import TYPE_CHECKING

from oidkit.cli.output import drawing, flush, line, say
from oidkit.cli.parsing import Parser, add_index, add_quiet, settings_of, whole
from oidkit.cli.selecting import add_classes, add_selection, refuse_selection, selection_of
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from oidkit.explorer import Explorer

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid view``."""
    add_classes(parser, metavar="DIR|CLASS", text="dataset folder, or with --plan classes")
    parser.add_argument(
        "--plan",
        action="store_true",
        help="show what oid download would fetch with the same classes and flags, before it does",
    )
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
    add_quiet(parser)
    add_selection(parser)
    add_index(parser)


def run(options: Namespace) -> int:
    """Serve the explorer until Ctrl-C."""
    from oidkit.explorer import check_extra

    check_extra()
    with contextlib.ExitStack() as stack:
        explorer = _opened(options, stack)
        line(explorer.url)
        flush()
        say("this address is for you alone; end it with Ctrl-C")
        if not options.no_browser:
            place = settings_of(options).cache_folder.absolute() / f"open-{os.getpid()}.html"
            stack.callback(place.unlink, missing_ok=True)
            # Beside the server: some browsers keep whoever starts them until they end.
            Thread(target=_show, args=(explorer.url, place), daemon=True).start()
        explorer.run()
    return 0


def _opened(options: Namespace, stack: contextlib.ExitStack) -> Explorer:
    from oidkit.explorer.opening import explore, explore_plan

    settings = settings_of(options)
    if options.plan:
        with drawing(quiet=options.quiet) as on_event:
            return stack.enter_context(
                explore_plan(
                    selection_of(options), port=options.port, settings=settings, on_event=on_event
                )
            )
    if len(options.classes) != 1:
        raise UsageError(
            "oid view takes the folder of one download",
            remedy="name it, or add --plan to look at classes before they are fetched",
        )
    refuse_selection(options, but=("classes",), because="only --plan takes it")
    return explore(options.classes[0], port=options.port, settings=settings)


def _show(url: str, place: Path) -> None:
    """Open the address in the browser.

    A program's arguments can be seen by every user of the machine. So the browser is given a file
    of this user alone, which leads to the address.
    """
    import webbrowser

    page = (
        f'<!doctype html><meta http-equiv="refresh" content="0; url={url}"><title>oid view</title>'
    )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(page)
        opened = webbrowser.open(place.as_uri())
    except (OSError, webbrowser.Error):
        opened = False
    if not opened:
        say("no browser opens here; open the address yourself")
