"""What the commands print: results on stdout, sentences and progress on stderr."""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from oidkit.errors import DiskError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator

    from oidkit.cli.parsing import Parser
    from oidkit.events import Listener

__all__ = [
    "Command",
    "abandon",
    "can_encode",
    "drawing",
    "flush",
    "forgive_encodings",
    "harmless",
    "json_value",
    "line",
    "lines",
    "number",
    "number_is",
    "say",
    "speak_utf8",
]


class Command(Protocol):
    """What the module of a command has."""

    def arguments(self, parser: Parser) -> None:
        """Add the flags of the command."""

    def run(self, options: Namespace) -> int:
        """Do what the parsed flags say, and give the exit code."""


def lines(texts: Iterable[str]) -> None:
    """Print lines on stdout, in one go, each without what could steer a terminal.

    Raises:
        BrokenPipeError: nobody reads them any more.
        DiskError: stdout is a file, and its disk is full.

    """
    _write("".join(f"{harmless(text)}\n" for text in texts))


def _write(text: str) -> None:
    if sys.stdout is None:  # the user closed it, or there is no console (pythonw)
        return
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _lost(error) from error


def line(text: str) -> None:
    """Print a text for machines on stdout, just as it is unless a terminal shows it.

    Raises:
        BrokenPipeError: nobody reads it any more.
        DiskError: stdout is a file, and its disk is full.

    """
    if sys.stdout is not None and sys.stdout.isatty():
        lines(text.split("\n"))
    else:
        _write(f"{text}\n")


def harmless(text: str) -> str:
    """Put `?` for whatever steers a terminal or turns the writing around: names are not ours."""
    if text.isprintable():
        return text
    return "".join("?" if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in _STEERING and char not in _JOINERS


_STEERING = {"Cc", "Cf", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # which scripts and emoji need


def json_value(value: object) -> None:
    """Print one JSON value, and so all that is on stdout; ASCII alone, whatever the locale."""
    line(json.dumps(value, indent=2))


def flush() -> None:
    """Write out what stdout has buffered, while there is still somebody to tell of a failure."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError as error:
            raise _lost(error) from error


def _lost(error: OSError) -> OSError:
    abandon()
    # Windows says EINVAL where a pipe has no reader.
    if isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == 22):  # noqa: PLR2004
        return BrokenPipeError()
    return DiskError.from_os(error, path="to the standard output")


def abandon() -> None:
    """Send the rest of stdout nowhere, so that the interpreter does not fail on it when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def say(sentence: str) -> None:
    """Write one sentence on stderr, as an error or a hint; control characters are left out."""
    from oidkit.progress.stream import SafeStream, one_line

    if sys.stderr is not None:
        SafeStream(sys.stderr).line(f"oid: {one_line(sentence)}")


@contextmanager
def drawing(*, quiet: bool = False) -> Iterator[Listener]:
    """Give a listener that draws the progress on stderr until the block ends."""
    from oidkit.events import ignore
    from oidkit.progress import listener

    if sys.stderr is None:
        yield ignore
    else:
        with listener(sys.stderr, quiet=quiet) as on_event:
            yield on_event


def forgive_encodings() -> None:
    """Let stdout escape what a legacy encoding lacks, where it would raise."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def speak_utf8() -> None:
    """Make stdout UTF-8, as those who read a file or pipe expect, whatever the locale."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")


def can_encode(text: str) -> bool:
    """Tell whether stdout can show all of *text*."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def number(count: int, one: str, many: str = "") -> str:
    """Write a count with its word: `1 image`, `2,189 boxes`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def number_is(count: int, one: str, many: str = "") -> str:
    """Write a count as the subject of a sentence: `1 image is`, `2,189 boxes are`."""
    return f"{number(count, one, many)} {'is' if count == 1 else 'are'}"
