"""Where the row groups of a Parquet file lie: pure, from the bytes of its footer.

The footer is a struct of Thrift's compact protocol; only the few fields that say where things lie
are looked at. Source: parquet.thrift of the Parquet format, and the compact protocol's own page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from oidkit.errors import MalformedError

__all__ = ["RowGroup", "row_groups"]

_MAGIC: Final = b"PAR1"
_END: Final = 8
"""Bytes behind the footer: its length, and the magic word."""
_DEEPEST: Final = 32
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS: Final = (4, 5, 6)
# The numbers of fields: FileMetaData, RowGroup, ColumnChunk, ColumnMetaData.
_ROW_GROUPS, _COLUMNS, _ROWS, _META, _LENGTH, _DATA, _WORDS = 4, 1, 3, 3, 7, 9, 11


@dataclass(frozen=True, slots=True)
class RowGroup:
    """`rows` rows, whose columns lie in the bytes [`start`, `stop`) of the file."""

    rows: int
    start: int
    stop: int


def row_groups(data: bytes) -> list[RowGroup]:
    """Read where the row groups of a whole Parquet file lie, in the order of the file.

    Raises:
        MalformedError: it is no Parquet file, or its row groups overlap.

    """
    length = int.from_bytes(data[-_END:-4], "little")
    if data[-4:] != _MAGIC or length + _END + 4 > len(data):
        raise MalformedError("it does not end as a Parquet file does")
    try:
        groups = _Reader(data[-_END - length : -_END]).struct().get(_ROW_GROUPS, [])
        found = [_group(each) for each in groups]
    except (IndexError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedError("its footer is not that of a Parquet file") from error
    at = len(_MAGIC)
    for each in found:
        if not at <= each.start <= each.stop <= len(data) - length - _END:
            raise MalformedError("its row groups do not lie one after the other")
        at = each.stop
    return found


def _group(fields: dict[int, Any]) -> RowGroup:
    starts, stops = [], []
    for column in fields[_COLUMNS]:
        meta = column[_META]
        # A dictionary lies before the data; 0 says that there is none.
        start = min(meta[_DATA], meta.get(_WORDS) or meta[_DATA])
        starts.append(start)
        stops.append(start + meta[_LENGTH])
    return RowGroup(fields[_ROWS], min(starts), max(stops))


class _Reader:
    """Reads one struct of the compact protocol as a mapping of its fields' numbers."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("structs within structs without end")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._zigzag()
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._zigzag()
        if kind in (_TRUE, _FALSE, _BYTE):  # within a list a truth value is a byte
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()  # noqa: PLR2004 - see there
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError(f"a field of kind {kind}")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._data):
            raise IndexError
        return self._data[self._at - count : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004 - the last one has no high bit
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
