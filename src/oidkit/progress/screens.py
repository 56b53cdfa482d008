"""Where phases are drawn: nowhere, in plain lines, or in one line that is drawn over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from oidkit.quantities import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType
    from rich.table import Table

    from oidkit.progress.counts import Phase
    from oidkit.progress.stream import SafeStream

__all__ = ["Lines", "Live", "Quiet", "Screen"]

# A log gets a line this often, and more rarely the longer the phase goes on: a run of a day should
# not leave ten thousand lines.
_LINE_SECONDS = 10.0
_LINE_SHARE = 0.05

_REFRESHES_PER_SECOND = 8

# Below this many columns the bar makes room for the numbers.
_WIDTH_FOR_BAR = 70


class Screen(Protocol):
    """Where a teller draws: phases come and go, lines stay."""

    def begin(self, phase: Phase) -> None:
        """Begin to show *phase*, in place of the one that is shown."""

    def advance(self, phase: Phase) -> None:
        """Take notice that the counts of *phase*, which is shown, have changed."""

    def end(self, phase: Phase, outer: Phase | None) -> None:
        """Close *phase* and go back to *outer*, if there is one."""

    def note(self, text: str) -> None:
        """Write a line that stays."""

    def warn(self, word: str, text: str) -> None:
        """Write a line that stays and that a quiet run has too."""

    def close(self) -> None:
        """Leave the stream as a shell would like to find it."""


class Quiet:
    """Warnings and failures alone."""

    def __init__(self, stream: SafeStream) -> None:
        self._stream = stream

    def begin(self, phase: Phase) -> None:
        """Show nothing."""

    def advance(self, phase: Phase) -> None:
        """Show nothing."""

    def end(self, phase: Phase, outer: Phase | None) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def warn(self, word: str, text: str) -> None:
        self._stream.line(f"{word}: {text}")

    def close(self) -> None:
        self._stream.flush()


class Lines(Quiet):
    """Plain lines for a log, a file or a notebook: no escape codes, ASCII but for names."""

    def __init__(self, stream: SafeStream, *, clock: Callable[[], float]) -> None:
        super().__init__(stream)
        self._clock = clock
        self._next = 0.0

    def begin(self, phase: Phase) -> None:
        self._stream.line(phase.opening())
        self._next = phase.started + _LINE_SECONDS

    def advance(self, phase: Phase) -> None:
        now = self._clock()
        if now < self._next:
            return
        figures = phase.figures(now)
        if phase.share is not None:
            figures = f"{phase.share:.0%}, {figures}"
        self._stream.line(f"{phase.name}: {figures}")
        self._next = now + max(_LINE_SECONDS, _LINE_SHARE * (now - phase.started))

    def end(self, phase: Phase, outer: Phase | None) -> None:  # noqa: ARG002 - see Screen
        now = self._clock()
        self._stream.line(phase.closing(now))
        self._next = now + _LINE_SECONDS

    def note(self, text: str) -> None:
        self._stream.line(text)


class Live:
    """One line that is drawn over, by a thread of rich's that reads the running phase's counts.

    The thread only reads, and the listener only counts: an event costs no drawing.
    """

    def __init__(self, stream: SafeStream, *, clock: Callable[[], float], redirect: bool) -> None:
        from rich.console import Console
        from rich.live import Live as LiveDisplay

        # Colour follows NO_COLOR, and width the terminal's, 80 where it does not tell.
        self._console = Console(file=stream.as_text(), force_jupyter=False, highlight=False)
        self._clock = clock
        self._phase: Phase | None = None
        self._live = LiveDisplay(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            # What others print to stderr meanwhile goes above the line; stdout is left alone.
            redirect_stdout=False,
            redirect_stderr=redirect,
        )

    def begin(self, phase: Phase) -> None:
        self._phase = phase
        if not self._live.is_started:
            self._live.start()

    def advance(self, phase: Phase) -> None:
        """Leave the drawing to the thread."""

    def end(self, phase: Phase, outer: Phase | None) -> None:
        self._phase = outer
        if outer is None:
            self._live.stop()
        if not phase.is_empty:
            self._print(phase.closing(self._clock()))

    def note(self, text: str) -> None:
        self._print(text)

    def warn(self, word: str, text: str) -> None:
        self._print(text, word=word, style="red" if word == "failed" else "yellow")

    def close(self) -> None:
        self._phase = None
        self._live.stop()

    def _print(self, text: str, *, word: str = "", style: str = "") -> None:
        from rich.text import Text

        # Text, not markup: a name may hold square brackets.
        line = Text.assemble((f"{word}: ", style), text) if word else Text(text)
        self._console.print(line, soft_wrap=True)

    def _draw(self) -> RenderableType:
        phase = self._phase
        return "" if phase is None else _live_line(phase, self._clock(), self._console.width)


def _live_line(phase: Phase, now: float, width: int) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    cells: list[RenderableType] = [Text(phase.name, style="bold", no_wrap=True)]
    if width >= _WIDTH_FOR_BAR:
        share = phase.share
        # Where nobody knows how much there is, the bar only pulses.
        total = None if share is None else 1.0
        cells.append(ProgressBar(total=total, completed=share or 0.0, width=20, animation_time=now))
    figures = phase.figures(now) or duration(now - phase.started)
    cells.append(Text(figures, no_wrap=True, overflow="ellipsis"))
    table = Table.grid(padding=(0, 1))
    for _ in cells:
        table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row(*cells)
    return table
