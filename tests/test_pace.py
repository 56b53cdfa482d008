"""The limit of requests in flight: pure, with a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oidkit.transfer import Pace


def window(pace: Pace, begin: float, *, rate: float) -> float:
    """Answer one window of requests at *rate* a second, and give the time after it."""
    count = 2 * pace.limit
    for at in range(count):
        pace.succeeded(begin + at / rate)
    return begin + count / rate


def test_the_limit_doubles_while_that_brings_more() -> None:
    """A server that keeps up with any number is asked for up to 256 at once."""
    pace = Pace()
    seen, now = [pace.limit], 0.0
    for _ in range(6):
        now = window(pace, now, rate=100.0 * pace.limit)
        seen.append(pace.limit)
    assert seen == [16, 32, 64, 128, 256, 256, 256]


def test_the_limit_stays_where_more_brings_nothing() -> None:
    """A line that is full at 64 is not filled any further."""
    pace, now = Pace(), 0.0
    seen = []
    for _ in range(8):
        now = window(pace, now, rate=100.0 * min(pace.limit, 64))
        seen.append(pace.limit)
    assert seen[-1] == 128
    assert seen == sorted(seen)


def test_a_source_that_is_as_fast_with_few_is_left_alone() -> None:
    """Where three more windows bring no tenth more, the climb is over."""
    pace, now = Pace(), 0.0
    for _ in range(5):
        now = window(pace, now, rate=1_000.0)
    assert pace.limit == 32


def test_a_window_that_is_spoilt_does_not_end_the_climb() -> None:
    """Whenever the machine stands still for half a second, the limit gets to 256 all the same."""
    for spoilt in range(5):
        pace, now = Pace(), 0.0
        for at in range(8):
            now = window(pace, now, rate=20.0 * pace.limit) + 0.5 * (at == spoilt)
        assert pace.limit == 256


def test_the_climb_is_over_within_some_hundred_answers() -> None:
    """After its last step no more is tried: in 20,000 images that is in the first tenth."""
    for most in (16, 32, 64, 128, 256):
        pace, now, answers, last = Pace(), 0.0, 0, (0, 0)
        while answers < 20_000:
            limit = pace.limit
            now = window(pace, now, rate=20.0 * min(limit, most))
            answers += 2 * limit
            last = (answers, pace.limit) if pace.limit != limit else last
        assert last[0] <= 2_000
        assert last[1] >= most


def test_an_objection_halves_the_limit_at_most_once_a_second() -> None:
    """A burst of refusals is one objection; a second later it is another."""
    pace = Pace()
    for at in (10.0, 10.1, 10.5, 10.99):
        pace.throttled(at)
        assert pace.limit == 8
    pace.throttled(11.0)
    assert pace.limit == 4
    for at in range(12, 40):
        pace.throttled(float(at))
    assert pace.limit == 1


def test_after_an_objection_the_limit_grows_slowly() -> None:
    """Clean windows add an eighth each: the doubling does not come back."""
    pace, now = Pace(), 0.0
    for _ in range(3):
        now = window(pace, now, rate=100.0 * pace.limit)
    assert pace.limit == 128
    pace.throttled(now)
    assert pace.limit == 64
    now = window(pace, now, rate=6_400.0)
    assert pace.limit == 72
    window(pace, now, rate=7_200.0)
    assert pace.limit == 81


def test_a_fixed_limit_does_not_climb() -> None:
    """`--workers 5` is five, whatever the server can do."""
    pace, now = Pace(fixed=5), 0.0
    for _ in range(5):
        now = window(pace, now, rate=1_000.0 * pace.limit)
        assert pace.limit == 5


def test_a_fixed_limit_comes_back_after_an_objection() -> None:
    """It shrinks for a while and grows back to what was asked for, never beyond."""
    pace = Pace(fixed=6)
    pace.throttled(1.0)
    assert pace.limit == 3
    now = 2.0
    for _ in range(10):
        now = window(pace, now, rate=10.0)
    assert pace.limit == 6


@given(
    st.none() | st.integers(1, 400),
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0)), max_size=400),
)
def test_the_limit_keeps_its_bounds(fixed: int | None, steps: list[tuple[bool, float]]) -> None:
    """Whatever happens and whenever, one request may be in flight, and never too many."""
    pace, now = Pace(fixed=fixed), 0.0
    for well, later in steps:
        now += later
        before = pace.limit
        if well:
            pace.succeeded(now)
        else:
            pace.throttled(now)
        assert 1 <= pace.limit <= (fixed or 256)
        assert pace.limit <= 2 * before
        assert pace.limit >= before // 2


def test_a_source_that_is_far_away_gets_as_many_as_it_takes() -> None:
    """Where every answer takes 200 ms, the limit climbs to its most, from the first window on."""
    pace, now = Pace(), 0.0
    for _ in range(12):
        for _ in range(pace.limit):
            pace.sent(now)
        now += 0.2
        for _ in range(pace.limit):
            pace.succeeded(now)
    assert pace.limit == 256


def test_a_low_limit_leaves_room_for_jobs_that_wait() -> None:
    """Objects that are tried again later do not keep others from being asked for."""
    pace = Pace()
    for at in range(10):
        pace.throttled(10.0 * at)
    assert (pace.limit, pace.open_at_once) == (1, 32)
    assert Pace(fixed=3).open_at_once == 3
