"""The command `oid`: parses arguments, calls the api, prints what comes back.

Results go to stdout, all else to stderr. A command's module is imported when the command is run,
and the library inside its `run`: ``oid --help`` costs little more than a bare interpreter.
"""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from oidkit.cli import output
from oidkit.cli.parsing import Parser, common_flags
from oidkit.cli.stopping import Stops
from oidkit.errors import DiskError, InterruptedRunError, OidError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "EXAMPLES", "main", "parser_of"]

COMMANDS = {
    "classes": "List the classes of a release, or draw their hierarchy.",
    "download": "Download the images, masks and boxes of classes into a folder.",
    "export": "Write a dataset folder as a training format.",
    "split": "Cut the rows of a class out of a CSV, and list their images.",
    "fetch": "Fetch the images of a list, as the official downloader.py does.",
    "stats": "Show a dataset folder in numbers: classes, sizes, licences.",
    "view": "Look through a dataset folder in the browser, and review it.",
    "review": "Count the verdicts on a dataset folder; merge those of others.",
    "report": "Write one HTML page on a dataset folder: numbers and pictures.",
    "verify": "Check every file of a dataset folder; --repair mends it.",
    "index info": "Show the tables and mask indexes that are in the cache.",
    "index build": "Build tables and mask indexes ahead of time.",
    "index push": "Put the cache's tables and mask indexes where a team reads them.",
    "index pull": "Take a team's tables and mask indexes into the cache.",
    "demo": "Download from a small release made here, without any network.",
}
"""Every command, with one sentence; `index info` is the module `oidkit.cli.index_info`."""

EXAMPLES = {
    "classes": "oid classes gun --counts",
    "download": "oid download Handgun --split validation --out handguns",
    "export": "oid export handguns --format coco --out handguns-coco",
    "split": "oid split --label Handgun --subset train --input boxes.csv",
    "fetch": "oid fetch downloader_IDs_for_m0gxl3_train.txt --download_folder images",
    "stats": "oid stats handguns --top 20",
    "view": "oid view handguns",
    "review": "oid review handguns --merge review-of-a-colleague.csv",
    "report": "oid report handguns --out handguns.html",
    "verify": "oid verify handguns --repair",
    "index info": "oid index info",
    "index build": "oid index build --split validation",
    "index push": "oid index push s3://our-bucket/index",
    "index pull": "oid index pull s3://our-bucket/index",
    "demo": "oid demo --out demo",
}
"""What the help of each command ends with."""

_ABOUT = {
    "": "Name a class of Google's Open Images, get its images, masks and boxes.",
    "index": "Annotation files as tables, and directories of mask zips, kept to be read again.",
}

# What these show is in a folder, or made here.
_WITHOUT_SOURCE = {"stats", "review", "report", "demo"}

# What a shell reports of a program that SIGPIPE has ended, as it does git; and Ctrl-C.
_READER_GONE = 128 + 13
_INTERRUPTED = InterruptedRunError.exit_code
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv*, by default that of the process, and give its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    output.forgive_encodings()
    stops = Stops()
    if argv is None:
        stops.listen()
    try:
        try:
            code = _run(arguments)
        except SystemExit as stop:  # argparse, after --help or a wrong argument
            code = stop.code if isinstance(stop.code, int) else 0
        output.flush()
        stops.over = True
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - each becomes an exit code
        stops.over = True
        if stops.heard and not isinstance(error, OidError):
            # compiled code makes other errors of an interrupt
            error = KeyboardInterrupt().with_traceback(error.__traceback__)
        code = _explain(error, debug="--debug" in arguments)
    finally:
        stops.leave()
    return code


def parser_of(command: str) -> Parser:
    """Give the parser of one of the `COMMANDS`."""
    parser = Parser(prog=f"oid {command}", description=COMMANDS[command], example=EXAMPLES[command])
    _module(command).arguments(parser)
    common_flags(parser, has_source=command not in _WITHOUT_SOURCE)
    return parser


def _module(command: str) -> output.Command:
    found: output.Command = import_module(f"oidkit.cli.{command.replace(' ', '_')}")
    return found


def _run(arguments: list[str]) -> int:
    command = next(
        (name for name in COMMANDS if arguments[: len(name.split())] == name.split()), None
    )
    if command is None:
        return _no_command(arguments)
    options = parser_of(command).parse_intermixed_args(arguments[len(command.split()) :])
    return _module(command).run(options)


def _no_command(arguments: list[str]) -> int:
    """Answer a command line that names none of the commands."""
    group = "index" if arguments[:1] == ["index"] else ""
    first = arguments[1 if group else 0] if len(arguments) > bool(group) else ""
    if first in {"-h", "--help"} or (not first and not group):
        stream = sys.stdout if first else sys.stderr
        print(_overview(group), file=stream)
        return 0 if first else 2
    if first != "--version" or group:
        _refuse(group, first)
    from oidkit import __version__

    output.line(f"oid {__version__}")
    return 0


def _overview(group: str) -> str:
    shown = {name: text for name, text in COMMANDS.items() if name.split()[0] == group or not group}
    prog = f"oid {group}".strip()
    width = max(len(name) for name in shown)
    lines = [
        f"usage: {prog} COMMAND [FLAGS]",
        "",
        _ABOUT[group],
        "",
        "commands:",
        *(f"  {name:<{width}}  {text}" for name, text in shown.items()),
        "",
        "flags:",
        f"  {'-h, --help':<{width}}  Show this, or after a command what it takes.",
    ]
    if not group:
        version = f"  {'--version':<{width}}  Show the version."
        lines += [version, "", f"example: {EXAMPLES['download']}"]
    return "\n".join(lines)


def _refuse(group: str, first: str) -> NoReturn:
    prog = f"oid {group}".strip()
    names = sorted({name.removeprefix(group).split()[0] for name in COMMANDS if group in name})
    parser = Parser(prog=prog)
    if not first:
        parser.error(f"name one of {', '.join(names)}")
    if first.startswith("-"):
        parser.error(f"there is no flag {first} before the command; flags come after it")
    from difflib import get_close_matches

    near = get_close_matches(first, names, n=1)
    meant = f" (did you mean '{near[0]}'?)" if near else f", choose from {', '.join(names)}"
    parser.error(f"there is no command '{first}'{meant}")


def _explain(error: BaseException, *, debug: bool) -> int:
    """Say in one sentence on stderr what ended the command, and give its exit code."""
    if isinstance(error, BrokenPipeError):
        output.abandon()
        return _READER_GONE
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        output.say("interrupted; what was finished stays, run the same command again to go on")
        return _INTERRUPTED
    if isinstance(error, OSError) and not isinstance(error, OidError) and error.errno in _DISK:
        error = DiskError.from_os(error, path="a file")
    if isinstance(error, OidError):
        output.say(str(error))
        return error.exit_code
    said = f": {error}" if str(error) else ""
    output.say(f"unexpected {type(error).__name__}{said}; run again with --debug to see where")
    return OidError.exit_code
