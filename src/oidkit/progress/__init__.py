"""Draws events for a person: a live line on a terminal, plain lines in a log.

Everything goes to the one stream that the caller names (stderr, for the commands), so that stdout
stays free for results. Drawing never ends a run: what the stream cannot encode is replaced, and a
stream that has gone away is written to no more.

`rich` is imported only when a live line is wanted: it costs more than a whole short command.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from oidkit.events import (
    Failed,
    Fetched,
    Missing,
    Noted,
    PhaseEnded,
    PhaseStarted,
    Received,
    Rejected,
    Retried,
    Warned,
)
from oidkit.progress.counts import Phase, byte_count, duration
from oidkit.progress.screens import Lines, Live, Quiet
from oidkit.progress.stream import SafeStream, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oidkit.events import Event, Listener
    from oidkit.progress.screens import Screen

__all__ = ["byte_count", "duration", "is_live", "listener"]

# A source that refuses everything fails every item, and the first few say why.
_FAILURES_SHOWN = 20


@contextmanager
def listener(
    stream: TextIO, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
) -> Iterator[Listener]:
    """Give a listener that draws on *stream* until the block ends.

    Where *stream* is a terminal, the running phase is one live line, below what lasts. Elsewhere
    each phase has a line when it starts and one when it ends, and between them one every ten
    seconds or more. *quiet* leaves warnings, failures and rejected rows alone. *clock* gives
    seconds that never go back. Raises nothing of its own, whatever the stream does.
    """
    safe = SafeStream(stream)
    screen: Screen
    if quiet:
        screen = Quiet(safe)
    elif is_live(stream):
        screen = Live(safe, clock=clock, redirect=stream is sys.stderr)
    else:
        screen = Lines(safe, clock=clock)
    try:
        yield _Teller(screen, clock=clock).tell
    finally:
        screen.close()


def is_live(stream: TextIO) -> bool:
    """Tell whether *stream* is a terminal whose lines can be drawn over, not the log of a CI."""
    if os.environ.get("TERM", "").lower() in {"dumb", "unknown"}:
        return False
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        return False
    try:
        return stream.isatty()
    except (AttributeError, OSError, ValueError):
        return False


class _Teller:
    """Counts events and tells a screen; phases may lie inside each other."""

    def __init__(self, screen: Screen, *, clock: Callable[[], float]) -> None:
        self._screen = screen
        self._clock = clock
        self._phases: list[Phase] = []
        self._failures = 0

    def tell(self, event: Event) -> None:
        match event:
            case Received():
                for phase in self._phases:
                    phase.received += event.bytes
            case PhaseStarted():
                self._begin(event)
            case PhaseEnded():
                self._end()
            case Noted():
                self._screen.note(one_line(event.text))
            case Warned():
                self._screen.warn("warning", one_line(event.text))
            case Rejected():
                self._warn_rejected(event)
            case Fetched() | Missing() | Failed() | Retried():
                self._count(event)
        if self._phases and isinstance(event, Received | Fetched | Missing | Failed | Retried):
            self._screen.advance(self._phases[-1])

    def _begin(self, event: PhaseStarted) -> None:
        name = one_line(event.phase)
        phase = Phase(name, event.items, event.bytes, started=self._clock())
        self._phases.append(phase)
        self._screen.begin(phase)

    def _end(self) -> None:
        if not self._phases:
            return
        phase = self._phases.pop()
        hidden = self._failures - _FAILURES_SHOWN
        self._failures = 0
        if hidden > 0:
            self._screen.warn("failed", f"{hidden:,} more, not shown")
        self._screen.end(phase, self._phases[-1] if self._phases else None)

    def _count(self, event: Fetched | Missing | Failed | Retried) -> None:
        if isinstance(event, Failed):
            self._failures += 1
            if self._failures <= _FAILURES_SHOWN:
                self._screen.warn("failed", one_line(f"{event.name}: {event.reason}"))
        if not self._phases:
            return
        phase = self._phases[-1]
        match event:
            case Fetched():
                phase.fetched += 1
            case Missing():
                phase.missing += 1
            case Failed():
                phase.failed += 1
            case Retried():
                phase.retried += 1

    def _warn_rejected(self, event: Rejected) -> None:
        rows = "1 row" if event.rows == 1 else f"{event.rows:,} rows"
        text = f"{rows} of {event.name} set aside, see {event.path}"
        self._screen.warn("warning", one_line(text))
