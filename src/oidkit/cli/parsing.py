"""Flags that several commands share, and errors of one line."""

from __future__ import annotations

import argparse
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, cast

from oidkit.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from oidkit.api.settings import Settings
    from oidkit.catalog import Label, Split

__all__ = [
    "Parser",
    "add_folder",
    "add_index",
    "add_json",
    "add_labels",
    "add_quiet",
    "add_splits",
    "common_flags",
    "labels_of",
    "settings_of",
    "share",
    "splits_of",
    "whole",
]


class Parser(argparse.ArgumentParser):
    """A parser whose error is one sentence, and which takes flags only as they are spelled."""

    def __init__(self, *, prog: str, description: str = "", example: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"example: {example}" if example else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    @cached_property
    def origin(self) -> argparse._ArgumentGroup:
        """The flags that say where data comes from."""
        return self.add_argument_group("where data comes from")

    def error(self, message: str) -> NoReturn:
        """Say on one line of stderr what is wrong, and end with exit code 2."""
        said = " ".join(message.split())
        self.exit(UsageError.exit_code, f"{self.prog}: {said}; see: {self.prog} --help\n")


def common_flags(parser: Parser, *, has_source: bool = True) -> None:
    """Add the flags that every command takes.

    One that reads no source takes the flags of a source too, so that scripts may give them
    everywhere, and does not show them.
    """
    flags = {
        "--source URL": "'official', or the root of a mirror: a folder, file://, http(s)://, "
        "s3:// or gs:// (OID_SOURCE; default: official)",
        "--cache DIR": "folder of tables and mask indexes (OID_CACHE; default: the user's cache "
        "folder)",
        "--release v4|v5|v6|v7": "release of Open Images (OID_RELEASE; default: v7)",
    }
    for spelled, text in flags.items():
        flag, metavar = spelled.split()
        shown = text if has_source else argparse.SUPPRESS
        parser.origin.add_argument(flag, metavar=metavar, help=shown)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_folder(parser: Parser, *, buckets: bool = False) -> None:
    """Add the dataset that a command reads, which may lie in *buckets*."""
    address = ", or its address in a bucket, such as s3://bucket/prefix" if buckets else ""
    parser.add_argument("folder", metavar="DIR", help=f"dataset folder{address}")


def add_index(parser: Parser) -> None:
    """Add ``--index``, to be read by `settings_of`."""
    parser.origin.add_argument(
        "--index",
        metavar="URL",
        help="ask a team's index for what the cache lacks: a folder, file://, http(s)://, s3://, "
        "gs:// or az:// (OID_INDEX; default: none)",
    )


def settings_of(
    options: Namespace, *, workers: int | None = None, requests_per_second: float | None = None
) -> Settings:
    """Give the settings that the common flags name."""
    from oidkit.api.settings import Settings

    where = options.source, options.cache, options.release
    index = getattr(options, "index", None)
    return Settings(*where, workers, index, requests_per_second)


def add_json(parser: Parser, what: str) -> None:
    """Add ``--json``, which prints *what*."""
    parser.add_argument(
        "--json",
        action="store_true",
        help=f"print {what} as JSON on stdout, and nothing else there",
    )


def add_quiet(parser: Parser) -> None:
    """Add ``--quiet``."""
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def add_splits(parser: argparse._ActionsContainer) -> None:
    """Add ``--split``, to be read by `splits_of`."""
    parser.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="train|validation|test|all",
        help="a split; may be repeated (default: all)",
    )


def splits_of(options: Namespace) -> tuple[Split, ...]:
    """Give the splits that were asked for, each once; the library checks their names."""
    from oidkit.catalog import SPLITS

    named: list[str] = options.split or ["all"]
    each = dict.fromkeys(x for name in named for x in (SPLITS if name == "all" else (name,)))
    return cast("tuple[Split, ...]", tuple(each))


def add_labels(parser: argparse._ActionsContainer) -> None:
    """Add ``--labels``, to be read by `labels_of`."""
    from oidkit.catalog import LABELS

    parser.add_argument(
        "--labels",
        metavar="LIST",
        help=f"label types with commas between: {', '.join(LABELS)} "
        "(default: boxes,masks, as far as the release has them)",
    )


def labels_of(options: Namespace) -> tuple[Label, ...]:
    """Give the label types that were asked for, each once; none stands for the default.

    Raises:
        UsageError: the list is empty.

    """
    if options.labels is None:
        return ()
    named = [name.strip() for name in options.labels.split(",")]
    each = dict.fromkeys(name for name in named if name)
    if not each:
        raise UsageError("--labels names no label type", remedy="give one, such as --labels boxes")
    return cast("tuple[Label, ...]", tuple(each))


def whole(text: str) -> int:
    """Read a whole number, for argparse."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def share(text: str) -> float:
    """Read a number, for argparse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
