"""Ctrl-C and a polite kill end the command with one sentence, in whatever line they come.

Python raises KeyboardInterrupt between any two instructions. Where that is in a callback of
compiled code or as an object is thrown away, it is dropped, or makes another error; where it is in
the interpreter's last steps, it prints a traceback.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Stops"]

_A_MOMENT = 0.01


class Stops:
    """Whether the command was asked to stop; a polite kill counts as Ctrl-C does."""

    def __init__(self) -> None:
        self.heard = False
        self.over = False
        """Set where nothing is left to be stopped; no call may stand before that."""
        self._listening = False

    def listen(self) -> None:
        """Listen from now on, in the main thread of a process that is the command's own."""
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        sys.unraisablehook = _again
        self._listening = True

    def leave(self) -> None:
        """Let the next Ctrl-C end the process without a word: what there was to say is said."""
        if self._listening:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if not self.over:
            self.heard = True
            raise KeyboardInterrupt


def _again(dropped: sys.UnraisableHookArgs) -> None:
    """Raise an interrupt that was dropped once more, a moment later."""
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        # Not from here: it would be raised in this function, and dropped again.
        later = threading.Timer(_A_MOMENT, _thread.interrupt_main)
        later.daemon = True
        later.start()
    else:
        sys.__unraisablehook__(dropped)
