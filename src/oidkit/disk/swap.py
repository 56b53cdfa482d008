"""A folder that takes the place of another one."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["exchange"]

_MOST_TRIES = 20


def exchange(fresh: Path, place: Path) -> None:
    """Let a folder take the place of another one, which is then at *fresh* or gone.

    Where the system can, the two change names in one step. Else the old one stands as
    ``<fresh>.old`` for a moment; whoever finds it there and nothing at *place* puts it back.
    """
    aside = fresh.with_name(f"{fresh.name}.old")
    for attempt in range(_MOST_TRIES):
        try:
            if not place.exists():
                fresh.rename(place)
                return
            if _swapped(fresh, place):
                return
            place.rename(aside)
        except OSError as error:
            # Another run has put its own there meanwhile, or taken it away.
            met = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY}
            if error.errno not in met or attempt == _MOST_TRIES - 1:
                raise
            continue
        try:
            fresh.rename(place)
        except OSError:
            if not place.exists():
                aside.rename(place)
                raise
        shutil.rmtree(aside, ignore_errors=True)
        if not fresh.exists():
            return


def _swapped(one: Path, other: Path) -> bool:
    """Change the names of two folders in one step; False where the system has no such call."""
    import ctypes

    # renameat2(2) with RENAME_EXCHANGE, and Darwin's renamex_np(2) with RENAME_SWAP.
    here, flag = -100, 2
    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, flag) == 0)
        return bool(library.renameat2(here, names[0], here, names[1], flag) == 0)
    except (OSError, AttributeError, TypeError):
        return False
