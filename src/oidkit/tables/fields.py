"""The fields of CSV lines as numbers, those of a stretch of lines at once.

Lines without quotes are cut at their commas. The bytes of a field are then one or two 64-bit words,
and digits become a number by arithmetic on whole words: some twenty operations for some columns of
a stretch, where a parser takes each byte. A stretch is small enough for the processor's cache.

A number keeps how it is written. The code of a decimal is its value in millionths times 8 (or in
billionths times 16, where more than six places occur) plus the number of its places, so that
`0.5`, `0.50` and `0` differ and come back as they were; -1 is itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]
    Flags = NDArray[np.bool_]

__all__ = ["NARROW", "WIDE", "Decimals", "Fields", "cut"]

_PADDING: Final = bytes(16)
_COMMA, _LINE_END = ord(","), ord("\n")
_ZERO, _MINUS = ord("0"), ord("-")
_OF_MINUS_ONE: Final = 2
"""Bytes of `-1`."""


def _u64(*values: int) -> U64:
    return np.array(values, dtype=np.uint64)


_SHORT, _LONG = 8, 16
"""Bytes of one word, and of two."""
_BYTES: Final = _u64(*((1 << 8 * length) - 1 for length in range(9)))
"""By a number of bytes: a word in which these, the first ones, are set."""
_FILL: Final = _u64(*(0x3030303030303030 & ~((1 << 8 * length) - 1) for length in range(9)))
"""By a number of bytes: a word in which those beyond are the digit 0."""
_EACH: Final = np.uint64(0x0101010101010101)
_LOW: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_HIGH: Final = np.uint64(0xF0F0F0F0F0F0F0F0)
_NULLS: Final = np.uint64(0x3030303030302E30)
"""The bytes of `0.000000`, the first of them lowest, as in every word here."""
_SIXES: Final = np.uint64(0x0606060606060006)
_MORE_THAN_DIGITS: Final = np.uint64(0xF0F0F0F0F0F0FFF0)
_MINUS_ONE: Final = np.uint64(0x312D)


@dataclass(frozen=True, slots=True)
class Decimals:
    """How decimals of at most so many places are held."""

    places: int
    shift: int

    @property
    def one(self) -> int:
        """The value of 1, without its places."""
        return int(10**self.places)


NARROW: Final = Decimals(6, 3)
WIDE: Final = Decimals(9, 4)


@dataclass(frozen=True, slots=True)
class Fields:
    """Lines that were cut: where the fields of each column end, row by row."""

    text: NDArray[np.uint8]
    _words: U64
    """The eight bytes at each place of the text."""
    _ends: NDArray[np.intp]
    """(columns, rows)"""

    def _places(self, ats: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give where the fields of some columns begin, and how long they are."""
        ends = self._ends[list(ats)]
        starts = np.empty_like(ends)
        for row, at in enumerate(ats):
            if at:
                np.add(self._ends[at - 1], 1, out=starts[row])
            else:
                starts[row, 0] = 0
                np.add(self._ends[-1, :-1], 1, out=starts[row, 1:])
        ends -= starts
        return starts, ends

    def images(self, at: int) -> U64 | None:
        """Give a column of 16 hex digits, or None if one is something else."""
        (starts,), (lengths,) = self._places([at])
        if (lengths != _LONG).any():
            return None
        word = self._words[np.stack([starts, starts + _SHORT])]
        letter = (word >> np.uint64(6)) & _EACH
        value = (word & _LOW) + letter * np.uint64(9)
        # 3 stands before a digit, and 6 before a letter; six more takes 10 to 15 to the next bit.
        bad = (word & _HIGH) ^ (letter + _EACH) * np.uint64(0x30)
        bad |= value & _HIGH
        bad |= (((value + _EACH * np.uint64(6)) >> np.uint64(4)) & _EACH) ^ letter
        if bad.any():
            return None
        # A digit, two, and four of them come to stand together.
        value = ((value << np.uint64(4)) | (value >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
        value = ((value << np.uint64(8)) | (value >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
        value = ((value << np.uint64(16)) | (value >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
        high, low = value
        whole: U64 = (high << np.uint64(32)) | low
        return whole

    def words(self, at: int) -> tuple[U64, U64 | None] | None:
        """Give the bytes of a column of short texts, in one word or two; None if one is longer."""
        (starts,), (lengths,) = self._places([at])
        longest = int(lengths.max())
        if longest <= _SHORT:
            return self._words[starts] & _BYTES[lengths], None
        if longest > _LONG:
            return None
        first = self._words[starts] & _BYTES[np.minimum(lengths, _SHORT)]
        return first, self._words[starts + _SHORT] & _BYTES[np.maximum(lengths - _SHORT, 0)]

    def flags(self, ats: Sequence[int]) -> NDArray[np.int8] | None:
        """Give columns of 1, 0 and -1, or None if one is something else: (columns, rows)."""
        starts, lengths = self._places(ats)
        value = self.text[starts]
        value -= np.uint8(_ZERO)
        well = (lengths == 1) & (value <= 1)
        if not well.all():
            rest = np.flatnonzero(~well)
            first = starts.ravel()[rest]
            minus = (self.text[first] == _MINUS) & (self.text[first + 1] == _ZERO + 1)
            if not minus.all() or (lengths.ravel()[rest] != _OF_MINUS_ONE).any():
                return None
            value.ravel()[rest] = 255
        return value.view(np.int8)

    def decimals(self, ats: Sequence[int], held: Decimals) -> NDArray[np.int64] | None:
        """Give the codes of columns of decimals, or None if one is none: (columns, rows)."""
        starts, lengths = self._places(ats)
        word = self._words[starts]
        minus = None
        short = lengths != _SHORT
        if short.any():
            minus = (lengths == _OF_MINUS_ONE) & ((word & _BYTES[2]) == _MINUS_ONE)
            if held is not NARROW or (short & ~minus).any():
                return self._of_any_length(starts, lengths, held, minus)
        codes, bad = _six_places(word)
        if minus is not None:
            bad[minus] = 0
        if bad.any():
            return None
        if held is WIDE:
            codes *= 1000
        codes <<= held.shift
        codes += NARROW.places
        if minus is not None:
            codes[minus] = -1
        return codes

    def _of_any_length(
        self,
        starts: NDArray[np.intp],
        lengths: NDArray[np.intp],
        held: Decimals,
        minus: Flags,
    ) -> NDArray[np.int64] | None:
        longest = int(lengths.max())
        if longest > held.places + 2:
            return None
        short = np.minimum(lengths, _SHORT)
        word = (self._words[starts] & _BYTES[short]) | _FILL[short]
        single = lengths == 1
        # Where there is no point, the filling stands for it.
        word[single] ^= np.uint64((_ZERO ^ ord(".")) << 8)
        codes, bad = _six_places(word)
        bad[(lengths == _OF_MINUS_ONE) | (lengths == 0)] = 1
        if held is WIDE:
            codes *= 1000
            if longest > _SHORT:
                more, wrong = _three_places(self._words[starts + _SHORT], lengths - _SHORT)
                codes += more
                bad |= wrong
        bad[minus] = 0
        if bad.any():
            return None
        codes <<= held.shift
        codes += np.maximum(lengths - 2, 0)
        codes[minus] = -1
        return codes


def cut(data: bytes, columns: int) -> Fields | None:
    """Cut whole lines into fields; None if a line has another number of them.

    Every byte up to the comma's counts as the end of a field, so that one comparison finds commas
    and line ends. A text with a blank or a quote in it is not for this function, and gives None.
    """
    text = np.frombuffer(data + _PADDING, dtype=np.uint8)
    ends = np.flatnonzero(text[: len(data)] <= _COMMA)
    if len(ends) == 0 or len(ends) % columns:
        return None
    by_column = np.ascontiguousarray(ends.reshape(-1, columns).T)
    # Where each last one is a line end, and so many are commas as are left, all others are.
    commas = np.count_nonzero(text == _COMMA)
    if commas != len(ends) - by_column.shape[1] or (text[by_column[-1]] != _LINE_END).any():
        return None
    words: U64 = np.ndarray((len(text) - 7,), dtype="<u8", buffer=text.data, strides=(1,))
    return Fields(text, words, by_column)


def _six_places(word: U64) -> tuple[NDArray[np.int64], U64]:
    """Read a digit, a point, and six digits as millionths.

    The second array is 0 where the word is that.
    """
    # Digits become 0 to 9, and the point 0: six more takes what is above 9 into the next bits.
    digits = word ^ _NULLS
    bad = digits + _SIXES
    bad |= digits
    bad &= _MORE_THAN_DIGITS
    before = digits & np.uint64(0xF)
    digits *= np.uint64(2561)
    digits >>= np.uint64(8)
    digits &= np.uint64(0x00FF00FF00FF00FF)
    digits *= np.uint64(6553601)
    digits >>= np.uint64(16)
    digits &= np.uint64(0x0000FFFF0000FFFF)
    digits *= np.uint64(42949672960001)
    digits >>= np.uint64(32)
    # The digit before the point counts ten times as much, as the point stands for a digit.
    before *= np.uint64(9_000_000)
    digits -= before
    return digits.view(np.int64), bad


def _three_places(word: U64, lengths: NDArray[np.intp]) -> tuple[NDArray[np.int64], Flags]:
    """Read up to three digits as billionths, and tell where they are none."""
    length = np.maximum(lengths, 0)
    filled = (word & _BYTES[length]) | _FILL[length]
    value = np.zeros(word.shape, dtype=np.int64)
    wrong = np.zeros(word.shape, dtype=np.bool_)
    for at, weight in enumerate((100, 10, 1)):
        digit = ((filled >> np.uint64(8 * at)) & np.uint64(0xFF)).view(np.int64) - _ZERO
        wrong |= (digit < 0) | (digit > 9)  # noqa: PLR2004
        value += digit * weight
    return value, wrong
