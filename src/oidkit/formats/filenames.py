"""Names of classes as names of files and folders that every file system takes and tells apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["told_apart", "without_awkward"]

# What Windows or a shell takes amiss.
_AWKWARD = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


def without_awkward(name: str) -> str:
    """Put ``_`` for each character that no file name may hold."""
    return _AWKWARD.sub("_", name)


def told_apart(names: Iterable[str], *, taken: Iterable[str] = (), by: str = "_") -> list[str]:
    """Give names that differ in more than case, from each other and from those *taken*.

    One that does not gets its number, which counts from 0, at its end, after *by*.
    """
    known = {name.casefold() for name in taken}
    found = []
    for number, name in enumerate(names):
        fresh = f"{name}{by}{number}" if name.casefold() in known else name
        known.add(fresh.casefold())
        found.append(fresh)
    return found
