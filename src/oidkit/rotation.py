"""Rows of annotations for a picture that is turned: new coordinates, worked out on the text.

The image list's `Rotation` says by how many degrees counter-clockwise an image, and its boxes, have
to be turned for the intended orientation: 0, 90, 180 or 270
(storage.googleapis.com/openimages/2018-05-17-rotation-information.html). A point (x, y), normalised
and with y downwards, comes to (y, 1 - x) by a quarter turn.

Differences are decimal, so that 0.022673031 becomes 0.977326969 and four quarter turns give back
every number.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["degrees_of", "row_turner", "turned_line"]

_TURNS = {"0": 0, "90": 90, "180": 180, "270": 270, "360": 0}
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_IS_NUMBER = re.compile(_NUMBER)
# Narratives leave the image a little; what is farther out is no coordinate.
_FARTHEST = 1000
_EXACT = Context(prec=60)


def degrees_of(text: str | None) -> int | None:
    """Read a `Rotation` as published (``0.0``, ``270``, empty, ``NaN``); None is unknown."""
    plain = (text or "").strip()
    whole, _, rest = plain.partition(".")
    return None if rest.strip("0") else _TURNS.get(whole)


def row_turner(columns: Sequence[str]) -> Callable[[Sequence[str], int], list[str]] | None:
    """Give a function that turns the rows of a file with these columns; None if nothing turns.

    It takes the values of a row and degrees counter-clockwise, and gives the new values. Turned
    are boxes (`XMin`, `XMax`, `YMin`, `YMax`, also with `Box` before or 1 and 2 behind), the points
    `X`, `Y`, the extreme clicks `XClick1X`, `XClick1Y` to 4, of which a negative one is unknown and
    stays, and `Clicks` (``X Y T;…``). What is no number stays as it is.
    """
    at = {name: place for place, name in enumerate(columns)}
    boxes: list[tuple[int, ...]] = []
    for before, behind in (("", ""), ("Box", ""), ("", "1"), ("", "2")):
        names = [f"{before}{name}{behind}" for name in ("XMin", "XMax", "YMin", "YMax")]
        if all(name in at for name in names):
            boxes.append(tuple(at[name] for name in names))
    pairs = [("X", "Y"), *((f"XClick{n}X", f"XClick{n}Y") for n in range(1, 5))]
    points = [(at[x], at[y], x != "X") for x, y in pairs if x in at and y in at]
    clicks = at.get("Clicks")
    if not boxes and not points and clicks is None:
        return None

    def turn(row: Sequence[str], degrees: int) -> list[str]:
        values = list(row)
        for box in boxes:
            _turn_box(values, box, degrees)
        for x, y, may_lack in points:
            if not (may_lack and (_negative(values[x]) or _negative(values[y]))):
                values[x], values[y] = _point(values[x], values[y], degrees)
        if clicks is not None:
            values[clicks] = _clicks(values[clicks], degrees)
        return values

    return turn


# A point of a trace, as it stands in the text of a narrative. Inside of a JSON text a quotation
# mark is escaped, so that no caption can look like one.
_OBJECT = re.compile(r'\{\s*"(?:x|y|t)"\s*:[^{}"]*(?:"(?:x|y|t)"\s*:[^{}"]*)*\}')
_X = re.compile(rf'("x"\s*:\s*)({_NUMBER})(?=\s*[,}}])')
_Y = re.compile(rf'("y"\s*:\s*)({_NUMBER})(?=\s*[,}}])')


def turned_line(line: str, degrees: int) -> str:
    """Turn the traces of a narrative, one JSON object; the rest of the text stays as it is."""

    def turn(found: re.Match[str]) -> str:
        text = found[0]
        x, y = _X.search(text), _Y.search(text)
        if x is None or y is None:
            return text
        new_x, new_y = _point(x[2], y[2], degrees)
        text = _X.sub(lambda at: at[1] + new_x, text, count=1)
        return _Y.sub(lambda at: at[1] + new_y, text, count=1)

    return _OBJECT.sub(turn, line) if degrees else line


def _turn_box(values: list[str], box: tuple[int, ...], degrees: int) -> None:
    left, right, top, bottom = box
    if not all(_is_coordinate(values[at]) for at in box):
        return
    low = _point(values[left], values[top], degrees)
    high = _point(values[right], values[bottom], degrees)
    # A quarter turn changes which of two corners comes first on one side, half a turn on both.
    across = (high[0], low[0]) if degrees in (180, 270) else (low[0], high[0])
    down = (high[1], low[1]) if degrees in (90, 180) else (low[1], high[1])
    values[left], values[right] = across
    values[top], values[bottom] = down


def _point(x: str, y: str, degrees: int) -> tuple[str, str]:
    if not (_is_coordinate(x) and _is_coordinate(y)):
        return x, y
    if degrees == 90:  # noqa: PLR2004 - a quarter turn
        return y, _rest(x)
    if degrees == 180:  # noqa: PLR2004 - half a turn
        return _rest(x), _rest(y)
    return (_rest(y), x) if degrees else (x, y)


def _rest(text: str) -> str:
    """Give 1 - x with the decimals that x has."""
    return f"{_EXACT.subtract(Decimal(1), Decimal(text)):f}"


def _is_coordinate(text: str) -> bool:
    return bool(_IS_NUMBER.fullmatch(text)) and abs(float(text)) < _FARTHEST


def _negative(text: str) -> bool:
    return text.startswith("-") and text.strip("-0.") != ""


def _clicks(text: str, degrees: int) -> str:
    made = []
    for click in text.split(";"):
        x, _, rest = click.partition(" ")
        y, gap, kind = rest.partition(" ")
        x, y = _point(x, y, degrees)
        made.append(f"{x} {y}{gap}{kind}" if rest else click)
    return ";".join(made)
