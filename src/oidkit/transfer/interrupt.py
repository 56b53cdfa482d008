"""Ctrl-C and a polite kill, turned into a flag that the loop looks at between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn Ctrl-C and a polite kill into a flag; a second Ctrl-C ends the program at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stopped.is_set() and number == signal.SIGINT:
            earlier = before[signal.SIGINT]
            if callable(earlier):
                earlier(number, frame)
            raise KeyboardInterrupt
        stopped.set()

    before = {}
    with contextlib.suppress(ValueError):  # an interpreter inside another program may refuse
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, on_signal)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
