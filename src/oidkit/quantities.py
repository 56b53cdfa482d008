"""How bytes, seconds and the bins of a histogram are written for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["bins_in_words", "byte_count", "duration"]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
# Rounding lifts a number from here on into the next form: 999.5 kB is 1.0 MB, 9.95 s is 10 s.
_WRITTEN_AS_1000 = 999.5
_WRITTEN_AS_100 = 99.95
_WRITTEN_AS_10 = 9.95


def byte_count(count: float) -> str:
    """Write a count of bytes in decimal units, as `912 B`, `21.3 MB` or `638 MB`."""
    value, step = float(count), 0
    while value >= _WRITTEN_AS_1000 and step < len(_UNITS) - 1:
        value /= 1000
        step += 1
    return f"{value:.{1 if step and value < _WRITTEN_AS_100 else 0}f} {_UNITS[step]}"


def duration(seconds: float) -> str:
    """Write a time in its two largest units, as `0.4 s`, `42 s`, `3 min 05 s` or `2 h 10 min`."""
    if seconds < _WRITTEN_AS_10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"


def bins_in_words(
    histogram: Sequence[Mapping[str, float | None]], written: Callable[[float], str]
) -> list[tuple[str, int]]:
    """Name the bins of a histogram: below, from to, and so many and more; each with its count."""
    rows = []
    for each in histogram:
        start, end = each["from"] or 0, each["to"]
        if end is None:
            word = f"{written(start)} and more"
        else:
            word = f"{written(start)} to {written(end)}" if start else f"below {written(end)}"
        rows.append((word, int(each["count"] or 0)))
    return rows
