"""Recipes: a file of selections that makes the same dataset again, in TOML.

::

    format = 1
    release = "v7"

    [[selection]]
    classes = ["/m/0gxl3"]
    limit = 100
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oidkit.errors import UsageError
from oidkit.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Recipe"]

_FORMAT = 1
_KNOWN = {"format", "release", "selection"}
_NOTE = "# With `oid download --recipe FILE --out DIR` this makes the same dataset again.\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Selections that make up a dataset, in the order in which they were downloaded.

    `release` is v4 to v7; None leaves it to the settings.
    """

    selections: tuple[Selection, ...]
    release: str | None = None

    def to_toml(self) -> str:
        """Write the recipe as TOML, from which the very same recipe is read."""
        lines = [_NOTE, f"format = {_FORMAT}\n"]
        if self.release is not None:
            lines.append(f"release = {_value(self.release)}\n")
        for each in self.selections:
            lines += ["\n[[selection]]\n", *_fields(each)]
        return "".join(lines)

    @classmethod
    def from_toml(cls, text: str, *, name: str = "the recipe") -> Recipe:
        """Read a recipe; what a selection does not name is as always. *name* is for errors.

        Raises:
            UsageError: it is not TOML, no recipe, or one of a newer version.

        """
        try:
            found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{name} is not TOML: {error}", remedy="mend it") from error
        form = found.get("format", _FORMAT)
        if not isinstance(form, int) or form > _FORMAT:
            raise UsageError(f"{name} was written by a newer oidkit", remedy="update oidkit")
        if unknown := sorted(found.keys() - _KNOWN):
            raise UsageError(
                f"{name} has '{unknown[0]}', which means nothing here",
                remedy="put what is wanted below [[selection]]",
            )
        release = found.get("release")
        if release is not None and not isinstance(release, str):
            raise UsageError(f"the release of {name} is not a text", remedy='write it as "v7"')
        return cls(tuple(_selections(found.get("selection", []), name)), release)


def _selections(listed: Any, name: str) -> Iterator[Selection]:
    """Read one table, or a list of them."""
    tables = [listed] if isinstance(listed, dict) else listed
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise UsageError(f"the selection of {name} is no table", remedy="write [[selection]]")
    if not tables:
        raise UsageError(f"{name} holds no selection", remedy="write one below [[selection]]")
    for table in tables:
        try:
            yield Selection.from_dict(table)
        except UsageError as error:
            raise UsageError(f"{name}: {error.cause}", remedy=error.remedy) from error


def _fields(selection: Selection) -> Iterator[str]:
    for name, value in selection.as_dict().items():
        if isinstance(value, list):
            yield f"{name} = [{', '.join(map(_value, value))}]\n"
        elif value is not None:
            yield f"{name} = {_value(value)}\n"


def _value(value: object) -> str:
    """Write a plain value: JSON is TOML here, but for DEL, which TOML wants escaped."""
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
