"""What a dataset folder says of itself: `.oid/dataset.json`, and the same as a recipe.

A description of a newer version is refused: what this one does not know would be lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from oidkit.catalog import RELEASES
from oidkit.disk import naming, write_atomically
from oidkit.errors import OidError, UsageError
from oidkit.recipe import Recipe
from oidkit.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oidkit.objectpath import Location

__all__ = ["Description", "describe", "save_description"]

FORMAT = 1
_FIELDS = {"format", "release", "source", "selections"}


@dataclass(frozen=True, slots=True)
class Description:
    """What `.oid/dataset.json` says: the release, the last source, and the selections so far."""

    release: str
    source: str
    selections: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_upright(self) -> bool | None:
        """Whether images and annotations are turned upright; None where nothing is in there."""
        if not self.selections:
            return None
        return any(each.get("upright") is True for each in self.selections)

    def with_selection(self, selection: Mapping[str, Any], *, source: str) -> Description:
        """Add a selection, once."""
        plain = json.loads(json.dumps(selection))
        known = self.selections if plain in self.selections else (*self.selections, plain)
        return Description(self.release, source, known)


def describe(root: Location) -> Description | None:
    """Read what a dataset folder says of itself, or give None where there is no dataset.

    Raises:
        UsageError: the description is of a newer version, or cannot be read.

    """
    path = root / ".oid" / "dataset.json"
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OidError:
        # Of a bucket; that says what it is.
        raise
    except OSError as error:
        raise _unreadable(root) from error
    try:
        return _described(json.loads(data))
    except _NewerError as error:
        raise UsageError(
            f"{root} was written by a newer oidkit", remedy="update oidkit, or choose another --out"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable(root) from error


def _unreadable(root: Location) -> UsageError:
    return UsageError(
        f"{root}/.oid/dataset.json cannot be read",
        remedy="remove it and run the same download again, or choose another folder",
    )


class _NewerError(Exception):
    """A description says more than this version knows of."""


def _described(found: Any) -> Description:
    """Take what `.oid/dataset.json` says; what would be lost by writing it again is refused."""
    if not isinstance(found["format"], int) or isinstance(found["format"], bool):
        raise TypeError
    if found["format"] > FORMAT or set(found) - _FIELDS:
        raise _NewerError
    release, source, selections = found["release"], found["source"], found["selections"]
    if release not in RELEASES or not isinstance(source, str) or not isinstance(selections, list):
        raise TypeError
    known = {each.name for each in fields(Selection)}
    if any(set(each.keys() if isinstance(each, dict) else ()) - known for each in selections):
        raise _NewerError
    for each in selections:
        Selection.from_dict(each)
    return Description(release, source, tuple(selections))


def save_description(root: Location, description: Description) -> None:
    """Write down the release and the selections, for us and as a recipe."""
    selections = tuple(map(Selection.from_dict, description.selections))
    recipe = Recipe(selections, description.release).to_toml()
    plain = {
        "format": FORMAT,
        "release": description.release,
        "source": description.source,
        "selections": list(description.selections),
    }
    files = {"dataset.json": json.dumps(plain, indent=2) + "\n", "recipe.toml": recipe}
    for name, text in files.items():
        path = root / ".oid" / name
        with naming(path):
            there = path.read_bytes() if path.is_file() and not path.is_symlink() else None
            if there != text.encode():
                write_atomically(path, text.encode(), lasting=True)
