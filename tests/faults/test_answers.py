"""Answers of trouble: statuses that pass, and a source that asks for a pause."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING

import pytest

from faults.kinds import places_of
from oidkit.testing import Fault, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faults.runs import Folder

_STATUSES = (500, 502, 503, 504)
_TRIES = 6
_DAY = 86_400
# What is under way when the source objects comes in all the same.
_UNDER_WAY = 0.3


def images(folder: Folder) -> list[str]:
    """Give the keys of all images, as they are in the bucket."""
    paths = [path for path in folder.undisturbed.tree if path.endswith(".jpg")]
    found = {f"open-images-dataset/{path.split('/')[1]}/{path[-20:]}" for path in paths}
    return sorted(found)


@dataclass
class Book:
    """Answers some images with trouble at first, and notes when each was asked for."""

    answers: Mapping[str, Callable[[], Fault]]
    most: int = 1000
    times: dict[str, int] = field(default_factory=dict)
    asked: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, request: RequestInfo) -> Fault | None:
        """Note the request, and answer it."""
        if not request.path.endswith(".jpg"):
            return None
        self.asked[request.path].append(time.monotonic())
        answer = self.answers.get(request.path)
        times = self.times.get(request.path, self.most)
        return answer() if answer and request.attempt <= times else None

    @property
    def arrivals(self) -> list[float]:
        """When requests for images came, in order."""
        return sorted(at for times in self.asked.values() for at in times)


def _whole(*times: int) -> object:
    return pytest.param(times, marks=[pytest.mark.whole])


@pytest.mark.row(15)
@pytest.mark.parametrize(
    "times", [(1, 5, 6), _whole(1), _whole(2), _whole(3), _whole(4), _whole(5), _whole(6)]
)
def test_a_status_that_passes_after_so_many_times(folder: Folder, times: tuple[int, ...]) -> None:
    """An image is there when it is answered before the sixth try; else it failed, exit 4."""
    keys = images(folder)
    cases = list(itertools.product(times, _STATUSES))
    chosen = dict(zip(keys[:: len(keys) // len(cases)], cases, strict=False))
    assert set(chosen.values()) == set(cases)
    book = Book({key: partial(Fault.answer, status) for key, (_, status) in chosen.items()})
    book.times = {key: number for key, (number, _) in chosen.items()}
    folder.undisturbed.server.hook = book
    lost = {key for key, (number, _) in chosen.items() if number >= _TRIES}
    lacking = {path: "failed" for key in lost for path in places_of(folder, key)}
    folder.check(folder.run(), code=4 if lost else 0, lacking=lacking)
    for key in keys:
        tries = min(chosen[key][0] + 1, _TRIES) if key in chosen else 1
        assert len(book.asked[key]) == tries
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())


@pytest.mark.row(15)
@pytest.mark.parametrize("status", [500, pytest.param(503, marks=[pytest.mark.whole])])
def test_a_source_that_fails_all_the_time(
    folder: Folder, status: int, record_property: Callable[[str, object], None]
) -> None:
    """It is not asked six times for everything: the run ends, exit 4, and a later one completes."""
    keys = images(folder)
    book = Book(dict.fromkeys(keys, lambda: Fault.answer(status)))
    folder.undisturbed.server.hook = book
    done = folder.run()
    assert done.code == 4, done.err
    assert "stopped answering" in done.err
    record_property(f"row15 requests for {len(keys)} images, all {status}", len(book.arrivals))
    assert len(book.arrivals) < 4 * len(keys)
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())


def _in_seconds(seconds: int) -> Fault:
    return Fault.answer(429, retry_after=str(seconds))


def _by_date(seconds: int, *, ahead: int = 0) -> Fault:
    """Answer a date, by a clock that is so many seconds ahead."""
    now = time.time() + ahead
    # A date has no parts of a second.
    headers = {"Retry-After": formatdate(now + seconds + 1, usegmt=True)}
    return Fault(status=503, headers=headers | {"Date": formatdate(now, usegmt=True)})


_ASKING: dict[str, Callable[[], Fault]] = {
    "seconds": lambda: _in_seconds(3),
    "date": lambda: _by_date(3),
    "date of another clock": lambda: _by_date(3, ahead=-7_200),
    "date of a clock ahead": lambda: _by_date(3, ahead=7_200),
}


@pytest.mark.row(17)
@pytest.mark.parametrize(
    "form",
    [
        "seconds",
        "date",
        pytest.param("date of another clock", marks=[pytest.mark.whole]),
        pytest.param("date of a clock ahead", marks=[pytest.mark.whole]),
    ],
)
def test_a_pause_that_is_asked_for(
    folder: Folder, form: str, record_property: Callable[[str, object], None]
) -> None:
    """Nothing is asked of the source before its three seconds are over, then all of it comes."""
    key = images(folder)[30]
    book = Book({key: _ASKING[form]}, 1)
    folder.undisturbed.server.hook = book
    # so that there is something left to ask for meanwhile
    folder.undisturbed.server.delay = 0.05
    folder.check_complete(folder.run())
    first, second = book.asked[key]
    assert second - first >= 3.0
    objected = first + folder.undisturbed.server.delay
    early = [at for at in book.arrivals if objected + _UNDER_WAY < at < objected + 3.0 - 0.05]
    late = [at for at in book.arrivals if at > objected + 3.0]
    record_property("row17 requests sent early", len(early))
    assert not early
    assert len(late) > 10


@pytest.mark.row(17)
@pytest.mark.parametrize(
    "text",
    [
        "soon",
        pytest.param("-5", marks=[pytest.mark.whole]),
        pytest.param("1e3", marks=[pytest.mark.whole]),
        pytest.param("Fri, 99 Foo 2026 25:61:61 GMT", marks=[pytest.mark.whole]),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", marks=[pytest.mark.whole]),
    ],
)
def test_a_pause_that_nobody_can_read(folder: Folder, text: str) -> None:
    """It is as if there were none: the usual pauses, and the image."""
    key = images(folder)[30]
    book = Book({key: lambda: Fault.answer(429, retry_after=text)}, 2)
    folder.undisturbed.server.hook = book
    folder.check_complete(folder.run())
    assert len(book.asked[key]) == 3


@pytest.mark.row(17)
@pytest.mark.parametrize(
    "form",
    [
        "date",
        pytest.param("seconds", marks=[pytest.mark.whole]),
        pytest.param("more digits than a number has", marks=[pytest.mark.whole]),
    ],
)
def test_a_pause_of_a_day(folder: Folder, form: str) -> None:
    """The image is given up at once, exit 4, and asked for by the next run; all others come."""
    key = images(folder)[30]
    answers: dict[str, Callable[[], Fault]] = {
        "date": lambda: _by_date(_DAY),
        "seconds": lambda: _in_seconds(_DAY),
        "more digits than a number has": lambda: Fault.answer(429, retry_after="9" * 5_000),
    }
    book = Book({key: answers[form]})
    folder.undisturbed.server.hook = book
    lacking = dict.fromkeys(places_of(folder, key), "failed")
    folder.check(folder.run(), code=4, lacking=lacking)
    assert len(book.asked[key]) == 1
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())


@pytest.mark.row(17)
def test_a_source_that_is_closed_for_a_day(folder: Folder) -> None:
    """When all answers ask for a day, the run ends after those that were under way: exit 4."""
    keys = images(folder)
    book = Book(dict.fromkeys(keys, lambda: _in_seconds(_DAY)))
    folder.undisturbed.server.hook = book
    done = folder.run()
    assert done.code == 4, done.err
    assert "more than a minute" in done.err
    assert len(book.arrivals) <= 20
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())
