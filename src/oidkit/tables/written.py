"""Files of a dataset folder that are read again, and what is said of one that is spoilt."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import polars as pl

from oidkit.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oidkit.objectpath import Location

__all__ = ["as_written", "spoilt"]


def spoilt(path: Location, fault: str = "is not as a download writes it") -> IntegrityError:
    """Word the error for a file that somebody or something has changed since."""
    return IntegrityError(f"{path} {fault}", remedy="bring it back with: oid verify DIR --repair")


@contextlib.contextmanager
def as_written(path: Location) -> Iterator[None]:
    """Raise `IntegrityError`, which names *path*, for what the table engine cannot read in it."""
    try:
        yield
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise spoilt(path) from error
