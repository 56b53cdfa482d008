"""The page on scale: its tables, and the simulation that they come from, at a small size."""

from __future__ import annotations

import json

import pytest
from bench.scale import BOOK, PAGE, rendered
from bench.scale_simulation import Outcome, Weather, Worker, simulate

WORKER = Worker([0.001, 0.002, 0.003], 0.0001)
SHARE = 0.004


def test_the_page_has_the_tables_of_its_figures() -> None:
    """Nobody has written into a table by hand, or measured without writing it."""
    page = PAGE.read_text(encoding="utf-8")
    assert rendered(page, json.loads(BOOK.read_bytes())) == page


@pytest.mark.parametrize("workers", [1, 10, 100])
def test_a_simulation_keeps_to_the_limit(workers: int) -> None:
    """It has every image once, and takes as long as the limit or its workers make it."""
    done = simulate(workers, WORKER, share=SHARE)
    assert done.images == done.requests > 30_000
    assert done.busiest <= 5_000.0 * 1.0001
    least = done.images * max(1 / 5_000.0, 0.001 / workers)
    assert least <= done.seconds <= 2 * done.images * max(1 / 5_000.0, 0.003 / workers)


def test_a_simulation_with_stragglers_and_deaths() -> None:
    """Shards of the dead are taken over; the same seed gives the same run."""
    weather = Weather(slow=0.05, failing=0.3)

    def run(seed: int) -> Outcome:
        return simulate(20, WORKER, weather=weather, share=SHARE, seed=seed)

    first, again, other = run(1), run(1), run(2)
    assert first.deaths > 0
    assert first.images == first.requests
    assert first.busiest <= 5_000.0 * 1.0001
    assert (first.seconds, first.deaths) == (again.seconds, again.deaths)
    assert first.seconds != other.seconds
    assert first.seconds > simulate(20, WORKER, share=SHARE).seconds
