"""What the commands do, as calls: documented, silent, light, in a script and in a notebook."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

import mirrors
import oidkit
from mirrors import environment, made_mirror, tree
from oidkit.events import Event, Fetched, PhaseEnded, PhaseStarted, Received

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.testing import MirrorServer

HEAVY = ("polars", "numpy", "pycurl", "rich", "PIL", "filelock", "google_crc32c", "asyncio")


server = pytest.fixture(mirrors.served)


@pytest.fixture
def settings(server: MirrorServer, tmp_path: Path) -> oidkit.Settings:
    """Read from the server, with an empty cache."""
    return oidkit.Settings(source=server.url, cache=tmp_path / "cache")


HANDGUNS = oidkit.Selection(("Handgun",), splits=("train",))


def imported_by(code: str) -> set[str]:
    """Run code in a fresh interpreter, and name the modules that it has then."""
    code += "; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", oidkit.__all__)
def test_public_name_is_documented(name: str) -> None:
    """Every public name is there, and says what it is; a call says what it raises or takes."""
    found = getattr(oidkit, name)
    text = inspect.getdoc(found) or ""
    assert len(text) > 20
    assert not text.startswith(f"{name}("), "that is what a dataclass says without a docstring"
    if inspect.isfunction(found):
        hints = inspect.get_annotations(found)
        assert set(hints) == {*inspect.signature(found).parameters, "return"}


def test_names_stay_what_they_are() -> None:
    """A name is the same thing every time, also when every module has been imported."""
    first = {name: getattr(oidkit, name) for name in oidkit.__all__}
    for found in first.values():
        import_module(found.__module__)
    assert {name: getattr(oidkit, name) for name in oidkit.__all__} == first
    assert not any(inspect.ismodule(found) for found in first.values())
    assert set(oidkit.__all__) <= set(dir(oidkit))


def test_names_of_the_api_stay_what_they_are() -> None:
    """The same holds of `oidkit.api`, whose names are the calls."""
    from oidkit import api

    first = {name: getattr(api, name) for name in api.__all__}
    assert not any(inspect.ismodule(found) for found in first.values())
    assert set(api.__all__) <= set(oidkit.__all__)
    assert not [
        (name, found) for name, found in first.items() if getattr(oidkit, name) is not found
    ]


def test_unknown_name() -> None:
    """A name that is not there is an AttributeError, as everywhere."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = oidkit.nothing


def test_version() -> None:
    """The version is that of the installed distribution, or there is none installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        wanted = version("oidkit")
    except PackageNotFoundError:
        pytest.skip("oidkit is not installed here, it runs from its sources")
    assert oidkit.__version__ == wanted  # type: ignore[attr-defined, unused-ignore]


def test_import_is_light() -> None:
    """`import oidkit` and the help of the command import none of the large libraries."""
    assert imported_by("import oidkit").isdisjoint(HEAVY)
    assert imported_by("import oidkit.cli").isdisjoint(HEAVY)


def test_listing_classes_needs_no_table_engine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The class list comes without the table engine: that is half a second a command."""
    mirror = made_mirror(tmp_path_factory)
    code = f"import oidkit; oidkit.classes('handgun', settings=oidkit.Settings({str(mirror)!r}"
    code += f", {str(mirror.parent / 'light')!r}))"
    assert imported_by(code).isdisjoint({"polars", "numpy", "rich", "PIL"})


def test_inside_a_running_event_loop(settings: oidkit.Settings, tmp_path: Path) -> None:
    """In a notebook an event loop runs already: every call works in it."""

    async def cell() -> list[object]:
        assert asyncio.get_running_loop().is_running()
        out = tmp_path / "out"
        planned = oidkit.plan(HANDGUNS, out, settings=settings)
        summary = oidkit.download(HANDGUNS, out, settings=settings)
        assert summary.images.fetched + summary.images.missing == planned.images[0].to_fetch
        assert oidkit.verify(out).checked
        ids = out / "downloader_IDs_for_m0gxl3_train.txt"
        fetched = oidkit.fetch(ids, tmp_path / "flat", settings=settings)
        assert fetched.images.fetched == summary.images.fetched
        rows = out / "csv" / "m0gxl3_train_boxes.csv"
        (cut,) = oidkit.split("Handgun", rows, subset="train", out=tmp_path, settings=settings)
        assert cut.rows == summary.annotations["boxes"]
        assert oidkit.classes("handgun", settings=settings)[0].mid == "/m/0gxl3"
        assert oidkit.class_tree("handgun", settings=settings)
        built = oidkit.index_build(splits=["train"], settings=settings)
        assert {entry.key for entry in built} <= {
            entry.key for entry in oidkit.index_info(settings=settings)
        }
        return [summary.exit_code, fetched.exit_code]

    assert set(asyncio.run(cell())) <= {0, 3}


def test_from_other_threads(settings: oidkit.Settings, tmp_path: Path) -> None:
    """Calls from several threads at once give what one call gives."""
    oidkit.download(HANDGUNS, tmp_path / "one", settings=settings)
    with ThreadPoolExecutor(3) as pool:
        outs = [tmp_path / str(nth) for nth in range(3)]
        runs = [pool.submit(oidkit.download, HANDGUNS, out, settings=settings) for out in outs]
        codes = {run.result().exit_code for run in runs}
    assert codes <= {0, 3}
    assert not [out for out in outs if tree(out) != tree(tmp_path / "one")]


def test_nothing_is_printed(
    settings: oidkit.Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library prints nothing, neither on stdout nor on stderr, not even in its errors."""
    oidkit.download(HANDGUNS, tmp_path / "out", settings=settings)
    oidkit.verify(tmp_path / "out")
    with pytest.raises(oidkit.OidError):
        oidkit.download("Handgn", tmp_path / "out", settings=settings)
    assert capfd.readouterr() == ("", "")


def test_demo(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The demo is a call too, and as silent as the others."""
    assert oidkit.demo(tmp_path / "out").exit_code == 0
    assert capfd.readouterr() == ("", "")
    assert any((tmp_path / "out" / "images").rglob("*.jpg"))


def test_events_come_on_the_calling_thread(settings: oidkit.Settings, tmp_path: Path) -> None:
    """Events arrive on the thread of the call, and add up to what the summary says."""
    heard: list[tuple[int, Event]] = []

    def listen(event: Event) -> None:
        heard.append((threading.get_ident(), event))

    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(threading.get_ident).result()
        call = pool.submit(
            oidkit.download, HANDGUNS, tmp_path / "out", settings=settings, on_event=listen
        )
        summary = call.result()
    assert {thread for thread, _ in heard} == {caller}
    events = [event for _, event in heard]
    received = sum(event.bytes for event in events if isinstance(event, Received))
    assert received == summary.received_bytes
    images = [e for e in events if isinstance(e, Fetched) and e.name.startswith("images/")]
    assert sum(event.bytes for event in images) == summary.images.bytes
    open_phases: list[str] = []
    for event in events:
        if isinstance(event, PhaseStarted):
            open_phases.append(event.phase)
        elif isinstance(event, PhaseEnded):
            assert open_phases.pop() == event.phase
    assert open_phases == []


def test_errors_of_a_listener_end_the_call(settings: oidkit.Settings, tmp_path: Path) -> None:
    """What a listener raises comes out of the call as it is, and the folder can be gone on with."""

    class StopError(Exception):
        pass

    def listen(event: Event) -> None:
        if isinstance(event, Fetched):
            raise StopError

    with pytest.raises(StopError):
        oidkit.download(HANDGUNS, tmp_path / "out", settings=settings, on_event=listen)
    assert oidkit.download(HANDGUNS, tmp_path / "out", settings=settings).exit_code in {0, 3}
    assert oidkit.verify(tmp_path / "out").exit_code in {0, 3}


def test_server_sees_the_bytes_that_the_summary_counts(
    server: MirrorServer, settings: oidkit.Settings, tmp_path: Path
) -> None:
    """Requests and received bytes of the summary are those that the server counted."""
    summary = oidkit.download(HANDGUNS, tmp_path / "out", settings=settings)
    assert summary.requests == server.requests
    assert summary.received_bytes == server.bytes_sent
