"""A download over a real Ray on loopback: two machines of it, three workers, and what befalls them.

They run in an environment of their own: make test-cluster.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults.runs import SPEC, Folder, Undisturbed, finished, kill_group, undisturbed_run
from oidkit.testing import PerSplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
os.environ.update(ON_LOOPBACK)  # before Ray is imported
pytest.importorskip("ray", reason="Ray is not installed; make test-cluster installs it")

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers by /proc"),
    pytest.mark.filterwarnings("default"),  # those of Ray
]

CPUS = (2, 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give Ray a home and a place for its sockets, whose names may not be long."""
    place = tmp_path_factory.mktemp("home")
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="oidray-", ignore_cleanup_errors=True) as short,
    ):
        patch.setenv("HOME", str(place))
        patch.setenv("RAY_TMPDIR", short)
        yield place


@pytest.fixture(scope="module")
def machines(home: Path) -> Iterator[Any]:
    """Start a Ray of two machines, which are processes of this one."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CPUS[0]})
    try:
        for count in CPUS[1:]:
            cluster.add_node(num_cpus=count)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """Give what a local run without a fault leaves, and the server."""
    spec = replace(SPEC, images=PerSplit(900, 40, 5))
    with undisturbed_run(tmp_path_factory, spec) as found:
        yield found


@pytest.fixture
def folder(undisturbed: Undisturbed, home: Path, tmp_path: Path) -> Iterator[Folder]:
    """Give a place for one case, and a server without faults."""
    undisturbed.server.reset()
    yield Folder(tmp_path, undisturbed)
    undisturbed.server.delay, undisturbed.server.hook = 0.0, None


def spread(folder: Folder, machines: Any, *more: object) -> list[str]:
    """Give the arguments of a download by the workers of the cluster."""
    return folder.download("--engine", "ray", "--ray-address", machines.address, *more)


def images_asked(folder: Folder) -> Counter[str]:
    """Count the requests for each image."""
    log = folder.undisturbed.server.log
    return Counter(each.path for each in log if each.path.endswith(".jpg"))


def workers_of(machines: Any) -> list[int]:
    """Find the processes that do a shard: children of the daemons of our own cluster."""
    daemons = {
        each.process.pid
        for node in machines.list_all_nodes()
        for each in node.all_processes.get("raylet", [])
    }
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (place / "cmdline").read_bytes()
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in daemons and title.startswith(b"ray::_work"):
                found.append(int(place.name))
    return sorted(found)


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for something while a run goes on."""
    while process.poll() is None and not reached():
        time.sleep(0.01)
    assert process.poll() is None, "the run had ended before"


def asked_for(folder: Folder, share: float) -> Callable[[], bool]:
    """Tell when a share of the images has been asked for."""
    whole = len([path for path in folder.undisturbed.tree if path.endswith(".jpg")])
    return lambda: len(images_asked(folder)) >= share * whole


def test_the_same_as_a_local_run_and_then_nothing(folder: Folder, machines: Any) -> None:
    """Every file and the manifest are those of a local run; the second run asks for no image."""
    done = folder.run(*spread(folder, machines))
    folder.check_complete(done)
    asked = images_asked(folder)
    assert set(asked.values()) == {1}
    assert done.summary["requests"] == folder.undisturbed.server.requests
    folder.undisturbed.server.reset()
    again = folder.run(*spread(folder, machines))
    folder.check_complete(again)
    assert not images_asked(folder)
    assert again.summary["images"]["fetched"] == 0


def test_workers_that_are_killed(folder: Folder, machines: Any) -> None:
    """Three workers die in the middle, one after the other; others take over what they had."""
    folder.undisturbed.server.delay = 0.1
    process = folder.start(*spread(folder, machines, "--workers", "12"))
    for share in (0.1, 0.3, 0.5):
        wait_until(asked_for(folder, share), process)
        wait_until(lambda: bool(workers_of(machines)), process)
        os.kill(workers_of(machines)[0], signal.SIGKILL)
    done = finished(process)
    folder.check_complete(done)
    assert done.err.count("a worker was lost") == 3, done.err
    # four in flight and some that were not written yet, for each that died
    assert images_asked(folder).total() - len(images_asked(folder)) <= 3 * 40


@pytest.mark.slow
def test_a_machine_that_goes_away(folder: Folder, machines: Any) -> None:
    """Its shard is taken over by the machines that are left."""
    folder.undisturbed.server.delay = 0.1
    third = machines.add_node(num_cpus=1)
    machines.wait_for_nodes()
    process = folder.start(*spread(folder, machines, "--workers", "12"))
    wait_until(asked_for(folder, 0.3), process)
    machines.remove_node(third, allow_graceful=False)
    folder.check_complete(finished(process))


def test_a_driver_that_is_killed_and_run_again(folder: Folder, machines: Any) -> None:
    """The next run fetches what is missing and nothing of what stands there."""
    folder.undisturbed.server.delay = 0.1
    process = folder.start(*spread(folder, machines, "--workers", "12"))
    wait_until(asked_for(folder, 0.4), process)
    assert kill_group(process)
    while workers_of(machines):
        time.sleep(0.05)
    folder.check_standing()
    standing = {path.name for path in (folder.out / "images").rglob("[0-9a-f]*.jpg")}
    assert len(standing) > 100
    folder.undisturbed.server.reset()
    folder.undisturbed.server.delay = 0.0
    folder.check_complete(folder.run(*spread(folder, machines)))
    assert standing.isdisjoint(path.rpartition("/")[2] for path in images_asked(folder))


@pytest.mark.slow
def test_ctrl_c(folder: Folder, machines: Any) -> None:
    """The workers end what they write, the command says one sentence, and a rerun goes on."""
    folder.undisturbed.server.delay = 0.1
    process = folder.start(*spread(folder, machines, "--workers", "12"))
    wait_until(asked_for(folder, 0.3), process)
    process.send_signal(signal.SIGINT)
    done = finished(process)
    assert done.code == 130, done.err
    assert "interrupted" in done.err
    assert "Traceback" not in done.err
    assert not workers_of(machines)
    folder.undisturbed.server.delay = 0.0
    folder.check_complete(folder.run(*spread(folder, machines)))


@pytest.mark.slow
def test_a_cluster_whose_processors_are_taken(folder: Folder, machines: Any) -> None:
    """The run waits until they are free, and says so."""
    holder = (
        "import ray, sys; ray.init(sys.argv[1], log_to_driver=False); "
        "held = ray.util.placement_group([{'CPU': 1}] * int(sys.argv[2])); "
        "ray.get(held.ready()); print('held', flush=True); sys.stdin.read()"
    )
    program = (
        "import sys; from oidkit.api import spreading; spreading._SILENCE_SECONDS = 2.0; "
        "from oidkit.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, machines.address, str(sum(CPUS))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=folder.environment(),
    ) as holding:
        assert holding.stdin
        assert holding.stdout
        while b"held" not in holding.stdout.readline():
            assert holding.poll() is None
        with subprocess.Popen(
            [sys.executable, "-c", program, *spread(folder, machines)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=folder.environment(),
        ) as process:
            assert process.stderr
            said = iter(process.stderr.readline, "")
            assert any("others may hold all processors of the cluster" in line for line in said)
            assert not images_asked(folder)
            holding.stdin.close()
            process.stderr.read()
    assert process.returncode == 0
    assert set(images_asked(folder).values()) == {1}


@pytest.mark.slow
def test_requests_are_limited_for_the_whole_run(folder: Folder, machines: Any) -> None:
    """However many workers there are, no more images are asked for in a second than was said."""
    times: list[float] = []
    folder.undisturbed.server.hook = lambda request: (
        times.append(time.monotonic()) if request.path.endswith(".jpg") else None
    )
    done = folder.run(*spread(folder, machines, "--requests-per-second", "150"))
    folder.check_complete(done)
    for at, begun in enumerate(times):
        within = sum(begun <= each < begun + 1.0 for each in times[at : at + 400])
        assert within <= 150 * 1.1 + 3


@pytest.mark.slow
def test_a_ray_of_its_own(folder: Folder) -> None:
    """Without an address one is started on this machine, and ended; only results are printed."""
    env = {name: value for name, value in os.environ.items() if name in ON_LOOPBACK}
    case = replace(folder, env=env)
    done = case.run(*case.download("--engine", "ray"))
    case.check_complete(done)
    assert "Ray" not in done.err


@pytest.mark.parametrize("where", ["127.0.0.1:1", "server", "somewhere"])
def test_an_address_without_a_ray(folder: Folder, where: str) -> None:
    """It is told within seconds, and nothing is fetched but what names classes."""
    server = folder.undisturbed.server
    address = f"127.0.0.1:{server.port}" if where == "server" else where
    done = folder.run(*folder.download("--engine", "ray", "--ray-address", address))
    assert done.code == 2, done.err
    assert done.seconds < 20
    assert address in done.err
    assert done.err.count("\n") == 1
    assert not images_asked(folder)
    assert not folder.out.exists()


def test_workers_of_another_version(folder: Folder, machines: Any) -> None:
    """They are refused before the first image."""
    program = (
        "import sys; from oidkit import cluster; cluster._program = lambda: '99.0'; "
        "from oidkit.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    before = (sys.executable, "-c", program)
    done = subprocess.run(
        [*before, *spread(folder, machines)],
        env=folder.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 2, done.stderr
    assert "of the Ray cluster, and 99.0" in done.stderr
    assert not images_asked(folder)
