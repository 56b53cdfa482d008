"""What the loop carries out: jobs, and those that are done beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from oidkit.transfer.budget import Budget
from oidkit.transfer.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from oidkit.disk import Record
    from oidkit.errors import OidError
    from oidkit.events import Fetched
    from oidkit.store import Reply, Request

__all__ = ["Beside", "Flight", "Job", "Traffic"]


class Job(Protocol):
    """One object, or a part of one, and what is to become of it.

    The loop asks for `request`, hands over the reply and the body, and lets `settle` check and
    keep them on another thread: it gives the records of what was made, or None when another
    request is needed first. `begin` is told of 412 and 416 too, and raises `ChangedError`, or
    another error to begin anew. `request` is asked again for every try, so a job may go on where
    the broken one ended; it is None where nothing needs to be asked. `cancel` asks a long `settle`
    to come to an end, and `told` is what there is to say of it beside its records.
    """

    @property
    def name(self) -> str: ...

    def request(self) -> Request | None: ...

    def begin(self, reply: Reply) -> None: ...

    def write(self, data: bytes) -> None: ...

    def settle(self) -> Sequence[Record] | None: ...

    def fail(self, error: OidError) -> Sequence[Record]: ...

    def cancel(self) -> None: ...

    def told(self) -> Fetched | None: ...


@dataclass(slots=True)
class Traffic:
    """What went over the wire so far: requests, and every byte of every response body."""

    requests: int = 0
    received: int = 0


@dataclass(slots=True)
class Beside:
    """Jobs that nothing depends on, of another host maybe: done while others are under way.

    They have a `budget` of their own, and trouble of theirs ends them and never the run: what is
    not done of them is dropped without a word, and `on_trouble` is called once. `jobs` gives None
    while none is known.
    """

    jobs: Iterator[Job | None]
    on_trouble: Callable[[], None]
    budget: Budget = field(default_factory=Budget)
    over: bool = False

    def next(self, now: float) -> Flight | None:
        """Give what is to be started next, where there is something and its source lets it."""
        if self.over or self.budget.opens > now:
            return None
        job = next(self.jobs, None)
        return Flight(job, self.budget) if job is not None else None


@dataclass(slots=True, eq=False)
class Flight:
    """A job under way, whose `budget` it is, and the tries that it has had.

    `begun` tells that the job knows the answer, `surplus` counts the bytes of one without use.
    """

    job: Job
    budget: Budget
    backoff: Backoff = field(default_factory=Backoff)
    begun: bool = False
    surplus: int = 0
