"""What every test of a fault may ask for, and the book of what was tried and survived.

A test carries `@pytest.mark.row(n)`, a number of `rows.ROWS`; each of its cases counts as one try.
A case that gets a `seed` has it in the book. `@pytest.mark.seeds(quick, whole)` runs a test for so
many seeds; `@pytest.mark.whole` leaves it to `--whole`. `@pytest.mark.control(n)` marks a test that
shows how row n fails without its safeguard. With `--outcome FILE` the book is written as JSON; what
a test gives to `record_property` stands in it as a measure.
"""

from __future__ import annotations

import json
from collections import defaultdict
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults.datasets import put_cache, put_dataset
from faults.rows import ROWS
from faults.runs import Folder, Undisturbed, undisturbed_run

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HERE = Path(__file__).parent
_UNTRIED: dict[str, Any] = {"tried": 0, "survived": 0, "seeds": [], "failed": [], "skipped": []}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """Give what a run without a fault leaves, and a server for the others."""
    with undisturbed_run(tmp_path_factory) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path, undisturbed: Undisturbed) -> Iterator[Folder]:
    """Give an empty place for one case, and a server without faults."""
    undisturbed.server.reset()
    yield Folder(tmp_path, undisturbed)
    undisturbed.server.hook = None
    undisturbed.server.delay, undisturbed.server.bandwidth = 0.0, None


@pytest.fixture(scope="session")
def warm(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a cache that has every table, to be copied, so that runs are short."""
    place = Folder(tmp_path_factory.mktemp("warm"), undisturbed)
    assert place.run().code == 0
    return place.cache


@pytest.fixture
def whole(folder: Folder, warm: Path) -> Folder:
    """Give a case with a whole dataset and cache."""
    put_dataset(folder)
    put_cache(folder, warm)
    return folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for as many seeds as it asks for."""
    if (mark := metafunc.definition.get_closest_marker("seeds")) is not None:
        quick, whole = mark.args
        metafunc.parametrize("seed", range(whole if metafunc.config.getoption("whole") else quick))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that take long to the command that runs the whole of them."""
    if config.getoption("whole"):
        return
    left = [item for item in items if item.get_closest_marker("whole") is not None]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the report what the book asks, as the test may run in another process than it."""
    report = yield
    if HERE in item.path.parents:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        report.__dict__["case"] = {
            "name": item.name,
            "rows": [mark.args[0] for mark in item.iter_markers("row")],
            "controls": [mark.args[0] for mark in item.iter_markers("control")],
            "seed": params.get("seed"),
        }
    return report


class Book:
    """What was tried in which row, and what came of it.

    Rows of which this run has no test stay as an earlier run wrote them down.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.rows: dict[int, dict[str, Any]] = defaultdict(lambda: deepcopy(_UNTRIED))
        self.controls: dict[int, dict[str, int]] = defaultdict(lambda: {"tried": 0, "red": 0})
        self.measures: dict[str, list[object]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one case."""
        case = getattr(report, "case", None)
        if case is None:
            return
        if report.skipped:
            for number in case["rows"]:
                self.rows[number]["skipped"].append(case["name"])
            return
        if report.when != "call" and not report.failed:
            return
        for number in case["controls"]:
            control = self.controls[number]
            control["tried"] += 1
            control["red"] += report.passed
        for number in case["rows"]:
            row = self.rows[number]
            row["tried"] += 1
            row["survived"] += report.passed
            if case["seed"] is not None:
                row["seeds"] = sorted({*row["seeds"], case["seed"]})
            if report.failed:
                row["failed"].append(case["name"])
        for name, value in report.user_properties:
            self.measures[name].append(value)

    def pytest_sessionfinish(self) -> None:
        """Write the book."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        before = json.loads(self.place.read_bytes()) if self.place.exists() else {}
        rows = {
            str(number): before.get("rows", {}).get(str(number), _UNTRIED)
            | asdict(row)
            | self.rows.get(number, {})
            for number, row in ROWS.items()
        }
        book = {
            "rows": rows,
            "controls": before.get("controls", {})
            | {str(number): control for number, control in self.controls.items()},
            "measures": before.get("measures", {}) | self.measures,
        }
        self.place.write_text(json.dumps(book, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Open the book, where one is wanted."""
    place = config.getoption("outcome")
    if place and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Book(Path(place)))
