"""Tables that are built out of bytes at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.store import Checksums
from oidkit.tables import Table, TableBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from oidkit.schema import Schema


def made(
    folder: Path, schema: Schema, data: bytes, *, sizes: Iterable[int] = (), **known: object
) -> Table:
    """Build a table out of bytes that come in pieces of some sizes, the last one again."""
    builder = TableBuilder(folder / "tables", folder / "work", schema, name="boxes.csv")
    try:
        builder.begin('"etag"', Checksums(**known))  # type: ignore[arg-type]
        for piece in pieces(data, sizes):
            builder.feed(piece)
        return builder.finish()
    finally:
        builder.close()


def pieces(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut bytes into pieces: as the sizes say, and then as the last of them."""
    at, size = 0, len(data) or 1
    waiting = iter(sizes)
    while at < len(data):
        size = next(waiting, size)
        yield data[at : at + size]
        at += size
