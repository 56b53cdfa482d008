"""What a session bears of its source, and how many requests a second it asks: with a test's clock.

The source that refuses is a leaky bucket, as nginx's `limit_req` and cloud stores have it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest

from oidkit.errors import SourceError
from oidkit.transfer import Budget, Pace, Rate
from oidkit.transfer.retry import Backoff, Trouble

REFUSED = Trouble(SourceError("nobody listens"), away=True)
CUT = Trouble(SourceError("closed without an answer"), cut=True)
BUSY = Trouble(SourceError("503"))


# -- the rate ------------------------------------------------------------------------------------


@dataclass
class Bucket:
    """A source that lets *allowed* requests a second through, and *burst* more at once."""

    allowed: float
    burst: int
    excess: float = 0.0
    last: float = 0.0

    def admits(self, now: float) -> bool:
        """Count a request, and tell whether it is let through."""
        excess = max(0.0, self.excess - self.allowed * (now - self.last)) + 1.0
        if excess > self.burst + 1:
            return False
        self.excess, self.last = excess, now
        return True


@dataclass
class Client:
    """Asks a bucket as the loop does, with answers after *delay* seconds."""

    bucket: Bucket
    delay: float
    rate: Rate = field(default_factory=Rate)
    pace: Pace = field(default_factory=Pace)
    answers: list[tuple[float, bool]] = field(default_factory=list)

    def ask(self, seconds: float) -> None:
        """Ask for so long; what is refused is asked again after 0.1 to 0.4 seconds."""
        dice, now = random.Random(1), 0.0
        flying: list[tuple[float, bool]] = []
        again: list[float] = []
        while now < seconds:
            while len(flying) < self.pace.limit and self.rate.opens <= now:
                if again and again[0] <= now:
                    heapq.heappop(again)
                elif len(flying) + len(again) >= self.pace.open_at_once:
                    break
                self.rate.sent(now)
                self.pace.sent(now)
                heapq.heappush(flying, (now + self.delay, self.bucket.admits(now)))
            nexts = [at for at, _ in flying[:1]]
            if len(flying) < self.pace.limit:
                nexts += [max(self.rate.opens, now + 1e-4)]
            now = min(nexts)
            while flying and flying[0][0] <= now:
                busy = len(flying) >= self.pace.limit
                well = heapq.heappop(flying)[1]
                self.answers.append((now, well))
                if not well:
                    heapq.heappush(again, now + dice.uniform(0.1, 0.4))
                    self.pace.throttled(now)
                    self.rate.throttled(now)
                    continue
                self.rate.succeeded(now)
                if busy or self.rate.limit is None:
                    self.pace.succeeded(now)


@pytest.mark.parametrize("burst", [5, 20])
@pytest.mark.parametrize("delay", [0.0005, 0.02, 0.1])
def test_a_source_that_allows_so_many_a_second_is_asked_about_as_many(
    delay: float, burst: int
) -> None:
    """After some hundred answers, goodput is above 80 % of the rate and refusals are below 5 %."""
    client = Client(Bucket(50.0, burst), delay)
    client.ask(90.0)
    good = [at for at, well in client.answers if well]
    begun, passed = good[300], 90.0 - good[300]
    late = [well for at, well in client.answers if at > begun]
    assert sum(late) / passed >= 0.8 * 50
    assert late.count(False) / len(late) < 0.05


def test_a_source_that_does_not_object_has_no_rate() -> None:
    """Without a 429 or 503 requests go out as fast as answers come."""
    rate = Rate()
    for at in range(10_000):
        rate.sent(at / 5_000)
        rate.succeeded(at / 5_000)
    assert rate.limit is None
    assert rate.opens == float("-inf")


def test_a_rate_that_is_not_used_is_dropped() -> None:
    """One objection does not slow a run for ever: where the line is the limit, the rate goes."""
    rate, now = Rate(), 0.0
    for _ in range(200):
        now += 0.01
        rate.succeeded(now)
    rate.throttled(now)
    assert rate.limit == pytest.approx(80.0, rel=0.05)
    while rate.limit is not None and now < 60.0:
        now += 0.04
        rate.succeeded(now)
    assert rate.limit is None
    assert now < 15.0


def test_a_pause_that_is_asked_for_is_kept_by_all() -> None:
    """Retry-After of one answer closes the source for all; a shorter one later opens nothing."""
    rate = Rate()
    rate.throttled(100.0, asked=30.0)
    assert rate.opens == 130.0
    rate.throttled(100.5, asked=1.0)
    assert rate.opens == 130.0


# -- outages -------------------------------------------------------------------------------------


def lasting(budget: Budget, trouble: Trouble, *, names: int = 16, until: float) -> float:
    """Fail whenever a request may go out, and give the time at which the run is ended."""
    now, at = 0.0, 0
    tries = [Backoff() for _ in range(names)]
    while now < until:
        at = (at + 1) % names
        try:
            budget.pause(str(at), trouble, tries[at], now)
        except SourceError:
            return now
        now = max(now + 1e-3, budget.opens)
    return until


def test_a_source_that_answered_and_went_away_is_waited_for() -> None:
    """For 75 seconds, with one request at a time every five seconds at most, and then no more."""
    for seed in range(20):
        budget = Budget(_random=random.Random(seed))
        budget.heard()
        assert 75.0 <= lasting(budget, REFUSED, until=200.0) <= 81.0
        assert budget.most(64) == 1
        budget.heard()
        assert budget.most(64) == 64
        assert budget.opens == float("-inf")


def test_nobody_connects_to_a_source_that_is_away_more_often_than_it_takes() -> None:
    """Pauses grow to some seconds: an outage of a minute costs some dozen requests."""
    for seed in range(20):
        budget = Budget(_random=random.Random(seed))
        budget.heard()
        now, tries = 0.0, 0
        while now < 60.0:
            assert budget.pause("x", REFUSED, Backoff(), now) is not None
            now, tries = budget.opens, tries + 1
        assert 12 < tries < 60


def test_a_source_that_never_answered_is_not_waited_for() -> None:
    """Each object has its six tries, and there is no outage."""
    budget, backoff = Budget(), Backoff()
    pauses = [budget.pause("x", REFUSED, backoff, 0.0) for _ in range(6)]
    assert pauses[-1] is None
    assert None not in pauses[:-1]
    assert budget.most(64) == 64


def test_connections_that_are_cut_before_any_answer_are_an_outage_if_all_are() -> None:
    """One object whose connection is always cut is given up; four at once are the source."""
    alone = Budget()
    alone.heard()
    backoff = Backoff()
    assert [alone.pause("x", CUT, backoff, 0.0) for _ in range(6)][-1] is None
    assert alone.most(64) == 64
    budget = Budget()
    budget.heard()
    now = 0.0
    for each in itertools.cycle("abcdef"):
        if budget.pause(each, CUT, Backoff(), now) is None:
            break
        now = max(now, budget.opens)
        assert budget.doubts == (budget.most(64) == 1)
    # Somebody takes the calls, so it may still be these alone: they are given up, the run is not.
    assert 75.0 <= now <= 90.0


def test_objects_that_are_cut_while_others_are_answered_are_not_the_source() -> None:
    """An answer to another object ends the doubt, and those that were cut have their own tries."""
    budget = Budget()
    budget.heard()
    own = {each: Backoff() for each in "abcde"}
    for each, backoff in own.items():
        budget.pause(each, CUT, backoff, 0.0)
    assert (budget.doubts, budget.most(64)) == (True, 1)
    budget.heard()
    for each, backoff in own.items():
        assert [budget.pause(each, CUT, backoff, 0.0) for _ in range(6)][-1] is None
    assert (budget.doubts, budget.most(64)) == (False, 64)


def test_hosts_of_many_originals_are_not_one_source() -> None:
    """A dead host is the trouble of its own objects."""
    budget, backoff = Budget(waits=False), Backoff()
    budget.heard()
    assert [budget.pause("x", REFUSED, backoff, 0.0) for _ in range(6)][-1] is None
    budget.throttled(0.0, asked=30.0)
    assert budget.opens == float("-inf")


# -- what a run may spend ------------------------------------------------------------------------


def test_a_run_has_a_number_of_retries_that_good_answers_earn_back() -> None:
    """Five hundred retries without a good answer, and one for each good answer."""
    budget = Budget()
    given = sum(budget.pause("x", BUSY, Backoff(), 0.0) is not None for _ in range(600))
    assert given == 500
    for _ in range(30):
        budget.succeeded(0.0)
    given = sum(budget.pause("x", BUSY, Backoff(), 0.0) is not None for _ in range(600))
    assert given == 30


def test_an_object_has_a_time_and_a_large_one_has_more() -> None:
    """Three minutes after the first failure there is no other try, but for 2.2 GB there is."""
    image, table = Backoff(), Backoff()
    assert image.next(now=0.0) is not None
    assert image.next(now=100.0) is not None
    assert image.next(now=181.0) is None
    assert table.next(now=0.0, length=2_200_000_000) is not None
    assert table.next(now=7_200.0, length=2_200_000_000) is not None


def test_a_source_that_is_closed_for_a_day_ends_the_run() -> None:
    """The third answer in a row that asks for more than a minute is the last."""
    budget = Budget()
    for _ in range(2):
        budget.throttled(0.0, asked=86_400.0)
        budget.succeeded(0.0)
    budget.throttled(0.0, asked=86_400.0)
    budget.throttled(0.0, asked=86_400.0)
    with pytest.raises(SourceError, match="more than a minute"):
        budget.throttled(0.0, asked=86_400.0)


def test_many_losses_in_a_row_end_the_run() -> None:
    """The 24th object that is given up without a good answer between is the last."""
    budget = Budget()
    for _ in range(23):
        budget.lost(SourceError("500"))
    budget.succeeded(0.0)
    for _ in range(23):
        budget.lost(SourceError("500"))
    with pytest.raises(SourceError, match="stopped answering: 500"):
        budget.lost(SourceError("500"))
