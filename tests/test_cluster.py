"""`--engine ray` without a Ray: flags, addresses and machines that will not do."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import mirrors
import worker_threads
from oidkit import cluster
from oidkit.api import Settings
from oidkit.api.shards import Errand
from oidkit.cli import main
from oidkit.errors import OidError, SourceError, UsageError
from worker_threads import Case

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.testing import MirrorServer


server = pytest.fixture(mirrors.served)
case = pytest.fixture(worker_threads.case)


def test_an_engine_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    """One sentence says how to get Ray; no image is asked for, and no folder is made."""
    real = importlib.util.find_spec
    monkeypatch.setattr(cluster, "find_spec", lambda name: None if name == "ray" else real(name))
    out = case.root / "out"
    places = ["--source", case.server.url, "--cache", str(case.root / "cache"), "--out", str(out)]
    assert main(["download", "Handgun", *places, "--engine", "ray"]) == 2
    said = capsys.readouterr().err
    assert "the engine ray needs Ray, which is not installed" in said
    assert 'pip install "oidkit[ray]"' in said
    assert not case.images_asked()
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--engine", "spark"], "there is no engine 'spark'; choose from local, ray"),
        (["--ray-address", "auto"], "--ray-address needs --engine ray"),
        (["--requests-per-second", "0"], "has to be more than 0"),
        (["--requests-per-second", "many"], "'many' is not a number"),
    ],
)
def test_flags_that_make_no_sense(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """They are refused with a sentence, before anything is looked at."""
    assert main(["download", "Handgun", "--out", str(tmp_path / "out"), *flags]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("address", ["head", "http://head:6379", "ray://head:10001", "head:"])
def test_an_address_that_is_none(address: str) -> None:
    """What is no host:port is told before anybody is called."""
    with pytest.raises(UsageError, match=f"'{address}' is no address of a Ray cluster"):
        cluster._check_answers(address)


def test_an_address_where_nobody_answers(server: MirrorServer) -> None:
    """A closed port, and another server than a Ray, are told within seconds."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(
        UsageError, match=rf"no Ray cluster answers at 127\.0\.0\.1:{port}: .*refused"
    ):
        cluster._check_answers(f"127.0.0.1:{port}")
    with pytest.raises(UsageError, match="what answers there is something else"):
        cluster._check_answers(f"127.0.0.1:{server.port}")


def test_an_address_that_takes_calls_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.2)
    held = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        taking = threading.Thread(target=lambda: held.append(silent.accept()))
        taking.start()
        with pytest.raises(UsageError, match="timed out"):
            cluster._check_answers(f"127.0.0.1:{silent.getsockname()[1]}")
        taking.join()
    held[0][0].close()


@pytest.mark.parametrize(
    ("address", "kind", "said"),
    [
        (None, SourceError, "Ray could not be started on this machine: the node timed out; run"),
        ("auto", UsageError, "no Ray cluster answers at auto: the node timed out; check"),
    ],
)
def test_a_ray_that_does_not_start(
    address: str | None, kind: type[OidError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ray raises of whatever class is one sentence: a busy machine gets a bare Exception."""

    def init(**_: object) -> None:
        raise Exception("the node\ntimed out.")  # noqa: TRY002 - as Ray does

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    with pytest.raises(kind) as caught:
        cluster._connect(address)
    assert str(caught.value).startswith(said)


def test_a_machine_that_would_do_something_else(tmp_path: Path) -> None:
    """Another version, no program, another folder or no source there: each has its sentence."""
    errand = Errand(tmp_path, Settings(str(tmp_path), tmp_path))
    look = cluster._looker()
    (tmp_path / "token").touch()
    seen = look(str(tmp_path), str(tmp_path / "token"), str(tmp_path), cluster._program())
    cluster._judge("far", seen, errand)
    for changed, said in (
        ({"program": "0.0.1"}, "oidkit is 0.0.1 on the machine far of the Ray cluster, and "),
        ({"program": ""}, "oidkit is not installed on the machine far"),
        ({"sees": False}, f"{tmp_path} is not the same folder on the machine far"),
        ({"writes": False}, f"{tmp_path} may not be written on the machine far"),
        ({"source": False}, f"the source {tmp_path} is not there on the machine far"),
    ):
        with pytest.raises(UsageError) as caught:
            cluster._judge("far", seen | changed, errand)
        assert str(caught.value).startswith(said)
        assert caught.value.remedy
