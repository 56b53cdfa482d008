"""A pytest plugin of the tests of datasets in buckets: a release, a bucket, and the like folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import mirrors
from buckets import SPEC, Store, ours, served
from mirrors import CLASSES
from oidkit.api import Settings, download
from oidkit.testing import MirrorServer, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a release of some images, of which a tenth is missing."""
    return make_release(tmp_path_factory.mktemp("mirror"), SPEC).root


@pytest.fixture(scope="module")
def server(mirror: Path) -> Iterator[MirrorServer]:
    """Serve it."""
    with MirrorServer(mirror) as running:
        yield running


cache = pytest.fixture(scope="module")(mirrors.kept_tables)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Serve a bucket."""
    with served(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def store(running: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Have the keys for the bucket, whose books begin with the test."""
    return ours(running, monkeypatch)


@pytest.fixture
def settings(server: MirrorServer, cache: Path) -> Iterator[Settings]:
    """Read from the server, whose books begin with the test, and whose faults end with it."""
    server.reset()
    yield Settings(source=server.url, cache=cache)
    server.hook, server.delay = None, 0.0


@pytest.fixture(scope="module")
def folder(server: MirrorServer, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download two classes into a folder; nobody may change it."""
    out = tmp_path_factory.mktemp("folder") / "out"
    download(CLASSES, out, settings=Settings(source=server.url, cache=cache))
    return out
