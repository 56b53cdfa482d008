"""Lines of a CSV as numbers: a stretch of some hundred lines at a time, checked by the rules.

A stretch whose every field is as its column's numbers can say takes the fast way. Any other is read
as text, where bad rows are set aside, and its good rows are made numbers of one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from oidkit.tables.blocks import Block, Reject, read_block
from oidkit.tables.fields import Fields, cut
from oidkit.tables.holding import ODD, Held, decimals_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from oidkit.schema import Kind, Schema
    from oidkit.tables.holding import Holding, Words

    Columns = dict[str, NDArray[Any]]
    Read = tuple[Fields, Columns] | None

__all__ = ["STRETCH_BYTES", "first_stretch", "lines_of", "read_numbers"]

STRETCH_BYTES: Final = 1 << 18
_LINE_END: Final = ord("\n")


def read_numbers(
    schema: Schema, holding: Holding, words: Words, data: bytes, *, line: int
) -> Block:
    """Read whole lines as `Holding.types` says; *line* is the number of the first one."""
    reader = _Reader(schema, holding, words)
    frames: list[pl.DataFrame] = []
    well: list[Columns] = []
    rejects: list[Reject] = []
    lines = 0
    for stretch in _stretches(data):
        read = reader.read(stretch)
        columns = None if read is None else reader.with_words(*read)
        if columns is not None:
            well.append(columns)
            lines += len(columns["ImageID"])
            continue
        frames += reader.frame(well)
        well = []
        block = read_block(schema, tuple(holding.columns), stretch, line=line + lines)
        frames.append(holding.numbers(block.rows, words))
        rejects += block.rejects
        lines += block.lines
    frames += reader.frame(well)
    rows = pl.concat(frames) if frames else pl.DataFrame(schema=holding.types)
    return Block(rows, tuple(rejects), lines)


def first_stretch(data: bytes) -> bytes:
    """Give the lines by which it is told how a file is held."""
    return next(_stretches(data), b"")


def lines_of(data: bytes) -> int:
    """Count lines; the last one may lack its end."""
    text = np.frombuffer(data, dtype=np.uint8)
    # In pieces that the cache holds: `bytes.count` takes three times as long.
    ends = sum(
        int(np.count_nonzero(text[at : at + STRETCH_BYTES] == _LINE_END))
        for at in range(0, len(text), STRETCH_BYTES)
    )
    return ends + (bool(data) and not data.endswith(b"\n"))


def _stretches(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = data.rfind(b"\n", at, at + STRETCH_BYTES) + 1
        end = end or data.find(b"\n", at) + 1 or len(data)
        yield data[at:end]
        at = end


class _Reader:
    """Reads stretches of one file, columns that are held alike together."""

    def __init__(self, schema: Schema, holding: Holding, words: Words) -> None:
        self._schema, self._holding, self._words = schema, holding, words
        self._alike: dict[tuple[Held, Kind | None], list[int]] = {}
        self._names = list(holding.columns)
        for at, (name, held) in enumerate(holding.columns.items()):
            self._alike.setdefault((held, schema.rules.get(name)), []).append(at)

    def read(self, data: bytes) -> Read:
        """Give all columns but those of words, or None if there is any doubt about a row."""
        if b"\0" in data:
            return None
        fields = cut(data if data.endswith(b"\n") else data + b"\n", len(self._names))
        if fields is None:
            return None
        found: Columns = {}
        for (held, rule), ats in self._alike.items():
            if held == "word":
                continue
            columns = self._columns(fields, held, rule, ats)
            if columns is None:
                return None
            found.update(zip((self._names[at] for at in ats), columns, strict=True))
        return (fields, found) if self._are_ordered(found) else None

    def with_words(self, fields: Fields, found: Columns) -> Columns | None:
        """Add the columns of words, or give None if there is any doubt about one."""
        for (held, rule), ats in self._alike.items():
            for at in ats if held == "word" else ():
                pair = fields.words(at)
                codes = None if pair is None else self._words.codes(at, *pair)
                if codes is None or (rule == "mid" and not self._words.are_mids(codes)):
                    return None
                found[self._names[at]] = codes
        return found

    def _columns(
        self, fields: Fields, held: Held, rule: Kind | None, ats: Sequence[int]
    ) -> Iterable[NDArray[Any]] | None:
        if held == "image":
            images = [fields.images(at) for at in ats]
            return None if any(each is None for each in images) else images  # type: ignore[return-value]
        decimals = decimals_of(held)
        if decimals is None:
            return fields.flags(ats)
        codes = fields.decimals(ats, decimals)
        # the last bits of a code, its places, do not count
        most = (decimals.one + 1 << decimals.shift) - 1
        if codes is not None and rule == "unit" and not 0 <= codes.min() <= codes.max() <= most:
            return None
        return codes

    def _are_ordered(self, found: Columns) -> bool:
        for low, high in self._schema.ordered:
            held, other = self._holding.columns[low], self._holding.columns[high]
            decimals = decimals_of(held)
            if decimals is None or other != held:
                return False
            if (found[low] >> decimals.shift > found[high] >> decimals.shift).any():
                return False
        return True

    def frame(self, stretches: Sequence[Columns]) -> list[pl.DataFrame]:
        """Put columns of stretches together, if there are any."""
        if not stretches:
            return []
        types = self._holding.types
        columns = {
            name: pl.Series(name, np.concatenate([each[name] for each in stretches])).cast(
                types[name]
            )
            for name in self._names
        }
        frame = pl.DataFrame(columns).with_columns(pl.lit(None, pl.String).alias(ODD))
        return [self._holding.folded(frame)]
