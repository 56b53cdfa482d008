"""Laws of merging byte ranges."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidkit.ranges import Span, merge

RANGES = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 60)).map(lambda each: (each[0], sum(each))),
    max_size=40,
)
NOT_EMPTY = RANGES.map(lambda ranges: [each for each in ranges if each[0] < each[1]])
BOUNDS = st.tuples(st.integers(0, 50), st.integers(0, 120), st.integers(0, 300))


def merged(ranges: list[tuple[int, int]], gap: int, waste: int, largest: int) -> list[Span]:
    """Merge (start, stop) pairs."""
    starts, stops = [each[0] for each in ranges], [each[1] for each in ranges]
    return merge(starts, stops, gap=gap, waste=waste, largest=largest)


@given(RANGES, BOUNDS)
def test_every_range_lies_whole_in_exactly_one_span(
    ranges: list[tuple[int, int]], bounds: tuple[int, int, int]
) -> None:
    """Each index stands in one span, and that span holds all bytes of its range."""
    spans = merged(ranges, *bounds)
    assert sorted(at for span in spans for at in span.members) == list(range(len(ranges)))
    for span in spans:
        assert all(span.start <= ranges[at][0] for at in span.members)
        assert all(ranges[at][1] <= span.stop for at in span.members)


@given(RANGES, BOUNDS)
def test_a_span_begins_and_ends_with_a_range_of_its_own(
    ranges: list[tuple[int, int]], bounds: tuple[int, int, int]
) -> None:
    """No span reaches before the first or behind the last byte that its members ask for."""
    for span in merged(ranges, *bounds):
        assert span.start == min(ranges[at][0] for at in span.members)
        assert span.stop == max(ranges[at][1] for at in span.members)


@given(NOT_EMPTY, BOUNDS)
def test_the_bounds_hold(ranges: list[tuple[int, int]], bounds: tuple[int, int, int]) -> None:
    """Gaps, wasted bytes and lengths stay within their bounds, but for a range too long itself."""
    gap, waste, largest = bounds
    for span in merged(ranges, *bounds):
        asked = {byte for at in span.members for byte in range(*ranges[at])}
        unasked = [byte for byte in range(span.start, span.stop) if byte not in asked]
        assert len(unasked) <= waste
        longest = run = 0
        for byte in range(span.start, span.stop):
            run = 0 if byte in asked else run + 1
            longest = max(longest, run)
        assert longest <= gap
        assert span.length <= max(
            [largest, *(ranges[at][1] - ranges[at][0] for at in span.members)]
        )


@given(RANGES, BOUNDS)
def test_the_order_of_the_input_does_not_matter(
    ranges: list[tuple[int, int]], bounds: tuple[int, int, int]
) -> None:
    """Shuffled ranges give the same requests."""
    shuffled = random.Random(1).sample(ranges, len(ranges))
    assert [(each.start, each.stop) for each in merged(ranges, *bounds)] == [
        (each.start, each.stop) for each in merged(shuffled, *bounds)
    ]


@given(RANGES)
def test_without_bounds_disjoint_spans_cover_just_what_was_asked(
    ranges: list[tuple[int, int]],
) -> None:
    """With no gap allowed and no limit of length, no byte is received twice and none unasked."""
    received = [
        byte for span in merged(ranges, 0, 0, 10_000) for byte in range(span.start, span.stop)
    ]
    assert len(received) == len(set(received))
    assert set(received) == {byte for each in ranges for byte in range(*each)}


def test_neighbours_join_up_to_the_gap_and_not_beyond() -> None:
    """A gap of exactly the bound joins, one byte more does not."""
    assert merge([0, 15], [10, 20], gap=5, waste=5, largest=99) == [Span(0, 20, (0, 1))]
    assert merge([0, 16], [10, 20], gap=5, waste=5, largest=99) == [
        Span(0, 10, (0,)),
        Span(16, 20, (1,)),
    ]


def test_waste_adds_up_over_all_gaps_of_a_span() -> None:
    """Two gaps that are each fine are not when their sum is over the bound."""
    assert [
        each.members for each in merge([0, 14, 28], [10, 24, 38], gap=5, waste=7, largest=99)
    ] == [
        (0, 1),
        (2,),
    ]


def test_a_range_longer_than_the_largest_request_stays_whole() -> None:
    """An oversized range is one request, and what lies within it comes along."""
    spans = merge([100, 0, 40], [120, 90, 50], gap=50, waste=50, largest=30)
    assert spans == [Span(0, 90, (1, 2)), Span(100, 120, (0,))]


def test_nothing_asked_is_nothing_to_do() -> None:
    """No range gives no request."""
    assert merge([], [], gap=1, waste=1, largest=1) == []


@pytest.mark.parametrize(
    ("starts", "stops", "gap"),
    [([5], [4], 0), ([-1], [4], 0), ([1, 2], [3], 0), ([1], [2], -1)],
    ids=["backwards", "negative", "uneven", "negative bound"],
)
def test_what_is_no_range_is_refused(starts: list[int], stops: list[int], gap: int) -> None:
    """A range that ends before it begins, or bounds below zero, are the caller's mistake."""
    with pytest.raises(ValueError, match=r"not a range|starts and|negative bound"):
        merge(starts, stops, gap=gap, waste=0, largest=0)


def test_two_hundred_thousand_ranges_take_a_moment() -> None:
    """As many ranges as a train zip has members are merged in well under five seconds of work."""
    seeded = random.Random(7)
    starts = [seeded.randrange(400_000_000) for _ in range(200_000)]
    began = time.process_time()
    spans = merge(
        starts, [each + 1_700 for each in starts], gap=16_384, waste=65_536, largest=8 << 20
    )
    assert time.process_time() - began < 5
    assert sum(len(each.members) for each in spans) == 200_000
