"""The source is away for a while, once it has answered; or it was never there."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from faults.proxy import NONE, Proxy, Toxics
from faults.runs import Folder, finished

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults.runs import Undisturbed

CUT = Toxics(limit_data=0)


@pytest.fixture
def away(folder: Folder) -> Iterator[tuple[Folder, Proxy]]:
    """Give a folder whose source is reached through a proxy."""
    with Proxy(folder.undisturbed.server.url) as proxy:
        folder.undisturbed.server.delay = 0.02
        yield replace(folder, source=proxy.url), proxy


def begun(folder: Folder, share: float) -> subprocess.Popen[bytes]:
    """Start the run and wait until so much of it is done."""
    process = folder.start()
    while folder.undisturbed.progress() < share:
        assert process.poll() is None
        time.sleep(0.02)
    return process


def outage(folder: Folder, proxy: Proxy, *, share: float, seconds: float) -> None:
    """Take the source away when *share* of the run is done, for so long: the run completes."""
    process = begun(folder, share)
    proxy.down()
    time.sleep(seconds)
    assert process.poll() is None
    proxy.up()
    folder.check_complete(finished(process))


@pytest.mark.row(12)
@pytest.mark.seeds(1, 8)
def test_the_source_is_away_for_seconds(away: tuple[Folder, Proxy], seed: int) -> None:
    """Connections are cut and then refused for 6 seconds: the run goes on by itself."""
    folder, proxy = away
    outage(folder, proxy, share=0.15 + 0.6 * ((seed + 3) % 8) / 8, seconds=6.0)


@pytest.mark.whole
@pytest.mark.row(12)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_source_is_away_for_twenty_seconds(away: tuple[Folder, Proxy], share: float) -> None:
    """An outage of 20 seconds is no other than one of six."""
    outage(*away, share=share, seconds=20.0)


@pytest.mark.whole
@pytest.mark.row(12)
def test_the_source_is_away_again_and_again(away: tuple[Folder, Proxy]) -> None:
    """Three outages of ten seconds: each has a time of its own."""
    folder, proxy = away
    process = begun(folder, 0.2)
    for _ in range(3):
        proxy.down()
        time.sleep(10.0)
        proxy.up()
        time.sleep(0.3)
    folder.check_complete(finished(process))


@pytest.mark.row(12)
def test_a_balancer_whose_source_is_away(
    away: tuple[Folder, Proxy], record_property: Callable[[str, object], None]
) -> None:
    """Connections are taken and closed without an answer for 6 seconds, which is an outage too."""
    folder, proxy = away
    process = begun(folder, 0.3)
    proxy.choose = lambda number: CUT
    proxy.down()
    proxy.up()
    before = proxy.connections
    time.sleep(6.0)
    record_property("row12 connections tried in 6 s", proxy.connections - before)
    assert proxy.connections - before < 100
    proxy.choose = lambda number: NONE
    folder.check_complete(finished(process))


@pytest.mark.row(12)
def test_a_source_that_was_never_there(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """It is not waited for: exit 4 within seconds, one sentence, and no folder."""
    with Proxy(undisturbed.server.url) as proxy:
        proxy.down()
        folder = Folder(tmp_path, undisturbed, source=proxy.url)
        done = folder.run()
        assert done.code == 4, done.err
        assert done.seconds < 40
        assert len(done.err.strip().splitlines()) == 1
        assert "could not be read" in done.err
        assert not folder.out.exists()
        proxy.up()
        folder.check_complete(folder.run())


@pytest.mark.whole
@pytest.mark.row(12)
def test_a_source_that_does_not_come_back(
    away: tuple[Folder, Proxy], record_property: Callable[[str, object], None]
) -> None:
    """After 75 seconds the run ends with exit 4; the same command later completes."""
    folder, proxy = away
    process = begun(folder, 0.5)
    proxy.down()
    gone = time.monotonic()
    done = finished(process, timeout=240)
    record_property("row12 seconds until it is given up", round(time.monotonic() - gone, 1))
    assert done.code == 4, done.err
    assert "stopped answering" in done.err
    assert time.monotonic() - gone > 60
    folder.check_standing()
    proxy.up()
    folder.check_complete(folder.run())
