"""The filters as the page's address writes them. Pure: a query in, a sieve out."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from oidkit.catalog import BUCKET_SPLITS, Label
from oidkit.errors import UsageError
from oidkit.schema import FLAGS
from oidkit.tables.exhibit import PLACES
from oidkit.tables.sieve import ANSWERS, VERDICTS, Sieve
from oidkit.taxonomy import MID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from oidkit.tables.sieve import Range

__all__ = ["sieve_of"]

_MOST = 200
"""So many values a filter may have, and so many letters a word."""


def sieve_of(query: Mapping[str, str]) -> Sieve:
    """Read the filters out of an address; parameters that are none of theirs are left alone.

    Raises:
        UsageError: a value makes no sense.

    """
    mids = {name: _mids(query, name) for name in ("any", "all", "none")}
    flags = {word: _words(query, word, ANSWERS) for word in FLAGS}
    return Sieve(
        any_of=mids["any"],
        all_of=mids["all"],
        none_of=mids["none"],
        split=_words(query, "split", BUCKET_SPLITS),
        label=_words(query, "label", get_args(Label)),
        review=_words(query, "review", VERDICTS),
        flags=tuple((word, answers) for word, answers in flags.items() if answers),
        size=_range(query, "size"),
        boxes=_range(query, "boxes"),
        confidence=_range(query, "confidence"),
        place=_place(query.get("place", "")),
        text=tuple(word[:_MOST] for word in query.get("text", "").lower().split()[:_MOST]),
    )


def _parts(query: Mapping[str, str], name: str) -> list[str]:
    return [part for part in query.get(name, "").split(",") if part][:_MOST]


def _words(query: Mapping[str, str], name: str, known: Collection[str]) -> tuple[str, ...]:
    found = _parts(query, name)
    if wrong := [word for word in found if word not in known]:
        raise _senseless(name, wrong[0], f"choose from {', '.join(known)}")
    return tuple(dict.fromkeys(found))


def _mids(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = _parts(query, name)
    if wrong := [word for word in found if not MID_PATTERN.fullmatch(word)]:
        raise _senseless(name, wrong[0], "give MIDs, such as /m/0gxl3")
    return tuple(dict.fromkeys(found))


def _range(query: Mapping[str, str], name: str) -> Range | None:
    text = query.get(name, "")
    if not text:
        return None
    low, dash, high = text.partition("-")
    try:
        found = (float(low or 0), float(high or "inf"))
    except ValueError:
        found = (1.0, 0.0)
    if not dash or not found[0] <= found[1]:
        raise _senseless(name, text, "give FROM-TO, such as 0.01-0.2")
    return found


def _place(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    column, _, row = text.partition(".")
    inside = {str(number) for number in range(PLACES)}
    if column not in inside or row not in inside:
        raise _senseless("place", text, f"give COLUMN.ROW, each from 0 to {PLACES - 1}")
    return int(column), int(row)


def _senseless(name: str, value: str, remedy: str) -> UsageError:
    return UsageError(f"the filter {name} cannot be '{value[:40]}'", remedy=remedy)
