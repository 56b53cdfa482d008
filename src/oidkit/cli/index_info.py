"""`oid index info`: what is in the cache."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from oidkit.cli.output import json_value, lines, number, number_is, say
from oidkit.cli.parsing import Parser, add_json, settings_of
from oidkit.errors import IntegrityError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from oidkit.api.index import IndexEntry
    from oidkit.api.settings import Settings

__all__ = ["arguments", "listed", "run"]


def arguments(parser: Parser) -> None:
    """Add the flags of ``oid index info``."""
    parser.add_argument(
        "--check", action="store_true", help="compare with checksums; list only what is damaged"
    )
    add_json(parser, "the entries")


def run(options: Namespace) -> int:
    """List the entries of the cache."""
    from oidkit.api.index import index_info

    settings = settings_of(options)
    if options.check:
        return _checked(settings, as_json=options.json)
    entries = index_info(settings=settings)
    if options.json:
        json_value([entry.as_dict() for entry in entries])
    else:
        lines(listed(entries))
    if not entries:
        say(f"the cache {settings.cache_folder} is empty; fill it with: oid index build")
    return 0


def _checked(settings: Settings, *, as_json: bool) -> int:
    from oidkit.api.index import index_check

    found = index_check(settings=settings)
    if as_json:
        json_value([each.as_dict() for each in found])
    else:
        lines([f"damaged  {each.key}  {each.path}" for each in found])
    if not found:
        say("every file of the cache is as it was made")
        return 0
    are = number_is(len(found), "entry", "entries")
    say(f"{are} damaged; build again with the same --source: oid index build --check")
    return IntegrityError.exit_code


def listed(entries: Sequence[IndexEntry]) -> Iterator[str]:
    """Write the entries below the source that each is of, and their sum."""
    from oidkit.quantities import byte_count

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
