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
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from oidkit.errors import (
    BucketError,
    DiskError,
    InterruptedRunError,
    OidError,
    SourceError,
)
from oidkit.events import PaceChanged, Received, Retried
from oidkit.store import Arrived, Ended, Reply
from oidkit.transfer.body import CHANGED, answer_error, broken_error, refuse_encoded
from oidkit.transfer.budget import Budget
from oidkit.transfer.flight import Flight
from oidkit.transfer.interrupt import interruptible
from oidkit.transfer.pace import Pace
from oidkit.transfer.records import drop_record, event_of
from oidkit.transfer.retry import GONE, THROTTLED, TRANSIENT, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from oidkit.disk import Record
    from oidkit.events import Listener
    from oidkit.store import Transfer
    from oidkit.transfer.flight import Beside, Job, Traffic

__all__ = ["Run"]

_WITH_BODY = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_MOST_UNSETTLED = 32
_MOST_ERROR_BYTES = 64 * 1024


class Run:
    """Carries out jobs against one transfer.

    `record` is called for everything that was made, is missing, or failed, on the calling thread.
    `budget` is what the runs of a session share.
    """

    def __init__(
        self,
        transfer: Transfer,
        *,
        traffic: Traffic,
        on_event: Listener,
        record: Callable[[Record], None] = drop_record,
        pace: Pace | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._transfer = transfer
        self._traffic = traffic
        self._on_event = on_event
        self._record = record
        self._pace = pace or Pace()
        self._budget = budget or Budget()
        self._beside: Beside | None = None
        self._told: tuple[int, float | None] | None = None
        self._flights: set[Flight] = set()
        self._later: list[tuple[float, int, Flight]] = []
        self._order = itertools.count()
        self._settling: dict[Future[Sequence[Record] | None], Flight] = {}
        self._received = 0
        self._more = True

    def carry_out(
        self, jobs: Iterable[Job], *, beside: Beside | None = None, settlers: int = 2
    ) -> None:
        """Carry out all the jobs, the first ones first, and *beside* them what there is room for.

        *settlers* is how many results are checked and kept at a time, at most.

        Raises:
            OidError: as `steps`.

        """
        for _ in self.steps(jobs, beside=beside, settlers=settlers):
            pass

    def steps(
        self, jobs: Iterable[Job], *, beside: Beside | None = None, settlers: int = 2
    ) -> Iterator[None]:
        """Carry out all the jobs, and come back to the caller after each round of the loop.

        Raises:
            InterruptedRunError: the user stopped it; what was finished is recorded.
            DiskError: something could not be written.
            BucketError: the store that they are kept in is down.
            SourceError: the source is down, or wants to be asked later.

        """
        waiting, self._beside = iter(jobs), beside
        with interruptible() as stopped, ThreadPoolExecutor(settlers) as self._pool:
            try:
                while self._turn(waiting):
                    yield
                    if stopped.is_set():
                        raise InterruptedRunError(
                            "interrupted", remedy="run the same command again to go on"
                        )
            finally:
                self._leave()

    def _turn(self, waiting: Iterator[Job]) -> bool:
        """Do one round of the loop; False when all is done."""
        now = time.monotonic()
        if self._budget.doubts:
            self._more = self._fill(waiting, now)
        self._resume(now)
        self._more = self._fill(waiting, now)
        if self._flights:
            # With results about to be ready, the wait is short; they come from another thread.
            pause = self._pause(now, longest=0.01 if self._settling else 0.5)
            for happened in self._transfer.poll(pause):
                self._take(happened)
        elif self._settling:
            pause = self._pause(now, longest=0.5)
            wait(self._settling, timeout=pause, return_when=FIRST_COMPLETED)
        elif self._later or self._more:
            time.sleep(self._pause(now, longest=0.2))
        self._harvest()
        if self._received:
            self._on_event(Received(self._received))
            self._received = 0
        return self._more or bool(self._flights or self._settling or self._later)

    def _room(self, now: float) -> bool:
        most = self._budget.most(self._pace.limit)
        return len(self._flights) < most and self._budget.opens <= now

    def _pause(self, now: float, *, longest: float) -> float:
        if len(self._flights) >= self._budget.most(self._pace.limit):
            return longest
        opens = self._budget.opens
        if self._more and opens > now:
            return min(longest, opens - now)
        if self._later:
            return min(longest, max(0.0, max(opens, self._later[0][0]) - now))
        return longest

    @property
    def _is_full(self) -> bool:
        return len(self._flights) + len(self._later) >= self._pace.open_at_once

    def _resume(self, now: float) -> None:
        """Start what is due for another try."""
        while self._later and self._later[0][0] <= now and self._room(now):
            flight = heapq.heappop(self._later)[2]
            if (opens := flight.budget.opens) > now:
                # Of what goes beside the jobs; theirs is open where there is room.
                heapq.heappush(self._later, (opens, next(self._order), flight))
            else:
                self._launch(flight)

    def _fill(self, waiting: Iterator[Job], now: float) -> bool:
        """Start jobs while there is room; False when none is left to start."""
        while self._room(now) and len(self._settling) < _MOST_UNSETTLED:
            # What goes beside the jobs, and waits for another try, keeps no job from its first.
            if self._is_full and not self._budget.doubts and self._beside is None:
                break
            flight = self._next(waiting, now)
            if flight is None:
                return False
            self._launch(flight)
        return True

    def _next(self, waiting: Iterator[Job], now: float) -> Flight | None:
        """Give what is to be started next; what goes beside comes last, when its source lets it."""
        if (job := next(waiting, None)) is not None:
            return Flight(job, self._budget)
        if self._beside is None or self._budget.away or self._is_full:
            return None
        return self._beside.next(now)

    def _launch(self, flight: Flight) -> None:
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
        flight.begun, flight.surplus = False, 0
        self._flights.add(flight)
        self._traffic.requests += 1
        now = time.monotonic()
        self._pace.sent(now)
        flight.budget.rate.sent(now)
        self._tell_pace(now, "begun")
        again = flight.backoff.tries > 0
        self._transfer.start(flight, replace(request, again=True) if again else request)

    def _take(self, happened: Arrived | Ended) -> None:
        flight = happened.token
        if not isinstance(flight, Flight) or flight not in self._flights:
            return
        if isinstance(happened, Arrived):
            flight.budget.heard()
            self._received += len(happened.data)
            self._traffic.received += len(happened.data)
            self._body(flight, happened.reply, happened.data)
            return
        self._flights.remove(flight)
        if happened.error is not None:
            self._broken(flight, happened)
        elif happened.reply is not None:
            self._answered(flight, happened.reply)

    def _body(self, flight: Flight, reply: Reply, data: bytes) -> None:
        if reply.status not in _WITH_BODY:
            flight.surplus += len(data)
            if flight.surplus > _MOST_ERROR_BYTES:
                # A server that pours out a page where a short answer belongs.
                self._drop(flight)
                self._answered(flight, reply)
            return
        try:
            if not flight.begun:
                flight.begun = True
                refuse_encoded(reply, flight.job.name)
                flight.job.begin(reply)
            flight.job.write(data)
        except OSError as error:
            raise _disk(error, flight.job.name) from error
        except OidError as error:
            self._drop(flight)
            self._again(flight, Trouble(error))

    def _drop(self, flight: Flight) -> None:
        self._transfer.abort(flight)
        self._flights.remove(flight)

    def _answered(self, flight: Flight, reply: Reply) -> None:
        flight.budget.heard()
        status, name = reply.status, flight.job.name
        if status in (*_WITH_BODY, HTTPStatus.NOT_MODIFIED, *CHANGED):
            self._well(flight.budget)
            try:
                if not flight.begun:
                    flight.begun = True
                    flight.job.begin(reply)
            except OidError as error:
                self._again(flight, Trouble(error))
                return
            self._settle(flight)
        elif status in GONE:
            self._well(flight.budget)
            self._give_up(flight, answer_error(name, status))
        elif status in TRANSIENT:
            self._again(flight, Trouble(answer_error(name, status), asked=reply.retry_after))
            if status in THROTTLED:
                self._objected(flight, f"{status}", asked=reply.retry_after)
        else:
            self._give_up(flight, answer_error(name, status))

    def _broken(self, flight: Flight, ended: Ended) -> None:
        if ended.reply is not None:
            flight.budget.heard()
        error = broken_error(flight.job.name, ended)
        if ended.gone or ended.lasting:
            self._give_up(flight, error)
            return
        if ended.slow:
            self._pace.throttled(time.monotonic())
            self._tell_pace(time.monotonic(), "timeout")
        self._again(flight, Trouble.of(error, ended))

    def _well(self, budget: Budget) -> None:
        now = time.monotonic()
        budget.succeeded(now)
        if budget.rate.limit is None or len(self._flights) + 1 >= self._pace.limit:
            # Otherwise it is the rate that holds the run back, and more in flight would be idle.
            self._pace.succeeded(now)
        self._tell_pace(now, "clean")

    def _objected(self, flight: Flight, why: str, *, asked: float | None) -> None:
        """Note that the source asks for less, and that for a while it wants no request at all."""
        now = time.monotonic()
        self._pace.throttled(now)
        with self._bearing(flight):
            flight.budget.throttled(now, asked=asked)
        self._tell_pace(now, why)

    def _tell_pace(self, now: float, why: str) -> None:
        told = self._pace.limit, self._budget.rate.limit
        if told != self._told:
            self._told = told
            self._on_event(PaceChanged(self._budget.since(now), *told, why))

    def _again(self, flight: Flight, trouble: Trouble) -> None:
        error, name = trouble.error, flight.job.name
        if self._beside is not None and self._beside.over and flight.budget is not self._budget:
            return
        if trouble.lasting:
            self._give_up(flight, error)
            return
        now = time.monotonic()
        with self._bearing(flight):
            pause = flight.budget.pause(name, trouble, flight.backoff, now)
            if pause is None:
                self._give_up(flight, error)
                if isinstance(error, SourceError):
                    flight.budget.lost(error)
                return
            self._on_event(Retried(name, error.cause, pause))
            heapq.heappush(self._later, (now + pause, next(self._order), flight))

    @contextlib.contextmanager
    def _bearing(self, flight: Flight) -> Iterator[None]:
        """Let trouble of what goes beside the jobs end that alone."""
        try:
            yield
        except SourceError:
            if flight.budget is self._budget:
                raise
            self._end_beside()
            return
        if flight.budget is not self._budget and flight.budget.away:
            # Nobody waits for it here: it is waited for when it is needed.
            self._end_beside()

    def _end_beside(self) -> None:
        beside = self._beside
        if beside is None or beside.over:
            return
        beside.over = True
        for flight in [each for each in self._flights if each.budget is beside.budget]:
            self._drop(flight)
        self._later = [each for each in self._later if each[2].budget is self._budget]
        heapq.heapify(self._later)
        beside.on_trouble()

    def _settle(self, flight: Flight) -> None:
        self._settling[self._pool.submit(flight.job.settle)] = flight

    def _harvest(self) -> None:
        for future in [future for future in self._settling if future.done()]:
            flight = self._settling.pop(future)
            try:
                records = future.result()
            except OidError as error:
                if isinstance(error, (BucketError, DiskError)):
                    raise
                self._again(flight, Trouble(error))
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

    def _give_up(self, flight: Flight, error: OidError) -> None:
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
            self._drop(flight)
        self._later.clear()
        for flight in self._settling.values():
            flight.job.cancel()
        for future in self._settling:
            with contextlib.suppress(Exception):
                self._keep(future.result() or ())
        self._settling.clear()


def _disk(error: OSError, name: str) -> DiskError:
    return error if isinstance(error, DiskError) else DiskError.from_os(error, path=name)
