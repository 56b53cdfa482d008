"""Pictures of a dataset in a bucket: their files are read some at a time, each once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oidkit.objectpath import ObjectPath
from oidkit.store.memory import MemoryObjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oidkit.formats.model import Picture
    from oidkit.objectpath import Objects

__all__ = ["at_hand"]

_AT_ONCE = 32
"""Pictures whose files are in memory at a time: 10 MB as they are published."""


def at_hand(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Give the pictures with paths that can be read at once: those of the disk, or of memory."""
    for first in range(0, len(pictures), _AT_ONCE):
        some = pictures[first : first + _AT_ONCE]
        path = some[0].path
        if isinstance(path, ObjectPath) and not isinstance(path.objects, MemoryObjects):
            some = _brought(some, path.objects)
        yield from some


def _brought(pictures: Sequence[Picture], objects: Objects) -> list[Picture]:
    files = [each.path for each in pictures]
    files += [thing.mask for each in pictures for thing in each.things if thing.mask]
    keys = list(dict.fromkeys(each.key for each in files if isinstance(each, ObjectPath)))
    memory = MemoryObjects(objects.name)
    memory.write_all(objects.read_all(keys).items())
    return [
        replace(
            each,
            path=ObjectPath(memory, _key(each.path)),
            things=tuple(
                replace(thing, mask=ObjectPath(memory, _key(thing.mask))) if thing.mask else thing
                for thing in each.things
            ),
        )
        for each in pictures
    ]


def _key(path: object) -> str:
    assert isinstance(path, ObjectPath)  # noqa: S101 - for the type checker: all of one dataset
    return path.key
