"""The installed command in a process of its own, and what has to be true when it has ended."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mirrors import environment
from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ASKED",
    "Done",
    "Folder",
    "Undisturbed",
    "finished",
    "mirror",
    "tree",
    "undisturbed_run",
]

ASKED = ("Handgun", "Person", "--split", "train", "--split", "validation")
"""What every run asks for: two classes that share images, both with masks in both splits."""
SPEC = replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(80, 20, 5),
    jpegs=1.0,
    jpeg_bytes=12_000,
)
OID = Path(sys.executable).with_name("oid.exe" if os.name == "nt" else "oid")
WITHOUT = Path(__file__).parent / "without"
TEMPORARY = ".oid-tmp-"
PATIENCE = 120.0
_SOURCE = b"http://source.invalid"


@cache
def _made(base: Path) -> Path:
    return make_release(base / "faults-mirror", SPEC).root


def mirror(factory: pytest.TempPathFactory) -> Path:
    """Give the mirror of `SPEC`, of which every JPEG is there; nobody may change it."""
    return _made(factory.getbasetemp())


def tree(root: Path, source: str = "") -> dict[str, bytes]:
    """Read every file below *root* but the lock, by its path; the source has the same name in all.

    A link is given as the text of its target: it is no file.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name == ".oid/lock":
            continue
        if path.is_symlink():
            found[name] = b"link to " + os.fsencode(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    for name in (".oid/dataset.json", ".oid/recipe.toml"):
        if name in found and source:
            found[name] = found[name].replace(source.encode(), _SOURCE)
    return found


def tree_hash(files: Mapping[str, bytes]) -> str:
    """Give one SHA-256 over paths and bytes."""
    whole = hashlib.sha256()
    for path, data in sorted(files.items()):
        whole.update(f"{path}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()


@dataclass(frozen=True)
class Done:
    """How a run has ended."""

    code: int
    out: bytes
    err: str
    seconds: float

    @property
    def summary(self) -> dict[str, Any]:
        """What `--json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class Undisturbed:
    """A server, the tree of a run that nobody disturbs, and what that run cost the server."""

    server: MirrorServer
    mirror: Path
    tree: dict[str, bytes]
    requests: int
    bytes: int
    seconds: float

    def progress(self) -> float:
        """Tell how far a run has come, 0 to 1: half by requests, half by bytes.

        Tables are many bytes and few requests, masks the reverse. Time would not do: on a busy
        machine one run takes twice as long as another.
        """
        requests = self.server.requests / self.requests
        return (requests + self.server.bytes_sent / self.bytes) / 2


@dataclass(frozen=True)
class Folder:
    """One case: a dataset folder and a cache of its own, and where its runs get things from.

    `without` names a safeguard of `without/sitecustomize.py` that its runs do not have.
    """

    root: Path
    undisturbed: Undisturbed
    source: str = ""
    without: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The dataset folder."""
        return self.root / "out"

    @property
    def cache(self) -> Path:
        """The cache."""
        return self.root / "cache"

    @property
    def url(self) -> str:
        """The source of its runs."""
        return self.source or self.undisturbed.server.url

    def download(self, *more: object) -> list[str]:
        """Give the arguments of the run that all the cases do."""
        places = ("--out", self.out, "--cache", self.cache, "--source", self.url)
        return [str(each) for each in ("download", *ASKED, *places, "--json", "--quiet", *more)]

    def environment(self) -> dict[str, str]:
        """Give the environment of its runs."""
        found = environment(PYTHONWARNINGS="ignore") | dict(self.env)
        if self.without:
            path = os.pathsep.join([str(WITHOUT), found["PYTHONPATH"]])
            found |= {"PYTHONPATH": path, "OID_TESTED_WITHOUT": self.without}
        return found

    def start(self, *arguments: object, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a command, the download where none is named, in a process group of its own.

        *before* is a command that runs it, such as strace with its arguments.
        """
        command = [str(each) for each in arguments] or self.download()
        return subprocess.Popen(
            [*before, str(OID), *command],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: object, before: tuple[str, ...] = ()) -> Done:
        """Run a command, the download where none is named, to its end."""
        return finished(self.start(*arguments, before=before))

    # -- what has to be true ----------------------------------------------------------------------

    def check_standing(self) -> None:
        """Check that nothing partial is at a final name: each file there is as it is in the end."""
        for path, data in tree(self.out, self.url).items():
            name = path.rpartition("/")[2]
            if not path.startswith(".oid/") and not name.startswith(TEMPORARY):
                assert data == self.undisturbed.tree.get(path), f"{path} is partial"

    def check_no_temporary(self) -> None:
        """Check that no temporary file and no journal is left in the folder, nor in the cache."""
        left = [path for path in self.root.rglob("*") if path.name.startswith(TEMPORARY)]
        assert not left
        assert not list(self.out.glob(".oid/journal*"))
        places = [path / "work" for path in self.cache.iterdir()] if self.cache.is_dir() else []
        work = [path for place in places for path in place.glob("*") if path.suffix != ".lock"]
        assert not work

    def check_complete(self, done: Done) -> None:
        """Check that all went well: the undisturbed tree, exit 0, a true summary."""
        self.check(done, code=0)

    def check(self, done: Done, *, code: int, lacking: Mapping[str, str] | None = None) -> None:
        """Check the end of a run in which some files could not be had.

        *lacking* maps their paths in the folder to the status that the manifest has to give them.
        """
        lacking = lacking or {}
        assert done.code == code, f"exit {done.code}: {done.err}"
        found, whole = tree(self.out, self.url), dict(self.undisturbed.tree)
        wanted = {path for path in whole if path not in lacking}
        assert found.keys() == wanted, sorted(found.keys() ^ wanted)
        books = {".oid/manifest.csv", ".oid/manifest.md5"}
        different = [path for path in wanted - books if found[path] != whole[path]]
        assert not different
        rows, before = _manifest(found), _manifest(whole)
        assert rows.keys() == before.keys()
        for path, row in rows.items():
            if path in lacking:
                assert row["status"] == lacking[path], (path, row)
            else:
                assert row == before[path]
        if not lacking:
            assert tree_hash(found) == tree_hash(whole)
        self.check_no_temporary()
        self._check_summary(done, lacking)

    def _check_summary(self, done: Done, lacking: Mapping[str, str]) -> None:
        summary = done.summary
        for kind, ending in (("images", ".jpg"), ("masks", ".png")):
            told = summary[kind]
            # an image of two classes has two places and is asked for once
            asked = {
                path.rpartition("/")[2] for path in self.undisturbed.tree if path.endswith(ending)
            }
            missing = {
                path.rpartition("/")[2]
                for path, status in lacking.items()
                if status == "missing" and path.endswith(ending)
            }
            failed = {
                path.rpartition("/")[2]
                for path, status in lacking.items()
                if status != "missing" and path.endswith(ending)
            }
            assert told["asked"] == len(asked)
            assert told["missing"] == len(missing)
            assert told["failed"] == len(failed)
            assert told["fetched"] + told["present"] == len(asked) - len(missing) - len(failed)


def finished(process: subprocess.Popen[bytes], *, timeout: float = PATIENCE) -> Done:
    """Wait for a run; one that does not end is killed, and the test fails."""
    begun = time.monotonic()
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)
        pytest.fail(f"the run did not end within {timeout} s")
    said = err.decode(errors="replace")
    return Done(process.returncode, out, said, time.monotonic() - begun)


def kill_group(process: subprocess.Popen[bytes]) -> bool:
    """Kill the process and all that it started; tell whether it was still at work."""
    with process:
        at_work = process.poll() is None
        if at_work and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        elif at_work:
            process.kill()
        process.communicate()
    return at_work and process.returncode != 0


def settle(server: MirrorServer) -> None:
    """Wait until the server has read what a killed run had sent."""
    seen = -1
    while seen != server.requests:
        seen = server.requests
        time.sleep(0.1)


@contextlib.contextmanager
def undisturbed_run(
    factory: pytest.TempPathFactory, spec: ReleaseSpec = SPEC
) -> Iterator[Undisturbed]:
    """Serve the mirror, or that of another *spec*, and run the command once without a fault."""
    if spec == SPEC:
        made = mirror(factory)
    else:
        made = make_release(factory.mktemp("other") / "mirror", spec).root
    with MirrorServer(made) as server:
        # What tests that come through proxies and from other machines call it.
        server.hosts = ("mirror.test",)
        bare = Undisturbed(server, made, {}, 1, 1, 0.0)
        folder = Folder(factory.mktemp("undisturbed"), bare)
        done = folder.run()
        assert done.code == 0, done.err
        found = tree(folder.out, server.url)
        assert found.keys() >= {".oid/manifest.csv", ".oid/dataset.json", "attribution.csv"}
        for kind in (".jpg", ".png"):
            assert any(path.endswith(kind) for path in found)
        yield replace(
            bare,
            tree=found,
            requests=server.requests,
            bytes=server.bytes_sent,
            seconds=done.seconds,
        )


def _manifest(files: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    text = files[".oid/manifest.csv"].decode()
    return {row["path"]: row for row in csv.DictReader(io.StringIO(text))}
