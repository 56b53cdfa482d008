"""A download spread over a Ray cluster; the only module that knows Ray.

::

    import oidkit
    from oidkit.cluster import Ray

    oidkit.download("Handgun", "/shared/handguns", engine=Ray("auto"))

The process that calls prepares everything and gives out shards; workers on all machines of the
cluster fetch them into the dataset folder, which all have to see at the same path, or into a
bucket, for which all have credentials.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from oidkit.api.shards import fetch_shard
from oidkit.api.spreading import Died
from oidkit.disk import temporary, write_atomically
from oidkit.errors import SourceError, UsageError
from oidkit.objectpath import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from oidkit.api.shards import Batch, Errand, Shard
    from oidkit.objectpath import Location

__all__ = ["Ray"]

_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 60.0
_STOP_SECONDS = 10.0
# What a client of HTTP/2 says first, and then SETTINGS, a frame without content of kind 4.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS, _FRAME_HEAD = 4, 9


@dataclass(frozen=True, slots=True)
class Ray:
    """An engine: the workers of a Ray cluster, a shard of images for each CPU at a time.

    `address` is that of the cluster's head, as host:port, or 'auto' for one that this machine
    belongs to. Without any it is that of RAY_ADDRESS, or else a Ray of its own is started on this
    machine, on loopback alone, and ended with the run. One that the process has connected to
    already is used as it is.
    """

    address: str | None = None

    @contextlib.contextmanager
    def connected(self) -> Iterator[_RayCluster]:
        """Connect to the cluster.

        Raises:
            UsageError: Ray is not installed, or nothing of its kind answers at the address.
            SourceError: without an address, Ray does not start.

        """
        if find_spec("ray") is None:
            raise UsageError(
                "the engine ray needs Ray, which is not installed",
                remedy='install it: pip install "oidkit[ray]"',
            )
        address = self.address or os.environ.get("RAY_ADDRESS")
        if address not in (None, "auto", "local"):
            _check_answers(str(address))
        if address in (None, "local") and "ray" not in sys.modules:
            # On Linux too, it then listens on loopback alone.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        ours = not ray.is_initialized()
        if ours:
            _connect(address)
        try:
            yield _RayCluster()
        finally:
            if ours:
                ray.shutdown()


def _check_answers(address: str) -> None:
    """Find out in seconds what Ray takes more than a minute to say.

    Raises:
        UsageError: the address is none, or nothing of the kind of Ray answers there.

    """
    host, _, port = address.rpartition(":")
    if "//" in address or not host or not port.isdecimal():
        raise UsageError(
            f"'{address}' is no address of a Ray cluster",
            remedy="give --ray-address the host:port of its head, such as 10.0.0.5:6379, or 'auto'",
        )
    place = host.strip("[]"), int(port)
    try:
        with socket.create_connection(place, timeout=_CONNECT_SECONDS) as line:
            line.sendall(_HELLO)
            answer = line.recv(_FRAME_HEAD)
    except (OSError, OverflowError) as error:
        why = str(getattr(error, "strerror", None) or error).lower()
        raise _no_answer(address, why) from error
    if len(answer) < _FRAME_HEAD or answer[3] != _SETTINGS:
        raise _no_answer(address, "what answers there is something else")


def _no_answer(address: str, why: str) -> UsageError:
    return UsageError(
        f"no Ray cluster answers at {address}: {why}",
        remedy="check --ray-address, and that 'ray start --head' has run there",
    )


def _connect(address: str | None) -> None:
    import logging

    import ray

    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({"include_dashboard": False} if address in (None, "local") else {}),
        )
    except SystemExit as error:
        raise _no_answer(str(address), "it takes connections and says nothing") from error
    except Exception as error:  # of that very class is what Ray raises
        why = " ".join(str(error).split()).rstrip(".")
        if address in (None, "local"):
            raise SourceError(
                f"Ray could not be started on this machine: {why}",
                remedy="run the same command again, or leave out --engine",
            ) from error
        raise _no_answer(str(address), why) from error
    # It prints what befalls workers, on stdout; what matters of that is told as events.
    worker: Any = ray._private.worker  # noqa: SLF001 - there is no public way
    worker._worker_logs_enabled = False  # noqa: SLF001


class _RayCluster:
    """A Ray cluster that this process is connected to."""

    def workers(self, errand: Errand) -> _RayWorkers:
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        count = 0
        with _token(errand.root) as token:
            for node, cpus, seen in _looks(nodes, errand, token):
                _judge(node, seen, errand)
                count += cpus
        if not count:
            raise UsageError(
                "no machine of the Ray cluster has a CPU to work on and answers",
                remedy="look at it with: ray status",
            )
        return _RayWorkers(count)


@contextlib.contextmanager
def _token(root: Location) -> Iterator[Location]:
    """Give a file of the dataset that every machine has to see."""
    if isinstance(root, ObjectPath):
        yield root / ".oid" / "lock"
        return
    with temporary(root / ".oid" / "cluster") as token:
        write_atomically(token, b"all machines have to see this\n")
        yield token


def _program() -> str:
    """Name what may differ from machine to machine and would show in the files."""
    version = metadata.version("oidkit")
    return f"{version} with the extra upright" if find_spec("jpeglib") else version


def _looker() -> Callable[[str, str, str, str], dict[str, Any]]:
    """Give what a machine does to tell of itself.

    As a function within another it is sent as code: a machine without the program can run it.
    """

    def look(root: str, token: str, source: str, program: str) -> dict[str, Any]:
        import importlib.metadata
        import importlib.util
        import os
        from pathlib import Path

        try:
            version = importlib.metadata.version("oidkit")
        except importlib.metadata.PackageNotFoundError:
            version = ""
        if version and importlib.util.find_spec("jpeglib"):
            version += " with the extra upright"
        sees, writes, why = False, False, ""
        if "://" not in root:
            sees, writes = Path(token).is_file(), os.access(root, os.W_OK)
        elif version == program:
            from oidkit.shelf import location_of

            try:
                place = location_of(root) / ".oid" / "lock"
                sees = place.is_file()
                place.write(b"")  # type: ignore[union-attr]  # an object, which is empty anyway
                writes = True
            except Exception as error:  # noqa: BLE001 - the caller tells of it
                why = str(error)
        return {
            "program": version,
            "sees": sees,
            "writes": writes,
            "why": why,
            "source": "://" in source or source == "official" or Path(source).is_dir(),
        }

    return look


def _looks(
    nodes: Sequence[dict[str, Any]], errand: Errand, token: Location
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Let every machine look at its program and at the folder; those that do not answer are left.

    One that has just gone away is still in the list: no shard is given to it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(_looker())
    asked = []
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = task.options(num_cpus=0, max_retries=1, scheduling_strategy=there)
        places = str(errand.root), str(token), errand.settings.source_name, _program()
        name = str(node.get("NodeManagerHostname") or node["NodeManagerAddress"])
        asked.append((name, int(node["Resources"]["CPU"]), options.remote(*places)))
    answers = [answer for *_, answer in asked]
    ready, _ = ray.wait(answers, num_returns=len(answers), timeout=_LOOK_SECONDS)
    for name, cpus, answer in asked:
        if answer not in ready:
            continue
        try:
            seen = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise UsageError(
                f"the machine {name} of the Ray cluster does not work: {_first_line(error)}",
                remedy="look at it with: ray status",
            ) from error
        except ray.exceptions.RayError:
            continue
        yield name, cpus, seen


def _judge(node: str, seen: dict[str, Any], errand: Errand) -> None:
    """Refuse a machine that would do something else than this one.

    Raises:
        UsageError: its program is another, or it does not see the folder or the source.

    """
    program, ours = seen["program"], _program()
    where = f"on the machine {node} of the Ray cluster"
    if program != ours:
        has = f"oidkit is {program}" if program else "oidkit is not installed"
        raise UsageError(
            f"{has} {where}, and {ours} here", remedy=f'install there: pip install "oidkit=={ours}"'
        )
    if seen["why"]:
        raise UsageError(
            f"{errand.root} cannot be written {where}: {seen['why']}",
            remedy="give the processes of Ray there the credentials for it",
        )
    if not seen["sees"]:
        raise UsageError(
            f"{errand.root} is not the same folder {where}",
            remedy="choose an --out on a file system that all machines see at the same path",
        )
    if not seen["writes"]:
        raise UsageError(
            f"{errand.root} may not be written {where}", remedy="give its user the right to"
        )
    if not seen["source"]:
        raise UsageError(
            f"the source {errand.settings.source_name} is not there {where}",
            remedy="choose a --source that all machines reach",
        )


def _work(errand: Errand, shard: Shard) -> Iterator[Batch]:
    """Do a shard, as a task."""
    yield from fetch_shard(errand, shard)


@dataclass(slots=True)
class _RayWorkers:
    """The workers: a task for each shard, which tells what happens as it goes on."""

    count: int
    _under_way: dict[Any, int] = field(default_factory=dict)
    _over: list[Any] = field(default_factory=list)
    """Tasks that have had their last word: a task whose reference is dropped may be ended."""

    def start(self, errand: Errand, shard: Shard) -> None:
        import ray

        # Shards are given out again by those who know what has come of them, not by Ray.
        task = ray.remote(_work).options(
            num_cpus=1, num_returns="streaming", max_retries=0, scheduling_strategy="SPREAD"
        )
        self._under_way[task.remote(errand, shard)] = shard.number

    def wait(self, seconds: float) -> list[tuple[int, Batch | Died]]:
        import ray

        tasks = list(self._under_way)
        ready, _ = ray.wait(tasks, num_returns=len(tasks), timeout=0)
        if not ready:
            ready, _ = ray.wait(tasks, num_returns=1, timeout=seconds)
        return [(self._under_way[task], self._next(task)) for task in ready]

    def _next(self, task: Any) -> Batch | Died:
        """Give what a task says next."""
        import ray

        try:
            said: Batch = ray.get(next(task))
        except ray.exceptions.RayTaskError:
            raise  # a mistake of the program
        except (StopIteration, ray.exceptions.RayError) as error:
            del self._under_way[task]
            return Died(_first_line(error))
        if said.done or said.error is not None:
            del self._under_way[task]
            self._over.append(task)
        return said

    def stop(self) -> None:
        import time

        import ray

        for task in self._under_way:
            ray.cancel(task)
        ends = time.monotonic() + _STOP_SECONDS
        while self._under_way and time.monotonic() < ends:
            with contextlib.suppress(ray.exceptions.RayError):
                self.wait(_STOP_SECONDS / 20)
        for task in self._under_way:
            ray.cancel(task, force=True)
        self._under_way.clear()


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0].strip()
    return text.partition(". ")[0].rstrip(".").lower() or type(error).__name__
