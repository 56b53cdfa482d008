"""What the library says while it works: frozen facts, handed to a callable.

The library prints nothing. Whoever calls it passes `on_event`, a function of one argument, and is
told of every fact in the order in which it became true, always on the calling thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "Event",
    "Failed",
    "Fetched",
    "Listener",
    "Missing",
    "Noted",
    "PaceChanged",
    "PhaseEnded",
    "PhaseStarted",
    "Received",
    "Rejected",
    "Retried",
    "Warned",
    "ignore",
]


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A stretch of work begins, such as "images": `items` to do, about `bytes` to receive."""

    phase: str
    items: int = 0
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    """The stretch of work that was started last is over."""

    phase: str


@dataclass(frozen=True, slots=True)
class Received:
    """`bytes` more of some response body have arrived; sums up to every byte received."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """One item of the phase is whole, checked and at its final name.

    An image that stands in several folders is one item, named by one of them.
    """

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Missing:
    """The source does not have the item (404, 410, or no such member in the zip)."""

    name: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The item could not be fetched, after every retry; `exit_code` is that of its kind."""

    name: str
    reason: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Retried:
    """A try of the item failed and is made again after `seconds`."""

    name: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """From now on `limit` requests may be in flight, and `rate` a second may be begun (None: any).

    `seconds` is the time since the first request of the call. `reason` is "begun" at the first
    request of a stretch of work, "clean" after good answers, "429", "503" or "timeout".
    """

    seconds: float
    limit: int
    rate: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """`rows` rows of an annotation file were set aside; `path` lists line, reason and text."""

    name: str
    rows: int
    path: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something worth a line, such as a table that has been built."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should read, though the run goes on."""

    text: str


Event = (
    PhaseStarted
    | PhaseEnded
    | Received
    | Fetched
    | Missing
    | Failed
    | Retried
    | PaceChanged
    | Rejected
    | Noted
    | Warned
)
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Take an event and do nothing with it: the listener of callers who want none."""
