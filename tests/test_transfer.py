"""The transfer loop against a server that misbehaves: what is retried, refused, resumed, given up.

Images go through `fetch`, over real HTTP on loopback.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from bad_inputs import ASKED, environment, nothing_lost, tree
from oidkit.api import Settings, Summary, fetch
from oidkit.events import Retried
from oidkit.testing import Fault, MirrorServer, RequestInfo
from oidkit.transfer.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oidkit.events import Event
    from oidkit.testing import Request

pytest_plugins = ["bad_fixtures"]
pytestmark = pytest.mark.usefixtures("short_pauses")


class Fetcher:
    """Fetches some images of the mirror into a folder of its own."""

    def __init__(self, server: MirrorServer, mirror: Path, folder: Path) -> None:
        self.server, self.out = server, folder / "images"
        paths = sorted((mirror / "open-images-dataset" / "validation").iterdir())[:8]
        self.originals = {path.name: path.read_bytes() for path in paths}
        self.first = f"open-images-dataset/validation/{paths[0].name}"
        self.settings = Settings(server.url, folder / "cache", workers=4)
        self.events: list[Event] = []
        self._list = folder / "ids.txt"
        self._list.write_text("".join(f"validation/{path.stem}\n" for path in paths))

    def __call__(self, fault: Fault | None = None, *, times: int = 1000) -> Summary:
        """Fetch all, with *fault* for the first tries of the first image."""

        def hook(request: RequestInfo) -> Fault | None:
            return fault if request.path == self.first and request.attempt <= times else None

        self.server.reset()
        self.server.hook = hook
        return fetch(self._list, self.out, settings=self.settings, on_event=self.events.append)

    @property
    def tries(self) -> list[Request]:
        """Give the requests for the first image."""
        return [request for request in self.server.log if request.path == self.first]

    def all_there(self) -> None:
        """Make sure that every image is there, byte for byte."""
        assert tree(self.out) == self.originals

    def all_but_first(self) -> None:
        """Make sure that the first image is not there in any form, and the others are."""
        name = self.first.rpartition("/")[2]
        others = {other: data for other, data in self.originals.items() if other != name}
        assert tree(self.out) == others


@pytest.fixture
def fetcher(sound_server: MirrorServer, sound_mirror: Path, tmp_path: Path) -> Fetcher:
    """Give the images to fetch."""
    return Fetcher(sound_server, sound_mirror, tmp_path)


# -- statuses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_passes_is_tried_again(status: int, fetcher: Fetcher) -> None:
    """Two answers of trouble, then the image: three requests, and the retries are told."""
    summary = fetcher(Fault.answer(status), times=2)
    assert summary.exit_code == 0
    assert [request.status for request in fetcher.tries] == [status, status, 200]
    assert sum(isinstance(event, Retried) for event in fetcher.events) == 2
    fetcher.all_there()


def test_retry_after_is_waited_for(fetcher: Fetcher) -> None:
    """A server that asks for a second gets it, however short the pauses are otherwise."""
    begun = time.monotonic()
    summary = fetcher(Fault.answer(429, retry_after="1"), times=1)
    assert summary.exit_code == 0
    assert time.monotonic() - begun >= 1.0
    assert len(fetcher.tries) == 2
    fetcher.all_there()


def test_a_server_that_asks_for_an_hour_is_not_asked_again(fetcher: Fetcher) -> None:
    """A wait longer than a minute is left to the next run."""
    begun = time.monotonic()
    summary = fetcher(Fault.answer(503, retry_after="3600"))
    assert summary.exit_code == 4
    assert time.monotonic() - begun < 20
    assert len(fetcher.tries) == 1
    fetcher.all_but_first()


def test_a_failure_for_ever_ends_with_4_and_a_rerun_completes(fetcher: Fetcher) -> None:
    """Tries come to an end, the others are had, and the rerun asks for the failed one alone."""
    summary = fetcher(Fault.answer(500))
    assert summary.exit_code == 4
    assert (summary.images.failed, summary.images.fetched) == (1, 7)
    assert "answers 500" in summary.first_failure
    assert len(fetcher.tries) == 6
    fetcher.all_but_first()
    assert fetcher().exit_code == 0
    assert fetcher.server.requests == 1
    fetcher.all_there()


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_gone_costs_one_request(status: int, fetcher: Fetcher) -> None:
    """A missing image is exit 3, listed, and asked for once."""
    summary = fetcher(Fault.answer(status))
    assert summary.exit_code == 3
    assert summary.missing == [fetcher.first.removeprefix("open-images-dataset/")[:-4]]
    assert len(fetcher.tries) == 1
    fetcher.all_but_first()


def test_a_source_that_says_what_is_gone_has_not_stopped_answering(
    sound_server: MirrorServer, tmp_path: Path
) -> None:
    """Failures between answers of 404, however many, are each recorded, and the run goes on."""
    images = [f"train/{number:016x}" for number in range(120)]
    (tmp_path / "ids.txt").write_text("".join(f"{each}\n" for each in images))

    def hook(request: RequestInfo) -> Fault:
        odd = int(request.path[-20:-4], 16) % 2
        return Fault.answer(500, retry_after="3600") if odd else Fault.answer(404)

    sound_server.hook = hook
    settings = Settings(sound_server.url, tmp_path / "cache", workers=1)
    summary = fetch(tmp_path / "ids.txt", tmp_path / "images", settings=settings)
    assert (summary.images.failed, summary.images.missing) == (60, 60)


@pytest.mark.parametrize("status", [400, 401, 403, 451, 501])
def test_a_refusal_is_not_tried_again(status: int, fetcher: Fetcher) -> None:
    """No retry mends a refusal: one request, exit 4."""
    summary = fetcher(Fault.answer(status))
    assert summary.exit_code == 4
    assert str(status) in summary.first_failure
    assert len(fetcher.tries) == 1
    fetcher.all_but_first()


# -- bodies --------------------------------------------------------------------------------------

BROKEN = {
    "cut": Fault(cut=100),
    "cut to nothing": Fault(cut=0),
    "reset before the answer": Fault(reset=True),
    "reset in the body": Fault(reset=True, cut=100),
}
DAMAGED = {
    "flipped": Fault(flip=200),
    "flipped at the end": Fault(flip=-1),
    "no length, cut": Fault(no_length=True, cut=100),
    "no length, no ETag, cut": Fault(no_length=True, cut=300, headers={"ETag": ""}),
    "no ETag, web page": Fault.html(),
    "empty": Fault(status=200, body=b""),
    "another image's bytes": Fault(body=b"\xff\xd8\xff\xd9"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_body_that_breaks_once_is_fetched_again(what: str, fetcher: Fetcher) -> None:
    """A connection that ends too soon costs one more request and nothing else."""
    assert fetcher(BROKEN[what], times=1).exit_code == 0
    assert len(fetcher.tries) == 2
    fetcher.all_there()


@pytest.mark.parametrize("what", BROKEN)
def test_a_body_that_always_breaks_is_given_up(what: str, fetcher: Fetcher) -> None:
    """Exit 4 after six tries; what came of the image stands nowhere."""
    assert fetcher(BROKEN[what]).exit_code == 4
    # libcurl itself asks again at once where a connection that was kept open turns out to be dead
    assert 6 <= len(fetcher.tries) <= 12
    fetcher.all_but_first()
    assert fetcher().exit_code == 0
    fetcher.all_there()


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_body_is_refused_and_fetched_again(what: str, fetcher: Fetcher) -> None:
    """Content is checked by its MD5, or by its structure where there is none."""
    assert fetcher(DAMAGED[what], times=1).exit_code == 0
    assert len(fetcher.tries) == 2
    fetcher.all_there()


@pytest.mark.parametrize("what", DAMAGED)
def test_a_body_that_is_always_damaged_is_exit_6(what: str, fetcher: Fetcher) -> None:
    """After three tries it is given up; there is no file at the final name, nor beside it."""
    summary = fetcher(DAMAGED[what])
    assert summary.exit_code == 6
    assert summary.damaged == 1
    assert len(fetcher.tries) == 3
    fetcher.all_but_first()


def test_a_compressed_body_is_refused(fetcher: Fetcher) -> None:
    """A proxy that compresses would make checksums and ranges a lie: exit 4 says what to do."""
    summary = fetcher(Fault(headers={"Content-Encoding": "gzip"}))
    assert summary.exit_code == 4
    assert "gzip" in summary.first_failure
    assert not [each for each in fetcher.tries if each.headers["accept-encoding"] != "identity"]
    fetcher.all_but_first()


# -- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_refused(
    status: int, fetcher: Fetcher, sound_mirror: Path
) -> None:
    """The other host is never spoken to, and no retry is made."""
    with MirrorServer(sound_mirror) as other:
        summary = fetcher(Fault.redirect(f"{other.url}/{fetcher.first}", status=status))
        assert (other.requests, other.connections) == (0, 0)
    assert summary.exit_code == 4
    assert "redirects" in summary.first_failure
    assert len(fetcher.tries) == 1
    fetcher.all_but_first()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "//127.0.0.2/x", "ftp://127.0.0.1/x", ""])
def test_a_redirect_to_anything_else_is_refused(target: str, fetcher: Fetcher) -> None:
    """No file, no other scheme, no other address, and no redirect to nowhere."""
    assert fetcher(Fault.redirect(target)).exit_code == 4
    fetcher.all_but_first()


def test_a_redirect_on_the_same_host_is_followed(fetcher: Fetcher) -> None:
    """A mirror may move its objects about."""
    moved = f"/{fetcher.first}?moved=1"
    assert fetcher(Fault.redirect(moved), times=1).exit_code == 0
    assert [request.status for request in fetcher.tries] == [302, 200]
    fetcher.all_there()


def test_a_redirect_in_a_circle_comes_to_an_end(fetcher: Fetcher) -> None:
    """A redirect to itself is followed a few times."""
    assert fetcher(Fault.redirect(f"/{fetcher.first}")).exit_code == 4
    assert len(fetcher.tries) == 6
    fetcher.all_but_first()


# -- time, number, memory ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault(stall=60, stall_at=50), Fault(delay=60)])
def test_a_server_that_falls_silent_is_given_up(
    fault: Fault, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither before nor within the body is a silence waited out: the next try has the image."""
    monkeypatch.setattr("oidkit.store.http._LOW_SPEED_SECONDS", 1)
    begun = time.monotonic()
    assert fetcher(fault, times=1).exit_code == 0
    assert time.monotonic() - begun < 15
    fetcher.all_there()


def test_no_more_requests_are_in_flight_than_workers(fetcher: Fetcher) -> None:
    """`--workers` is kept while every image is damaged, broken or refused once."""
    faults = [Fault(flip=200), Fault(cut=50), Fault.answer(500), Fault(reset=True)]
    fetcher.settings = Settings(fetcher.settings.source, fetcher.settings.cache, workers=3)
    fetcher()
    shutil.rmtree(fetcher.out)
    server = fetcher.server
    server.reset()
    server.delay = 0.05
    server.hook = lambda r: faults[r.number % 4] if r.attempt == 1 else None
    summary = fetch(fetcher._list, fetcher.out, settings=fetcher.settings)
    assert summary.exit_code == 0
    assert server.requests == 16
    assert 2 <= server.peak <= 3
    fetcher.all_there()


def test_memory_does_not_grow_with_the_number_of_images(fetcher: Fetcher, tmp_path: Path) -> None:
    """Of 150 MB in 150 images only a part is ever in memory, however fast they come."""
    mirror = tmp_path / "large"
    folder = mirror / "open-images-dataset" / "validation"
    folder.mkdir(parents=True)
    picture = next(iter(fetcher.originals.values()))
    (folder / "first").write_bytes(picture[:-2] + bytes(1_000_000) + picture[-2:])
    ids = [f"{at:016x}" for at in range(150)]
    for name in ids:
        os.link(folder / "first", folder / f"{name}.jpg")
    (tmp_path / "many.txt").write_text("".join(f"validation/{name}\n" for name in ids))
    with MirrorServer(mirror) as server:
        settings = Settings(server.url, tmp_path / "cache", workers=4)
        tracemalloc.start()
        try:
            summary = fetch(tmp_path / "many.txt", tmp_path / "out", settings=settings)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert summary.images.fetched == 150
    assert summary.received_bytes > 150_000_000
    assert peak < 80_000_000


def test_ctrl_c_ends_the_command_soon_and_leaves_nothing_partial(
    sound_mirror: Path, undisturbed: Mapping[str, bytes], tmp_path: Path
) -> None:
    """Exit 130 within five seconds, whole files only; the same command then completes the tree."""
    out = tmp_path / "out"
    with MirrorServer(sound_mirror, delay=0.05) as server:
        words = ["--source", server.url, "--cache", tmp_path / "cache", "--out", out]
        command = [sys.executable, "-m", "oidkit", "download", *ASKED, "--workers", "2", *words]
        plain = [str(word) for word in command]
        process = subprocess.Popen(plain, stderr=subprocess.PIPE, text=True, env=environment())
        while not any(request.path.endswith(".jpg") for request in server.log):
            assert process.poll() is None
            time.sleep(0.02)
        server.bandwidth = 2_000
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
        assert time.monotonic() - sent < 5
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert said.splitlines()[-1].startswith("oid: interrupted")
        partial = tree(out)
        assert len(partial) < len(undisturbed)
        for name, data in partial.items():
            assert undisturbed[name] == data, name
        server.bandwidth, server.delay = None, 0.0
        finished = subprocess.run(plain, capture_output=True, env=environment(), check=False)
    assert finished.returncode == 0, finished.stderr
    nothing_lost(partial, out)
    assert tree(out) == undisturbed


# -- retries -------------------------------------------------------------------------------------


def test_pauses_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six tries in all, pauses of 0.1 to 10 seconds, together under half a minute."""
    monkeypatch.undo()
    for seed in range(200):
        backoff = Backoff(_random=random.Random(seed))
        pauses = []
        while (pause := backoff.next()) is not None:
            pauses.append(pause)
        assert len(pauses) == 5
        assert not [each for each in pauses if not 0.1 <= each <= 10.0]
        assert sum(pauses) < 30


def test_a_wish_of_the_server_comes_before_the_pause() -> None:
    """Retry-After is kept, with a little more so that not all come at once; an hour is not."""
    assert 7.0 <= (Backoff().next(7.0) or 0.0) <= 7.2
    assert Backoff().next(61.0) is None


def test_fewer_tries_may_be_asked_for() -> None:
    """Damaged content is tried three times in all."""
    backoff = Backoff()
    assert [backoff.next(most=3) is None for _ in range(3)] == [False, False, True]
