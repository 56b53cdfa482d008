"""`oid index info`: what is in the cache."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from oidkit.cli.output import json_value, lines, number, say
from oidkit.cli.parsing import Parser, add_json, settings_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from oidkit.api.index import IndexEntry

__all__ = ["arguments", "listed", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid index info``."""
    add_json(parser, "the entries")


def run(options: Namespace) -> int:
    """List the entries of the cache."""
    from oidkit.api.index import index_info

    settings = settings_of(options)
    entries = index_info(settings=settings)
    if options.json:
        json_value([entry.as_dict() for entry in entries])
    else:
        lines(listed(entries))
    if not entries:
        say(f"the cache {settings.cache_folder} is empty; fill it with: oid index build")
    return 0


def listed(entries: Sequence[IndexEntry]) -> Iterator[str]:
    """Write the entries below the source that each is of, and their sum."""
    from oidkit.progress import byte_count

    width = max((len(entry.key) for entry in entries), default=0)
    for source, group in groupby(entries, key=lambda entry: entry.source):
        yield source
        for each in group:
            rows = number(each.rows, "row") if each.kind == "table" else number(each.rows, "mask")
            aside = f", {each.rejects:,} set aside" if each.rejects else ""
            yield f"  {each.key:<{width}}  {rows:>16}  {byte_count(each.bytes):>8}{aside}"
    if entries:
        total = byte_count(sum(entry.bytes for entry in entries))
        yield f"{number(len(entries), 'entry', 'entries')}, {total}"
