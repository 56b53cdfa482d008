"""Objects that are not there or not given out, and redirects that lead away."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import pytest

from faults.kinds import KINDS, always, asked, first_image, lacking, places_of
from faults.runs import tree
from oidkit.testing import Fault, RequestInfo

if TYPE_CHECKING:
    from pathlib import Path

    from faults.runs import Folder

_WHOLE = [pytest.param(kind, marks=pytest.mark.whole) for kind in KINDS]


class Listener:
    """A second server, which counts who comes and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.count = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.count += 1
            connection.close()


# -- row 18 ----------------------------------------------------------------------------------------


@pytest.mark.row(18)
@pytest.mark.parametrize("status", [404, 410])
def test_images_that_are_gone(folder: Folder, status: int) -> None:
    """One request each, listed, exit 3; a second run asks for each once more, and for no other."""
    server = folder.undisturbed.server
    names = sorted({p.rpartition("/")[2] for p in folder.undisturbed.tree if p.endswith(".jpg")})
    gone = set(names[::7])

    def hook(request: RequestInfo) -> Fault | None:
        return Fault.answer(status) if request.path.rpartition("/")[2] in gone else None

    server.hook = hook
    lost = {path: "missing" for path in folder.undisturbed.tree if path.rpartition("/")[2] in gone}
    done = folder.run()
    folder.check(done, code=3, lacking=lost)
    assert {name.partition("/")[2] + ".jpg" for name in done.summary["missing"]} == gone
    asked_for = [each.path.rpartition("/")[2] for each in server.log]
    assert {asked_for.count(name) for name in gone} == {1}


@pytest.mark.row(18)
@pytest.mark.parametrize("kind", [*_WHOLE[:3], KINDS[3], KINDS[4]])
def test_an_object_that_is_refused(folder: Folder, kind: str) -> None:
    """403 is not tried again: one request, exit 4, and the rest of what can be had is there."""
    always(folder, kind, Fault.answer(403))
    check_lost(folder, kind, "failed", code=4)


@pytest.mark.row(18)
@pytest.mark.parametrize("kind", [*_WHOLE[:2], KINDS[2], _WHOLE[3]])
def test_a_file_that_is_gone(folder: Folder, kind: str) -> None:
    """A mirror without a table is exit 2; one without a zip lacks its masks, exit 3."""
    always(folder, kind, Fault.answer(404))
    check_lost(folder, kind, "missing", code=2 if kind in KINDS[:2] else 3)


def check_lost(folder: Folder, kind: str, status: str, *, code: int) -> None:
    """Check what one object costs that cannot be had: one request, and what hangs on it."""
    done = folder.run()
    if kind in KINDS[:2]:
        assert done.code == code, done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not [path for path in tree(folder.out) if not path.startswith(".oid/")]
    else:
        folder.check(done, code=code, lacking=lacking(folder, kind, status))
    assert asked(folder, kind) == 1
    folder.undisturbed.server.hook = None
    folder.check_complete(folder.run())


# -- row 19 ----------------------------------------------------------------------------------------

_PLACES = {
    "another port": "http://127.0.0.1:{other}/x",
    "a name of this machine": "http://localhost:{own}/x",
    "a name and a password": "http://some:one@127.0.0.1:{own}/x",
    "another scheme": "https://127.0.0.1:{own}/x",
    "no scheme": "//127.0.0.1:{other}/x",
    "a cloud's own address": "http://169.254.169.254/latest/meta-data/",
    "a file": "file:///etc/passwd",
    "a backslash": "http://127.0.0.1:{other}\\@127.0.0.1:{own}/x",
    "junk": "http://[::1/x",
    "a line of its own": "http://127.0.0.1:{other}/\x1b[2Jx",
}


@pytest.mark.row(19)
@pytest.mark.parametrize(
    "place",
    [
        pytest.param(each, marks=[] if at in (0, 5, 6) else pytest.mark.whole)
        for at, each in enumerate(_PLACES)
    ],
)
def test_an_image_that_redirects_away(folder: Folder, place: str) -> None:
    """Nobody else is contacted, no second request is made, and the sentence says where it led."""
    server = folder.undisturbed.server
    with Listener() as other:
        target = _PLACES[place].format(other=other.port, own=server.port)
        always(folder, "image", Fault.redirect(target))
        trace = folder.root / "trace"
        folder.root.mkdir(exist_ok=True)
        done = folder.run(before=traced(trace))
        lost = dict.fromkeys(places_of(folder, first_image(folder)), "failed")
        folder.check(done, code=4, lacking=lost)
        assert other.count == 0
    assert asked(folder, "image") == 1
    assert connected(trace) <= {("127.0.0.1", server.port)}
    said = (folder.out / ".oid" / "manifest.csv").read_text() + done.err
    assert "redirects to" in said
    assert "\x1b" not in said
    assert "some:one" not in said


def traced(trace: Path) -> tuple[str, ...]:
    """Give the command that notes every connection of a run, where it is installed."""
    strace = shutil.which("strace")
    if strace is None:
        return ()
    return (strace, "-f", "-qq", "-e", "trace=connect", "-o", str(trace))


def connected(trace: Path) -> set[tuple[str, int]]:
    """Read the addresses of the internet that a run tried to reach."""
    if not trace.exists():
        return set()
    found = re.findall(
        r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)', trace.read_text()
    )
    # Port 53 is the question for a name, port 0 that of the resolver for its own address.
    return {(host, int(port)) for port, host in found if int(port) not in (0, 53)}


@pytest.mark.row(19)
@pytest.mark.parametrize("kind", _WHOLE[:4])
def test_metadata_or_masks_that_redirect_away(folder: Folder, kind: str) -> None:
    """The same holds for every kind of object: one request, exit 4."""
    with Listener() as other:
        always(folder, kind, Fault.redirect(f"http://127.0.0.1:{other.port}/x"))
        check_lost(folder, kind, "failed", code=4)
        assert other.count == 0


@pytest.mark.row(19)
def test_a_redirect_in_a_circle(folder: Folder) -> None:
    """It is left after five rounds, and the sentence says so."""
    key = first_image(folder)
    always(folder, "image", Fault.redirect(f"/{key}"))
    lost = dict.fromkeys(places_of(folder, key), "failed")
    folder.check(folder.run(), code=4, lacking=lost)
    assert asked(folder, "image") == 6
    assert "again and again" in (folder.out / ".oid" / "manifest.csv").read_text()


@pytest.mark.row(19)
@pytest.mark.parametrize("kind", [*_WHOLE[:3], KINDS[3], _WHOLE[4]])
def test_a_redirect_on_the_same_host(folder: Folder, kind: str) -> None:
    """A mirror may move its objects: ranges, conditions and the source's password go along."""
    server = folder.undisturbed.server

    def moved(request: RequestInfo) -> Fault:
        return Fault.redirect(f"http://127.0.0.1:{server.port}/{request.path}")

    always(folder, kind, moved, times=1)
    other = replace(folder, source=server.url.replace("//", "//ann:s3cr3t@"))
    done = other.run()
    assert done.code == 0, done.err
    assert asked(folder, kind) == 2
    assert {each.headers.get("authorization", "none")[:6] for each in server.log} == {"Basic "}
    found, whole = tree(other.out), folder.undisturbed.tree
    assert [path for path in found if path.startswith((".oid/d", ".oid/r"))]
    for path, data in whole.items():
        assert found[path] == data or path.startswith(".oid/"), path
    assert not [path for path, data in found.items() if b"s3cr3t" in data]
