"""A pytest plugin of the tests of bad input: the mirror, the dataset that stands, the command."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bad_inputs import ASKED, SPEC, Bench, Ended, tree
from oidkit.api import Settings, download
from oidkit.cli import main
from oidkit.selection import Selection
from oidkit.testing import MirrorServer, make_release
from oidkit.transfer import retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def sound_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the mirror that the tests copy before they damage it."""
    root = tmp_path_factory.mktemp("sound") / "mirror"
    make_release(root, SPEC)
    return root


@pytest.fixture(scope="session")
def cache_of_sound(sound_mirror: Path) -> Path:
    """Give a cache that knows the sound mirror."""
    return sound_mirror.parent / "cache"


@pytest.fixture(scope="session")
def dataset_before(sound_mirror: Path, cache_of_sound: Path) -> Path:
    """Download the class that stands there before anything goes wrong."""
    return _downloaded(sound_mirror, cache_of_sound, ASKED[1:2], name="before")


@pytest.fixture(scope="session")
def undisturbed(sound_mirror: Path, cache_of_sound: Path, dataset_before: Path) -> dict[str, bytes]:
    """Give the tree of both classes, as a run that nothing disturbs leaves it."""
    return tree(_downloaded(sound_mirror, cache_of_sound, ASKED[:2], name="both"))


def _downloaded(mirror: Path, cache: Path, names: tuple[str, ...], *, name: str) -> Path:
    out = mirror.parent / name
    settings = Settings(str(mirror), cache)
    summary = download(Selection(names, splits=("validation",)), out, settings=settings)
    assert summary.exit_code == 0
    return out


@pytest.fixture
def oid(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Give the command as a function: the same code as in its own process, without the start."""
    for name in ("OID_SOURCE", "OID_CACHE", "OID_RELEASE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def bench(
    tmp_path: Path, sound_mirror: Path, dataset_before: Path, oid: Callable[..., Ended]
) -> Bench:
    """Copy the mirror and the dataset, for one test to do as it likes with."""
    mirror, out = tmp_path / "mirror", tmp_path / "out"
    shutil.copytree(sound_mirror, mirror)
    shutil.copytree(dataset_before, out)
    return Bench(mirror, out, tmp_path / "cache", oid)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come soon."""
    monkeypatch.setattr(retry, "_SHORTEST", 0.001)
    monkeypatch.setattr(retry, "_LONGEST", 0.01)


@pytest.fixture
def sound_server(sound_mirror: Path) -> Iterator[MirrorServer]:
    """Serve the sound mirror, which nobody changes."""
    with MirrorServer(sound_mirror) as running:
        yield running
