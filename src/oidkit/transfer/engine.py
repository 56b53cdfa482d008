"""One loop for everything that comes from a source: N requests in flight over an iterator.

The loop runs on the caller's thread. A small pool of threads checks and writes what has come, as
hashing and writing release the interpreter. Nothing is left running when the loop ends.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from oidkit.errors import (
    ChangedError,
    DiskError,
    IntegrityError,
    InterruptedRunError,
    MalformedError,
    MissingObjectError,
    OidError,
    RefusedError,
    SourceError,
)
from oidkit.events import Failed, Fetched, Listener, Missing, Received, Retried
from oidkit.store import Arrived, Ended, Reply, Request, Transfer
from oidkit.transfer.interrupt import interruptible
from oidkit.transfer.pace import Pace
from oidkit.transfer.retry import GONE, THROTTLED, TRANSIENT, Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from oidkit.disk import Record

__all__ = ["Job", "Run", "Traffic", "event_of"]

_SETTLERS = 3
_CHANGED = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
_WITH_BODY = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_MOST_DAMAGED = 3
# A silent source takes 20 s a try.
_MOST_SLOW = 3
_MOST_LOST = 24
_MOST_UNSETTLED = 32
_MOST_ERROR_BYTES = 64 * 1024


class Job(Protocol):
    """One object, or a part of one, and what is to become of it.

    The loop asks for `request`, hands over the reply and the body, and lets `settle` check and
    keep them on another thread: it gives the records of what was made, or None when another
    request is needed first. `request` is asked again for every try, so a job may go on where the
    broken one ended; it is None where nothing needs to be asked. `cancel` asks a long `settle` to
    come to an end, and `told` is what there is to say of it beside its records.
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


@dataclass(slots=True, eq=False)
class _Flight:
    job: Job
    backoff: Backoff
    begun: bool = False
    refused: OidError | None = None
    surplus: int = 0


def event_of(record: Record) -> Fetched | Missing | Failed:
    """Say as an event what a record says."""
    if record.status == "ok":
        return Fetched(record.path, record.bytes)
    if record.status == "missing":
        return Missing(record.path)
    kind = IntegrityError if record.status == "damaged" else SourceError
    return Failed(record.path, record.reason, kind.exit_code)


def drop_record(record: Record) -> None:
    """Take a record and do nothing with it."""


class Run:
    """Carries out jobs against one transfer.

    `record` is called for everything that was made, is missing, or failed, on the calling thread.
    With `strict`, the first object that cannot be had ends the run with its error.
    """

    def __init__(
        self,
        transfer: Transfer,
        *,
        traffic: Traffic,
        on_event: Listener,
        record: Callable[[Record], None] = drop_record,
        pace: Pace | None = None,
        strict: bool = False,
    ) -> None:
        self._transfer = transfer
        self._traffic = traffic
        self._on_event = on_event
        self._record = record
        self._pace = pace or Pace()
        self._strict = strict
        self._flights: set[_Flight] = set()
        self._later: list[tuple[float, int, _Flight]] = []
        self._order = itertools.count()
        self._settling: dict[Future[Sequence[Record] | None], _Flight] = {}
        self._received = 0
        self._lost = 0

    def carry_out(self, jobs: Iterable[Job]) -> None:
        """Carry out all the jobs, the first ones first.

        Raises:
            InterruptedRunError: the user stopped it; what was finished is recorded.
            DiskError: something could not be written.
            OidError: an object could not be had, and the run is strict.

        """
        waiting = iter(jobs)
        with interruptible() as stopped, ThreadPoolExecutor(_SETTLERS) as self._pool:
            try:
                while self._turn(waiting):
                    if stopped.is_set():
                        raise InterruptedRunError(
                            "interrupted", remedy="run the same command again to go on"
                        )
            finally:
                self._leave()

    def _turn(self, waiting: Iterator[Job]) -> bool:
        """Do one round of the loop; False when all is done."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now and self._room():
            self._launch(heapq.heappop(self._later)[2])
        more = self._fill(waiting)
        if self._flights:
            # With results about to be ready, the wait is short; they come from another thread.
            pause = self._pause(now, longest=0.01 if self._settling else 0.5)
            for happened in self._transfer.poll(pause):
                self._take(happened)
        elif self._settling:
            wait(self._settling, timeout=0.5, return_when=FIRST_COMPLETED)
        elif self._later:
            time.sleep(self._pause(now, longest=0.2))
        self._harvest()
        if self._received:
            self._on_event(Received(self._received))
            self._received = 0
        return more or bool(self._flights or self._settling or self._later)

    def _room(self) -> bool:
        return len(self._flights) < self._pace.limit

    def _pause(self, now: float, *, longest: float) -> float:
        if not self._later or not self._room():
            return longest
        return min(longest, max(0.0, self._later[0][0] - now))

    def _fill(self, waiting: Iterator[Job]) -> bool:
        """Start jobs while there is room; False when none is left to start."""
        while (
            len(self._flights) + len(self._later) < self._pace.limit
            and len(self._settling) < _MOST_UNSETTLED
        ):
            job = next(waiting, None)
            if job is None:
                return False
            self._launch(_Flight(job, Backoff()))
        return True

    def _launch(self, flight: _Flight) -> None:
        try:
            request = flight.job.request()
        except OSError as error:
            raise _disk(error, flight.job.name) from error
        except OidError as error:
            self._give_up(flight, error)
            return
        if request is None:
            self._settle(flight)
            return
        flight.begun, flight.refused, flight.surplus = False, None, 0
        self._flights.add(flight)
        self._traffic.requests += 1
        self._transfer.start(flight, request)

    def _take(self, happened: Arrived | Ended) -> None:
        flight = happened.token
        if not isinstance(flight, _Flight) or flight not in self._flights:
            return
        if isinstance(happened, Arrived):
            self._received += len(happened.data)
            self._traffic.received += len(happened.data)
            self._body(flight, happened.reply, happened.data)
            return
        self._flights.remove(flight)
        if happened.error is not None:
            self._broken(flight, happened)
        elif happened.reply is not None:
            self._answered(flight, happened.reply)

    def _body(self, flight: _Flight, reply: Reply, data: bytes) -> None:
        if reply.status not in _WITH_BODY:
            flight.surplus += len(data)
            if flight.surplus > _MOST_ERROR_BYTES:
                # A server that pours out a page where a short answer belongs.
                self._transfer.abort(flight)
                self._flights.remove(flight)
                self._answered(flight, reply)
            return
        try:
            if not flight.begun:
                flight.begun = True
                _refuse_encoded(reply, flight.job.name)
                flight.job.begin(reply)
            flight.job.write(data)
        except OSError as error:
            raise _disk(error, flight.job.name) from error
        except OidError as error:
            self._transfer.abort(flight)
            self._flights.remove(flight)
            self._again(flight, error)

    def _answered(self, flight: _Flight, reply: Reply) -> None:
        status, name = reply.status, flight.job.name
        if status in (*_WITH_BODY, HTTPStatus.NOT_MODIFIED):
            self._pace.succeeded(time.monotonic())
            self._lost = 0
            try:
                if not flight.begun:
                    flight.begun = True
                    flight.job.begin(reply)
            except OidError as error:
                self._again(flight, error)
                return
            self._settle(flight)
        elif status in GONE:
            self._pace.succeeded(time.monotonic())
            self._lost = 0
            gone = MissingObjectError(
                f"the source does not have {name} ({status})", remedy="check --source and --release"
            )
            self._give_up(flight, gone)
        elif status in _CHANGED:
            self._give_up(flight, ChangedError(name))
        elif status in TRANSIENT:
            if status in THROTTLED:
                self._pace.throttled(time.monotonic())
            self._again(flight, _answer_error(name, status), asked=reply.retry_after)
        else:
            self._give_up(flight, _answer_error(name, status))

    def _broken(self, flight: _Flight, ended: Ended) -> None:
        error = SourceError(
            f"{flight.job.name} could not be read: {ended.error}",
            remedy="check --source and the network, then run the same command again",
        )
        if ended.gone:
            self._give_up(flight, MissingObjectError(f"{flight.job.name}: {ended.error}"))
            return
        if ended.lasting:
            self._give_up(flight, error)
            return
        if ended.slow:
            self._pace.throttled(time.monotonic())
        self._again(flight, error, most=_MOST_SLOW if ended.slow else None)

    def _again(
        self,
        flight: _Flight,
        error: OidError,
        *,
        asked: float | None = None,
        most: int | None = None,
    ) -> None:
        lasting = isinstance(error, (ChangedError, MalformedError))
        if lasting or not isinstance(error, (SourceError, IntegrityError)):
            self._give_up(flight, error)
            return
        most = _MOST_DAMAGED if isinstance(error, IntegrityError) else most
        pause = flight.backoff.next(asked, most=most)
        if pause is None:
            self._give_up(flight, error)
            self._lost += isinstance(error, SourceError)
            if self._lost >= _MOST_LOST:
                # The source is down: trying the rest would take hours and change nothing.
                raise SourceError(
                    f"the source stopped answering: {error.cause}",
                    remedy="what was fetched stays; run the same command again later",
                )
            return
        self._on_event(Retried(flight.job.name, error.cause, pause))
        heapq.heappush(self._later, (time.monotonic() + pause, next(self._order), flight))

    def _settle(self, flight: _Flight) -> None:
        self._settling[self._pool.submit(flight.job.settle)] = flight

    def _harvest(self) -> None:
        for future in [future for future in self._settling if future.done()]:
            flight = self._settling.pop(future)
            try:
                records = future.result()
            except OidError as error:
                if isinstance(error, DiskError):
                    raise
                self._again(flight, error)
            except OSError as error:
                raise _disk(error, flight.job.name) from error
            else:
                if records is None:
                    # At once, but not beyond the limit: another has taken its place meanwhile.
                    heapq.heappush(self._later, (0.0, next(self._order), flight))
                else:
                    self._keep(records)
                    if (told := flight.job.told()) is not None:
                        self._on_event(told)

    def _give_up(self, flight: _Flight, error: OidError) -> None:
        if self._strict:
            raise error
        self._keep(flight.job.fail(error))

    def _keep(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                self._record(record)
            except OSError as error:
                raise _disk(error, record.path) from error
            self._on_event(event_of(record))

    def _leave(self) -> None:
        """Forget what is in flight, and record what is being written: it will be whole."""
        for flight in list(self._flights):
            self._transfer.abort(flight)
        self._flights.clear()
        self._later.clear()
        for flight in self._settling.values():
            flight.job.cancel()
        for future in self._settling:
            with contextlib.suppress(Exception):
                self._keep(future.result() or ())
        self._settling.clear()


def _answer_error(name: str, status: int) -> SourceError:
    known = {403: "refuses it (403)", 429: "asks for fewer requests (429)", 503: "is busy (503)"}
    what = known.get(status, f"answers {status}")
    kind = RefusedError if status == HTTPStatus.FORBIDDEN else SourceError
    return kind(
        f"{name}: the source {what}", remedy="check --source, or run the same command again later"
    )


def _refuse_encoded(reply: Reply, name: str) -> None:
    if reply.encoding.lower() not in ("", "identity"):
        raise SourceError(
            f"{name}: the source sends it as {reply.encoding}, though it was asked for as it is",
            remedy="switch the compression off on the server or the proxy",
        )


def _disk(error: OSError, name: str) -> DiskError:
    return error if isinstance(error, DiskError) else DiskError.from_os(error, path=name)
