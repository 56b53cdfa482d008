"""What a person sees of a run: on a terminal, in a log, and on streams that misbehave."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

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
from oidkit.progress import byte_count, duration, is_live, listener

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oidkit.events import Event


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Give the seconds."""
        return self.now


class Terminal(io.StringIO):
    """Memory that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def drawn(events: Iterable[Event | float], *, quiet: bool = False) -> list[str]:
    """Play *events* into a log and give its lines; a number lets that many seconds pass."""
    clock, log = HandClock(), io.StringIO()
    with listener(log, quiet=quiet, clock=clock) as tell:
        for event in events:
            if isinstance(event, float):
                clock.now += event
            else:
                tell(event)
    assert "\x1b" not in log.getvalue()
    return log.getvalue().splitlines()


def test_a_phase_in_a_log_is_a_line_at_its_start_and_one_at_its_end() -> None:
    """A short phase leaves two lines: what is to do, and what was done in which time."""
    lines = drawn(
        [
            PhaseStarted("images", items=3, bytes=3_000_000),
            Received(2_000_000),
            Fetched("train/a", 1_000_000),
            Fetched("train/b", 1_000_000),
            Missing("train/c"),
            4.0,
            PhaseEnded("images"),
        ]
    )
    assert lines == [
        "images: 3 to do, about 3.0 MB to receive",
        "images: 2 of 3, 1 missing, 2.0 MB in 4.0 s (500 kB/s)",
    ]


def test_a_log_gets_at_most_one_line_in_ten_seconds() -> None:
    """A thousand events over 100 seconds leave nine lines between the first and the last."""
    events: list[Event | float] = [PhaseStarted("images", items=2000)]
    for number in range(1000):
        events += [0.1, Received(100_000), Fetched(f"train/{number:016x}", 100_000)]
    events.append(PhaseEnded("images"))
    lines = drawn(events)[1:-1]
    assert 8 <= len(lines) <= 10
    assert lines[0].startswith("images: 5%, ")
    assert not [line for line in lines if "1.0 MB/s" not in line]
    assert re.fullmatch(
        r"images: 5%, \d+ of 2,000, 10\.\d MB, 1\.0 MB/s, 3 min \d\d s left", lines[0]
    )


def test_a_log_of_a_day_stays_short() -> None:
    """Lines come more rarely the longer a phase goes on."""
    events: list[Event | float] = [PhaseStarted("images", items=86_400)]
    for number in range(86_400):
        events += [1.0, Fetched(str(number), 1)]
    assert len(drawn(events)) < 200


def test_the_time_left_of_one_big_file_follows_its_bytes() -> None:
    """A phase of a single item is measured by the bytes that have come."""
    lines = drawn(
        [PhaseStarted("boxes", items=1, bytes=1_000_000_000), 20.0, Received(250_000_000)]
    )
    assert lines[1] == "boxes: 25%, 250 MB of 1.0 GB, 12.5 MB/s, 1 min 00 s left"


def test_the_speed_is_that_of_the_last_seconds() -> None:
    """A minute at full speed does not hide that the last half minute brought nothing but crumbs."""
    events: list[Event | float] = [PhaseStarted("images", items=100)]
    for _ in range(60):
        events += [1.0, Received(10_000_000)]
    for _ in range(30):
        events += [1.0, Received(1000)]
    assert "1.0 kB/s" in drawn(events)[-1]


def test_more_bytes_than_planned_do_not_pass_the_end() -> None:
    """Ranges that were merged and tries made again bring more than the plan: 100% is the most."""
    lines = drawn([PhaseStarted("masks", items=1, bytes=100), 20.0, Received(500)])
    assert lines[1].startswith("masks: 100%, ")
    assert "left" not in lines[1]


def test_a_phase_inside_a_phase_gives_its_bytes_to_both() -> None:
    """What an inner phase receives counts for the outer one, its items do not."""
    lines = drawn(
        [
            PhaseStarted("tables", items=2),
            PhaseStarted("boxes", items=1),
            Received(3000),
            Fetched("boxes.csv", 3000),
            0.5,
            PhaseEnded("boxes"),
            PhaseEnded("tables"),
        ]
    )
    assert lines[2:] == ["boxes: 1 of 1, 3.0 kB in 0.5 s", "tables: 0 of 2, 3.0 kB in 0.5 s"]


TROUBLE: tuple[Event, ...] = (
    Noted("table built"),
    PhaseStarted("images", items=2),
    Warned("the clock is wrong"),
    Retried("train/a", "503", 1.0),
    Failed("train/a", "timed out", 4),
    Rejected("boxes.csv", 1, "/cache/rejected.csv"),
    PhaseEnded("images"),
)


def test_quiet_leaves_warnings_and_failures() -> None:
    """Without progress, what the user should read is still there, and nothing else."""
    assert drawn(TROUBLE, quiet=True) == [
        "warning: the clock is wrong",
        "failed: train/a: timed out",
        "warning: 1 row of boxes.csv set aside, see /cache/rejected.csv",
    ]


def test_a_log_has_notes_too() -> None:
    """Unless quiet, what is worth a line gets one, and tries made again are counted."""
    lines = drawn(TROUBLE)
    assert lines[0] == "table built"
    assert lines[-1].startswith("images: 0 of 2, 1 failed, 1 retried in ")


@pytest.mark.parametrize("quiet", [True, False])
def test_a_source_that_refuses_everything_does_not_flood(*, quiet: bool) -> None:
    """The first twenty failures say why, the others are counted."""
    events: list[Event] = [PhaseStarted("images", items=500)]
    events += [Failed(f"train/{number}", "refused", 4) for number in range(500)]
    lines = [
        line for line in drawn([*events, PhaseEnded("images")], quiet=quiet) if "failed:" in line
    ]
    assert len(lines) == 21
    assert lines[-1] == "failed: 480 more, not shown"


def test_text_of_a_server_cannot_steer_the_terminal() -> None:
    """Escape codes and line ends in a reason or a name come out as harmless characters."""
    assert drawn([Failed("a\x1b[2J", "so\r\nwhat\x07", 4)]) == ["failed: a?[2J: so  what?"]


def test_an_encoding_that_lacks_a_character_gets_a_question_mark() -> None:
    """A stream of a legacy code page takes any name."""
    raw = io.BytesIO()
    with listener(io.TextIOWrapper(raw, encoding="cp437", newline="\n")) as tell:
        tell(Warned("no such folder: 東京/café"))
    assert raw.getvalue().decode("cp437") == "warning: no such folder: ??/café\n"


def test_a_stream_that_has_gone_away_ends_no_run() -> None:
    """Events after the stream was closed, or its reader has gone, are taken and dropped."""
    closed = io.StringIO()
    closed.close()
    reader, writer = os.pipe()
    os.close(reader)
    broken = open(writer, "w", encoding="utf-8", buffering=1)  # noqa: SIM115, PTH123 - closed below
    for stream in (closed, broken):
        with listener(stream) as tell:
            for event in TROUBLE:
                tell(event)
    with pytest.raises(OSError, match=r".*"):
        broken.close()


def test_an_error_inside_the_block_goes_through() -> None:
    """The listener hides no error of the run, open phase or not."""

    def run() -> None:
        with listener(io.StringIO()) as tell:
            tell(PhaseStarted("images", items=2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()


@pytest.mark.parametrize(
    ("name", "value", "live"),
    [
        ("TERM", "xterm", True),
        ("TERM", "dumb", False),
        ("CI", "true", False),
        ("CI", "false", True),
    ],
)
def test_dumb_terminals_and_ci_get_lines(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, live: bool
) -> None:
    """Where a line cannot be drawn over, plain lines come instead."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv(name, value)
    assert is_live(Terminal()) is live
    assert is_live(io.StringIO()) is False


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (21_299_917, "21.3 MB"),
        (638_000_000, "638 MB"),
        (10**19, "10000 PB"),
    ],
)
def test_counts_of_bytes_have_decimal_units(count: int, text: str) -> None:
    """A megabyte is a million bytes, as in the published sizes; nothing is ever 1000 of one."""
    assert byte_count(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (7800, "2 h 10 min")],
)
def test_times_have_their_two_largest_units(seconds: float, text: str) -> None:
    """Times are written as a person would say them."""
    assert duration(seconds) == text


def test_a_log_never_imports_rich() -> None:
    """A command that draws no live line does not pay for rich."""
    program = """
        import io, sys
        from oidkit.events import PhaseStarted, Warned
        from oidkit.progress import listener
        with listener(io.StringIO()) as tell:
            tell(PhaseStarted("images", items=2))
            tell(Warned("careful"))
        sys.exit("rich" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


# ------------------------------------------------------------------------------ a real terminal

PLAY = """
    import sys, time
    from oidkit.events import *
    from oidkit.progress import listener
    with listener(sys.stderr) as tell:
        tell(PhaseStarted("images", items=3, bytes=3_000_000))
        for name in ("a", "b"):
            tell(Received(1_000_000))
            tell(Fetched("train/" + name, 1_000_000))
            time.sleep(0.3)
        tell(Warned("[bold]東京[/bold] :smile:"))
        print("and a stray line", file=sys.stderr)
        time.sleep(0.3)
        tell(Missing("train/c"))
        tell(PhaseEnded("images"))
    print("result")
"""


def play_on_terminal(width: int, **environment: str) -> tuple[str, str]:
    """Run PLAY with stdin and stderr on a real terminal of *width* columns; give stderr, stdout."""
    pty = pytest.importorskip("pty", reason="this platform has no pseudo-terminals")
    fcntl = pytest.importorskip("fcntl")
    termios = pytest.importorskip("termios")
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, bytes([24, 0, width, 0, 0, 0, 0, 0]))
    environ = {
        key: value
        for key, value in os.environ.items()
        if key not in {"CI", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}
    }
    environ |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment}
    seen = bytearray()

    def read() -> None:
        # Linux ends a terminal whose other side is closed with an error, others with nothing.
        try:
            while part := os.read(near, 65536):
                seen.extend(part)
        except OSError:
            pass

    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PLAY)],
        stdin=far,
        stdout=subprocess.PIPE,
        stderr=far,
        env=environ,
        text=True,
    ) as process:
        os.close(far)
        reader = threading.Thread(target=read)
        reader.start()
        output, _ = process.communicate(timeout=60)
        reader.join(60)
    os.close(near)
    assert process.returncode == 0, seen.decode("utf-8", "replace")
    return seen.decode("utf-8", "replace"), output


def segments(screen: str) -> list[str]:
    """Cut *screen* into what was written between one control and the next."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    return [part for part in re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", plain) if part.strip()]


def test_a_terminal_shows_one_live_line_and_keeps_what_lasts() -> None:
    """The running phase shows its numbers live, its end stays, and stdout has the result alone."""
    screen, output = play_on_terminal(100)
    shown = segments(screen)
    assert output == "result\n"
    assert any("images" in part and "1 of 3, 1.0 MB" in part and "/s" in part for part in shown)
    assert any("left" in part for part in shown)
    assert any(part.rstrip() == "warning: [bold]東京[/bold] :smile:" for part in shown)
    assert any(part.rstrip() == "and a stray line" for part in shown)
    assert re.fullmatch(r"images: 2 of 3, 1 missing, 2\.0 MB in \d\.\d s", shown[-1].rstrip())
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l"), "the cursor is back"


@pytest.mark.parametrize("width", [1, 12, 40, 79])
def test_the_live_line_fits_any_width(width: int) -> None:
    """The live line is never longer than the terminal is wide: it would leave a trail of lines."""
    screen, _ = play_on_terminal(width)
    lasting = ("warning", "and a stray", "images: 2 of 3")
    live = [part for part in segments(screen) if not part.startswith(lasting)]
    assert live
    assert max(len(part.rstrip()) for part in live) <= width


def test_a_terminal_of_unknown_width_is_taken_as_80_columns() -> None:
    """A terminal that says it has no columns at all still shows its numbers."""
    screen, _ = play_on_terminal(0)
    assert any("1 of 3, 1.0 MB" in part for part in segments(screen))


def test_no_color_means_none() -> None:
    """NO_COLOR takes the colours away, and leaves the line live."""
    colours = re.compile(r"\x1b\[(?:3|4|9)[0-9]")
    plain, _ = play_on_terminal(100, NO_COLOR="1")
    coloured, _ = play_on_terminal(100)
    assert not colours.search(plain)
    assert colours.search(coloured)
    assert "\x1b[2K" in plain


def test_a_terminal_of_a_legacy_encoding_shows_the_rest() -> None:
    """A terminal that is not UTF-8 gets an ASCII bar and replaced characters, and no crash."""
    screen, _ = play_on_terminal(100, PYTHONIOENCODING="ascii")
    assert any(part.startswith("warning: [bold]") for part in segments(screen))
    assert screen.isascii()


def test_a_dumb_terminal_gets_plain_lines() -> None:
    """TERM=dumb has no controls at all in what it is sent."""
    screen, _ = play_on_terminal(100, TERM="dumb")
    assert "\x1b" not in screen
    assert "images: 3 to do, about 3.0 MB to receive" in screen


def test_an_event_costs_little() -> None:
    """A hundred thousand events are told in well under ten seconds: drawing does not slow a run."""
    started = time.perf_counter()
    with listener(io.StringIO()) as tell:
        tell(PhaseStarted("images", items=50_000))
        for number in range(50_000):
            tell(Received(1000))
            tell(Fetched(str(number), 1000))
    assert time.perf_counter() - started < 10
