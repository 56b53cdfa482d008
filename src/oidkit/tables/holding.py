"""How the columns of a table are held: published text as numbers, and back, byte for byte.

A column is an image, flags, decimals (see `oidkit.tables.fields`) or words: the code of a word is
its place in the list of all words of the file. Where a field of a row is written in a way that its
column's numbers cannot say (`1e-05`), that field is null and the row's line stands beside it as
published. A file whose first lines do not look like this is held as text, as are all that quote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from oidkit.tables.fields import NARROW, WIDE, Decimals
from oidkit.taxonomy import MID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.schema import Kind, Schema

    _Pairs = list[tuple[np.uint64, np.uint64, int]]

__all__ = ["ODD", "Holding", "Words", "decimals_of", "holding_of"]

Held = Literal["image", "flag", "narrow", "wide", "word"]
"""How a column is held: a 64-bit id, 1, 0 or -1, the code of a decimal, the number of a word."""
ODD: Final = "oidkit: line"
"""The column that holds the published line of a row of which a field is null."""
_DECIMALS: Final[Mapping[Held, Decimals]] = {"narrow": NARROW, "wide": WIDE}
_TYPES: Final[Mapping[Held, type[pl.DataType]]] = {
    "image": pl.UInt64,
    "flag": pl.Int8,
    "word": pl.UInt32,
    "narrow": pl.Int32,
    "wide": pl.Int64,
}
_RULED: Final[Mapping[Kind, Held]] = {"image id": "image", "mid": "word", "flag": "flag"}
_FEW_WORDS, _MOST_WORDS = 256, 4_096
_EACH_WORD = 8
_SURE = 0.99
_LONGEST = 16
"""Bytes of a word that is found by its bytes; a longer one makes its stretch be read as text."""
_SMALL = 8
_ROOM = 16
_LEVELS = 8
"""Tables in which a word is looked for; one that is in none is told by its text."""


def decimals_of(held: Held) -> Decimals | None:
    """Say how decimals are held, or None for a column of something else."""
    return _DECIMALS.get(held)


_MINUS_ONE: Final[Mapping[Held, int]] = {"narrow": -(2**31), "wide": -(2**62)}
"""What stands for -1 in a column of differences: more than any difference."""


@dataclass(frozen=True, slots=True)
class Holding:
    """How each column is held, in the order of the file.

    A column of *beside* is held as the difference of its code to that of another column, as most of
    its fields are equal to those: the extreme clicks lie on the edges of their box.
    """

    columns: Mapping[str, Held]
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def types(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """The types of a frame of such rows."""
        return {**{name: _TYPES[held] for name, held in self.columns.items()}, ODD: pl.String}

    def folded(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Make differences of the columns that are held as such."""
        return rows.with_columns(
            pl.when(pl.col(name) == -1)
            .then(_MINUS_ONE[self.columns[name]])
            .otherwise(pl.col(name) - pl.col(other))
            .cast(_TYPES[self.columns[name]])
            .alias(name)
            for name, other in self.beside.items()
        )

    def unfolded(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Make codes of the differences again; the columns that they differ from are needed."""
        return rows.with_columns(
            pl.when(pl.col(name) == _MINUS_ONE[self.columns[name]])
            .then(-1)
            .otherwise(pl.col(name) + pl.col(other))
            .cast(_TYPES[self.columns[name]])
            .alias(name)
            for name, other in self.beside.items()
            if name in rows.columns
        )

    def numbers(self, rows: pl.DataFrame, words: Words) -> pl.DataFrame:
        """Make numbers of rows of text, each with its line where a field has no number."""
        made = [
            _numbers(rows[name], held, words).alias(name) for name, held in self.columns.items()
        ]
        lacking = pl.any_horizontal(pl.col(name).is_null() for name in self.columns)
        line = rows.select(pl.concat_str(list(self.columns), separator=",")).to_series()
        frame = pl.DataFrame(made).with_columns(line.alias(ODD))
        return self.folded(frame.with_columns(pl.when(lacking).then(pl.col(ODD)).alias(ODD)))


def holding_of(schema: Schema, rows: pl.DataFrame) -> Holding | None:
    """Say how a file is held that begins with some rows, or None if it is held as text."""
    if schema.quoted or schema.lines or "mask path" in schema.rules.values() or not rows.height:
        return None
    if ODD in rows.columns:
        return None
    found: dict[str, Held] = {}
    for name in rows.columns:
        held = _RULED.get(schema.rules[name]) if name in schema.rules else None
        held = held or _guessed(rows[name], number=name in schema.rules)
        if held is None:
            return None
        found[name] = held
    return Holding(found, _beside(rows, found, schema))


def _beside(rows: pl.DataFrame, columns: Mapping[str, Held], schema: Schema) -> dict[str, str]:
    """Find the columns without a rule that mostly equal one with a rule that is held alike."""
    found: dict[str, str] = {}
    for name, held in columns.items():
        if held not in _DECIMALS or name in schema.rules:
            continue
        alike = [each for each in schema.rules if columns.get(each) == held]
        equal = {each: int((rows[name] == rows[each]).sum()) for each in alike}
        nearest = max(equal, key=equal.__getitem__, default="")
        if nearest and equal[nearest] > rows.height // 2:
            found[name] = nearest
    return found


def _guessed(texts: pl.Series, *, number: bool) -> Held | None:
    distinct = texts.n_unique()
    if not number and distinct <= _FEW_WORDS:
        return "word"
    for held, decimals in _DECIMALS.items():
        pattern = f"^(-1|[0-9](\\.[0-9]{{1,{decimals.places}}})?)$"
        if int(texts.str.contains(pattern).sum()) > _SURE * len(texts):
            return held
    # Where texts are nearly all different, the list of words would be the file once more.
    few = distinct <= _MOST_WORDS and distinct * _EACH_WORD <= len(texts)
    return "word" if few and not number else None


def _numbers(texts: pl.Series, held: Held, words: Words) -> pl.Series:
    """Make numbers of a column of text; what is none becomes null."""
    if not len(texts):
        return pl.Series([], dtype=_TYPES[held])
    if held == "image":
        return texts.str.to_integer(base=16, dtype=pl.UInt64)
    if held == "flag":
        return texts.cast(pl.Int8)
    if held == "word":
        distinct = texts.unique(maintain_order=True)
        codes = [words.code(each) for each in distinct]
        return texts.replace_strict(distinct, codes, return_dtype=pl.UInt32)
    decimals = _DECIMALS[held]
    split = texts.str.extract_groups(
        f"^(?<minus>-1$)?(?<whole>[0-9])?(?:\\.(?<places>[0-9]{{1,{decimals.places}}}))?$"
    ).struct
    minus, whole, places = (split.field(name) for name in ("minus", "whole", "places"))
    digits = whole + places.fill_null("").str.pad_end(decimals.places, "0")
    value = digits.cast(pl.Int64, strict=False) * (1 << decimals.shift)
    value += places.str.len_bytes().fill_null(0).cast(pl.Int64)
    frame = pl.DataFrame({"minus": minus, "value": value})
    made = frame.select(
        pl.when(pl.col("minus").is_not_null()).then(-1).otherwise(pl.col("value"))
    ).to_series()
    return made.cast(_TYPES[held])


@dataclass(slots=True)
class Words:
    """The words of a file, each with a number: the place where it stands among them."""

    texts: list[str] = field(default_factory=list)
    _codes: dict[str, int] = field(default_factory=dict)
    _mids: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    _slots: _Slots | None = None
    _counted: int = 0
    _missed: int = 0
    _small: dict[int, _Pairs | None] = field(default_factory=dict)

    def code(self, text: str) -> int:
        """Give the number of a word, a new one where it has none."""
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return found

    def known(self, texts: Iterable[str]) -> list[int]:
        """Give the numbers of those texts that are words of the file."""
        return [self._codes[text] for text in texts if text in self._codes]

    def add(self, texts: Sequence[str]) -> None:
        """Take in the words that an earlier run has found."""
        for text in texts:
            self.code(text)

    def are_mids(self, codes: NDArray[np.uint32]) -> bool:
        """Tell whether words are all MIDs."""
        if len(self._mids) < len(self.texts):
            found = (bool(MID_PATTERN.fullmatch(text)) for text in self.texts)
            self._mids = np.fromiter(found, np.bool_)
        return bool(self._mids[codes].all())

    def codes(
        self, column: int, first: NDArray[np.uint64], second: NDArray[np.uint64] | None
    ) -> NDArray[np.uint32] | None:
        """Give the numbers of the words of a column by their bytes; None if one is no text."""
        found = self._among_few(column, first, second)
        if found is not None:
            return found
        other = np.zeros(1, dtype=np.uint64) if second is None else second
        codes, known = self._search(first, other)
        if not known.all():
            rest = np.stack(np.broadcast_arrays(first, other))[:, ~known]
            pairs, which = np.unique(rest, axis=1, return_inverse=True)
            self._missed += len(pairs.T)
            raw = (pair.tobytes().rstrip(b"\0") for pair in np.ascontiguousarray(pairs.T))
            try:
                numbers = [self.code(each.decode()) for each in raw]
            except UnicodeDecodeError:
                return None
            codes[~known] = np.array(numbers, dtype=np.uint32)[which.ravel()]
        self._remember(column, first, other, codes)
        return codes

    def _among_few(
        self, column: int, first: NDArray[np.uint64], second: NDArray[np.uint64] | None
    ) -> NDArray[np.uint32] | None:
        """Look among the few words that a column has had, as of a source."""
        few = self._small.get(column)
        if not few:
            return None
        codes = np.zeros(len(first), dtype=np.uint32)
        known = np.zeros(len(first), dtype=np.bool_)
        for one, other, code in few:
            here = first == one
            if second is not None:
                here &= second == other
            elif other:
                continue
            codes += here * np.uint32(code)
            known |= here
        return codes if known.all() else None

    def _remember(
        self,
        column: int,
        first: NDArray[np.uint64],
        second: NDArray[np.uint64],
        codes: NDArray[np.uint32],
    ) -> None:
        before = self._small.get(column, [])
        if before is None:
            return  # it has had many
        found, at = np.unique(codes, return_index=True)
        few = {code: (one, other) for one, other, code in before}
        second = np.broadcast_to(second, first.shape)
        few |= zip(found.tolist(), zip(first[at], second[at], strict=True), strict=True)
        pairs = [(one, other, code) for code, (one, other) in few.items()]
        self._small[column] = pairs if len(pairs) <= _SMALL else None

    def _search(
        self, first: NDArray[np.uint64], second: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Give the numbers of words, and which of them are known."""
        if self._slots is None or self._missed > self._counted:
            # Not for each new word: those since the last time are told by their texts.
            self._slots = _Slots.of_texts(self.texts)
            self._counted, self._missed = len(self.texts), 0
        return self._slots.find(first, second)


@dataclass(frozen=True, slots=True)
class _Slots:
    """Words in a table by a hash of their bytes; those whose slot is another's are in *others*."""

    level: int
    one: NDArray[np.uint64]
    two: NDArray[np.uint64]
    codes: NDArray[np.uint32]
    others: _Slots | None

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> _Slots:
        """Make a table of those words that are short enough."""
        raw = [text.encode() for text in texts]
        codes = np.array([n for n, text in enumerate(raw) if len(text) <= _LONGEST], np.uint32)
        joined = b"".join(raw[n].ljust(_LONGEST, b"\0") for n in codes)
        one, two = np.frombuffer(joined, dtype="<u8").reshape(-1, 2).T
        return cls.of(one, two, codes)

    @classmethod
    def of(
        cls,
        one: NDArray[np.uint64],
        two: NDArray[np.uint64],
        codes: NDArray[np.uint32],
        level: int = 0,
    ) -> _Slots:
        """Make a table of sixteen times the room that so many words take."""
        room = 1 << max(8, (_ROOM * len(codes)).bit_length())
        # The bytes of an empty slot are those of no text, which has none after its end.
        ones, twos = np.zeros(room, dtype=np.uint64), np.ones(room, dtype=np.uint64)
        numbers = np.zeros(room, dtype=np.uint32)
        slots = _slot(one, two, room, level)
        ones[slots], twos[slots], numbers[slots] = one, two, codes
        lost = numbers[slots] != codes
        others = None
        if lost.any() and level < _LEVELS:
            others = cls.of(one[lost], two[lost], codes[lost], level + 1)
        return cls(level, ones, twos, numbers, others)

    def find(
        self, first: NDArray[np.uint64], second: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Look words up by their bytes."""
        slots = _slot(first, second, len(self.codes), self.level)
        codes, known = self.codes[slots], (self.one[slots] == first) & (self.two[slots] == second)
        if self.others is not None and not known.all():
            rest = np.flatnonzero(~known)
            second = np.broadcast_to(second, first.shape)
            codes[rest], known[rest] = self.others.find(first[rest], second[rest])
        return codes, known


def _slot(
    one: NDArray[np.uint64], two: NDArray[np.uint64], room: int, level: int
) -> NDArray[np.intp]:
    mixed = (one + np.uint64(level)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= two * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed >>= np.uint64(64 - room.bit_length() + 1)
    return mixed.astype(np.intp)
