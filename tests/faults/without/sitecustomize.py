"""Switches off one safeguard of the program, in a process that a test of a fault starts.

It shows that the test can fail. The program itself has no such switch: Python reads this file as it
starts, where its folder is on PYTHONPATH and OID_TESTED_WITHOUT names a safeguard.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oidkit.objectpath import Location

SAFEGUARDS: dict[str, Callable[[], None]] = {}


def without(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Note how a safeguard is switched off."""

    def note(switch_off: Callable[[], None]) -> Callable[[], None]:
        SAFEGUARDS[name] = switch_off
        return switch_off

    return note


@without("checksums")
def _checksums() -> None:
    """Take every image as it came (row 8)."""
    from oidkit.transfer.jobs import ImageJob

    ImageJob._examine = lambda self, body, check: None  # type: ignore[method-assign]


@without("deadlines")
def _deadlines() -> None:
    """Let every transfer take as long as it takes (row 14)."""
    from oidkit.store import http

    http._LOW_SPEED_BYTES = http._LOW_SPEED_SECONDS = 0
    http.HttpTransfer._silences = lambda self, happened: None  # type: ignore[method-assign]


@without("if-range")
def _if_range() -> None:
    """Go on with whatever object is there now (row 23)."""
    from oidkit.store.model import Request
    from oidkit.transfer import metadata

    honest = Request.headers

    def headers(self: Request) -> dict[str, str]:
        return {name: value for name, value in honest(self).items() if name != "If-Range"}

    Request.headers = headers  # type: ignore[method-assign]
    setattr(metadata, "same_object", lambda one, other: True)  # noqa: B010


@without("locks")
def _locks() -> None:
    """Let every lock be had at once by everybody, as on disks that do not know them (row 31)."""
    import fcntl

    fcntl.flock = lambda *_: None


@without("names")
def _names() -> None:
    """Let unfinished files have the same names in all runs, and the locks do nothing (row 30)."""
    from oidkit import ownership

    _locks()
    ownership.claim = lambda: "0" * 12


@without("atomic writes")
def _atomic_writes() -> None:
    """Write every file straight to its final name, as slowly as a busy disk does (row 1)."""
    import time

    from oidkit import disk
    from oidkit.disk import writing

    def write(path: Location, data: bytes | Iterable[bytes], *, lasting: bool = False) -> None:
        del lasting
        assert isinstance(path, Path)
        whole = data if isinstance(data, bytes) else b"".join(data)
        with path.open("wb", buffering=0) as file:
            for at in range(0, len(whole), 4096):
                file.write(whole[at : at + 4096])
                time.sleep(0.002)

    disk.write_atomically = writing.write_atomically = write


@without("a steady clock")
def _steady_clock() -> None:
    """Let the clock of the day step by the seconds that a file holds at the moment (row 35)."""
    import time

    true, place = time.time, os.environ["OID_TESTED_CLOCK"]

    def stepped() -> float:
        with open(place) as file:  # noqa: PTH123 - at every call, before any other module
            return true() + int(file.read() or 0)

    time.time = stepped


if chosen := os.environ.get("OID_TESTED_WITHOUT"):
    SAFEGUARDS[chosen]()
