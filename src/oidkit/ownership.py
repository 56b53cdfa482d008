"""Names for unfinished work that say whose it is, so that nobody touches the work of a live run.

Locks do nothing on some disks, and hold on one machine only on others. So whatever a run has under
way carries a token in its name: machine, boot, process, when that began, and a random part. Work
whose token belongs to nobody any more may be swept or taken over: its process is dead, or its
owner has let go of it. Of another machine nobody can tell: its work is left alone for a day.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import platform
import re
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TOKEN", "claim", "drop", "is_free", "release"]

TOKEN = r"(?:[0-9a-f]{8}-[0-9a-f]{6}-[0-9]+-[0-9]+-)?[0-9a-f]{12}"  # noqa: S105 - a pattern
"""How a token looks; one without an owner is the random part alone."""

_OWNED = re.compile(r"([0-9a-f]{8})-([0-9a-f]{6})-([0-9]+)-([0-9]+)-[0-9a-f]{12}")
_LONG_AGO = 86_400.0
_UNTOLD = "0"
_NUMBERS = 1 << 48
_count = itertools.count()
_held: set[str] = set()


def claim() -> str:
    """Make a token that is this process's own until it is released."""
    front, first = _own(os.getpid())
    # Of one process each number is another; where they begin is by chance.
    token = f"{front}-{(first + next(_count)) % _NUMBERS:012x}"
    _held.add(token)
    return token


def drop(token: str) -> None:
    """Let go of a token: its work is done, or is nobody's."""
    _held.discard(token)


def release(token: str = "") -> str:
    """Let go of a token, and give one that nobody owns, for work that is handed over."""
    drop(token)
    return _random()


def is_free(name: str, *, untouched: Callable[[], float]) -> bool:
    """Tell whether work of this name is nobody's.

    *untouched* tells for how many seconds nothing of it has changed; it is called only for work
    of another machine, and of a process of which nobody can tell when it began.
    """
    found = _OWNED.search(name)
    if found is None:
        return True
    machine, boot, pid, began = found[1], found[2], int(found[3]), found[4]
    if machine != _machine():
        return untouched() > _LONG_AGO
    if boot != _boot():
        return True
    now = _began(pid)
    if pid == os.getpid() and began == now:
        return found[0] not in _held
    if _UNTOLD in (now, began) and _is_alive(pid):
        # The system does not say, or not of other users (hidepid): the number may be another's.
        return untouched() > _LONG_AGO
    return now != began or not _is_alive(pid)


@functools.cache
def _own(pid: int) -> tuple[str, int]:
    """Give what all tokens of this process begin with, and the first of their numbers.

    Every file that is written has one: the system is asked once, not for each of them.
    """
    return f"{_machine()}-{_boot()}-{pid}-{_began(pid)}", int(_random(), 16)


if hasattr(os, "register_at_fork"):
    # The number of a process that is no more may come again, with another beginning.
    os.register_at_fork(after_in_child=_own.cache_clear)


def _random() -> str:
    return uuid.uuid4().hex[:12]


@functools.cache
def _machine() -> str:
    """Name the machine; containers on one machine see different processes, so they differ."""
    parts = [platform.node(), _text("/etc/machine-id")]
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


@functools.cache
def _boot() -> str:
    """Name the time since the machine began, where it tells: all processes before that are dead."""
    return hashlib.sha256(_text("/proc/sys/kernel/random/boot_id").encode()).hexdigest()[:6]


def _began(pid: int) -> str:
    """Tell when a process began, in ticks since the boot, or 0 where the system does not say."""
    after_name = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return after_name[19] if len(after_name) > 19 else _UNTOLD  # noqa: PLR2004 - field 22 of proc(5)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        # SYNCHRONIZE; a process that has ended is signalled: os.kill would end one that has not.
        handle = ctypes.windll.kernel32.OpenProcess(0x00100000, 0, pid)
        if not handle:
            # ERROR_ACCESS_DENIED: it runs, as somebody else.
            return bool(ctypes.windll.kernel32.GetLastError() == 5)  # noqa: PLR2004
        running = ctypes.windll.kernel32.WaitForSingleObject(handle, 0) != 0
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(running)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
