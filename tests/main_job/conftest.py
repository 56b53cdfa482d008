"""What the tests of the main job share: made releases, a server, and a cache."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from main_job.results import SPEC
from mirrors import kept_tables
from oidkit.api import Settings
from oidkit.testing import MirrorServer, make_release
from oracle import Mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Mirror]:
    """Give a made release of some seed, each made once."""
    made: dict[int, Path] = {}

    def mirror(seed: int, release: str) -> Mirror:
        if seed not in made:
            folder = tmp_path_factory.mktemp(f"mirror-{seed}")
            made[seed] = make_release(folder, dataclasses.replace(SPEC, seed=seed)).root
        return Mirror(made[seed], release)

    return mirror


@pytest.fixture(scope="module")
def mirror(mirrors: Callable[[int, str], Mirror]) -> Mirror:
    """Give the mirror that most tests read, as V7."""
    return mirrors(0, "v7")


@pytest.fixture(scope="module")
def server(mirror: Mirror) -> Iterator[MirrorServer]:
    """Serve that mirror."""
    with MirrorServer(mirror.root) as running:
        yield running


cache = pytest.fixture(scope="module")(kept_tables)


@pytest.fixture
def settings(mirror: Mirror, cache: Path) -> Settings:
    """Read from the folder."""
    return Settings(source=str(mirror.root), cache=cache)


@pytest.fixture
def web(server: MirrorServer, cache: Path) -> Settings:
    """Read over HTTP; the server's books begin with the test."""
    server.hook = None
    server.reset()
    return Settings(source=server.url, cache=cache)
