"""The source falls silent, drips, or is slow for everybody.

What is waited for here are 20 seconds of silence, so the runs of this module go on side by side,
each with a server of its own.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from faults.proxy import NONE, Proxy, Toxics
from faults.runs import Folder, finished, kill_group
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from faults.runs import Done, Undisturbed

_DRIP = Fault(bandwidth=0.5)
# Longer than any run of this module takes on a busy machine; a drip of 12 kB takes seven hours.
_ENOUGH = 120.0

# They share their runs, so they belong into one process.
pytestmark = pytest.mark.xdist_group("slowness")


@dataclass
class Watch:
    """Spoils some images of one server, and notes who was served before they were tried again."""

    server: MirrorServer
    fault: Callable[[int], Fault | None]
    times: int = 1
    order: dict[str, int] = field(default_factory=dict)
    before: dict[str, set[str]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    first: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: RequestInfo) -> Fault | None:
        """Spoil the request, if it is one of those; note who was served before a second try."""
        if not request.path.endswith(".jpg"):
            return None
        self.first.set()
        number = self.order.setdefault(request.path, len(self.order))
        fault = self.fault(number)
        if fault is None:
            return None
        self.tries[request.path] = request.attempt
        if request.attempt > 1:
            self._note(request.path)
        return fault if request.attempt <= self.times else None

    def _note(self, path: str) -> None:
        log = self.server.log
        served = {each.path for each in log if each.status == 200 and each.path.endswith(".jpg")}
        self.before.setdefault(path, served - self.tries.keys())


@dataclass
class Running:
    """A run under way."""

    folder: Folder
    watch: Watch
    process: subprocess.Popen[bytes]
    begun: float
    ended: list[Done] = field(default_factory=list)

    def done(self) -> Done:
        """Wait for its end, as long as any run of this module may take."""
        if not self.ended:
            left = max(1.0, _ENOUGH - (time.monotonic() - self.begun))
            ended = finished(self.process, timeout=left)
            self.ended.append(replace(ended, seconds=time.monotonic() - self.begun))
        return self.ended[0]


def _faults(number: int) -> Fault | None:
    """Let the third image be silent before its header and the sixth in its body."""
    return {3: Fault(delay=600.0), 6: Fault(stall=600.0, stall_at=5_000)}.get(number)


def _third(number: int) -> Fault | None:
    return _DRIP if number == 3 else None


def _crowd(number: int) -> Fault | None:
    return Fault(bandwidth=5_000)


def _none(number: int) -> Fault | None:
    return None


_RUNS: dict[str, Callable[[int], Fault | None]] = {
    "dripping": _third,
    "without deadlines": _third,
    "silent": _faults,
    "held back": _none,
    "sliced": _none,
    "crowd": _crowd,
    "dripping for ever": _third,
}


@pytest.fixture(scope="module")
def runs(
    undisturbed: Undisturbed,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[dict[str, Running]]:
    """Start all the runs, and end what does not end by itself."""
    found: dict[str, Running] = {}
    with contextlib.ExitStack() as stack:
        for name, fault in _RUNS.items():
            if name.endswith("for ever") and not request.config.getoption("whole"):
                continue
            server = stack.enter_context(MirrorServer(undisturbed.mirror))
            watch = Watch(server, fault, times=99 if name.endswith("for ever") else 1)
            server.hook = watch
            url = server.url
            if name in ("held back", "sliced"):
                proxy = stack.enter_context(Proxy(url))
                url, proxy.choose = proxy.url, _spoiling(watch, name)
            folder = Folder(tmp_path_factory.mktemp("slow"), undisturbed, source=url)
            if name.startswith("without "):
                folder = replace(folder, without=name.removeprefix("without "))
            process = folder.start()
            stack.callback(_end, process)
            found[name] = Running(folder, watch, process, time.monotonic())
        yield found


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        kill_group(process)
    with process:
        pass


def _spoiling(watch: Watch, name: str) -> Callable[[int], Toxics]:
    """Spoil the first connections that are opened once images are asked for."""
    left = [4 if name == "held back" else 1]
    toxics = Toxics(timeout=0) if name == "held back" else Toxics(slicer=(1, 2.0))

    def choose(number: int) -> Toxics:
        if not watch.first.is_set() or not left[0]:
            return NONE
        left[0] -= 1
        return toxics

    return choose


def others_were_done(running: Running, count: int) -> None:
    """Check that all other images had come before the spoilt ones were asked for again."""
    watch = running.watch
    assert len(watch.tries) == count
    every = {path for path in watch.order if path not in watch.tries}
    assert len(watch.before) == count
    for served in watch.before.values():
        assert len(served) >= 0.9 * len(every)
        assert served == every


@pytest.mark.row(13)
def test_silence_before_the_header_and_in_the_body(
    runs: dict[str, Running], record_property: Callable[[str, object], None]
) -> None:
    """Both are given up after 20 seconds and fetched again; all others have come by then."""
    running = runs["silent"]
    done = running.done()
    running.folder.check_complete(done)
    record_property("row13 seconds", round(done.seconds, 1))
    others_were_done(running, 2)


@pytest.mark.row(13)
def test_connections_that_are_held_back(runs: dict[str, Running]) -> None:
    """Four connections through which nothing comes cost some images 20 seconds, and no more."""
    running = runs["held back"]
    running.folder.check_complete(running.done())


@pytest.mark.row(14)
def test_a_drip(runs: dict[str, Running], record_property: Callable[[str, object], None]) -> None:
    """One byte every two seconds is cut after 20 seconds; all other images have come by then."""
    running = runs["dripping"]
    done = running.done()
    running.folder.check_complete(done)
    record_property("row14 seconds", round(done.seconds, 1))
    others_were_done(running, 1)


@pytest.mark.row(14)
def test_a_drip_from_the_first_byte_of_the_header_on(runs: dict[str, Running]) -> None:
    """A connection that the proxy cuts into slices of a byte is given up as well."""
    running = runs["sliced"]
    running.folder.check_complete(running.done())


@pytest.mark.row(14)
def test_a_crowd_of_slow_transfers(runs: dict[str, Running]) -> None:
    """Every image comes at 5 kB a second, which is slow but no fault: none is asked for twice."""
    running = runs["crowd"]
    running.folder.check_complete(running.done())
    assert set(running.watch.tries.values()) == {1}


@pytest.mark.whole
@pytest.mark.row(14)
def test_a_drip_for_ever(runs: dict[str, Running]) -> None:
    """An image that always drips is given up after three tries, exit 4; all others are there."""
    running = runs["dripping for ever"]
    (path,) = running.watch.tries or {""}
    done = running.done()
    name = path.rpartition("/")[2]
    places = {each for each in running.folder.undisturbed.tree if each.endswith(f"/{name}")}
    running.folder.check(done, code=4, lacking=dict.fromkeys(places, "failed"))
    assert running.watch.tries[path] == 3
    others_were_done(running, 1)


@pytest.mark.control(14)
def test_without_deadlines_a_drip_holds_the_run(runs: dict[str, Running]) -> None:
    """Without the low-speed limit and the deadline the run of the drip does not end in its time.

    That is half as long again as the drip above takes with them, from its start to its end.
    """
    drip, control = runs["dripping"], runs["without deadlines"]
    patience = 1.5 * drip.done().seconds
    left = max(0.1, control.begun + patience - time.monotonic())
    with pytest.raises(pytest.fail.Exception, match="did not end"):
        finished(control.process, timeout=left)
