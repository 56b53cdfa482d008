"""Row 26: bombs, wherever something is unpacked or decoded, under a limit of memory."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from faults.bombs import JPEGS, MASKS, OTHERS
from faults.hostile_zips import CASES, bomb
from faults.runs import OID, Folder
from oidkit.testing import Fault, MirrorServer, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = [
    pytest.mark.row(26),
    pytest.mark.skipif(not hasattr(os, "wait4"), reason="no peak of memory to be had here"),
]
MOST_MEGABYTES = 600
"""What no process may ever hold."""
ADDRESSES = 6 << 30
"""Bytes of addresses, far above that: a bomb that goes off ends its process, not the machine."""
SECONDS = 300


@dataclass(frozen=True)
class Ended:
    """How a limited process ended, and the most memory that it or a child of it held."""

    code: int
    out: str
    err: str
    megabytes: float


_LIMITER = """
import json, os, resource, subprocess, sys

most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (most, most))
process = subprocess.Popen(sys.argv[3:])
_, status, used = os.wait4(process.pid, 0)
with open(sys.argv[2], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), used.ru_maxrss], file)
"""
"""Runs a command. A process counts what its parent held when it was forked as its own peak, and
that is hundreds of megabytes for the tests: the parent has to be a small one."""


def limited(where: Path, *command: object, env: Mapping[str, str]) -> Ended:
    """Run a command under the limit of addresses, and measure its peak."""
    where.mkdir(parents=True, exist_ok=True)
    out, err, ending = where / "out.txt", where / "err.txt", where / "ending.json"
    limiter = [sys.executable, "-I", "-S", "-c", _LIMITER, str(ADDRESSES), str(ending)]
    with out.open("wb") as to, err.open("wb") as also:
        subprocess.run(
            [*limiter, *map(str, command)],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=also,
            start_new_session=True,
            check=True,
        )
    code, peak = json.loads(ending.read_bytes())
    unit = 1 << 10 if sys.platform == "linux" else 1 << 20
    said, wrong = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    ended = Ended(code, said, wrong, peak / unit)
    assert "Traceback" not in ended.err, ended.err
    assert "unexpected" not in ended.err, ended.err
    assert ended.megabytes < MOST_MEGABYTES, f"{ended.megabytes} MB"
    return ended


def test_the_peak_is_that_of_the_command(tmp_path: Path) -> None:
    """What the tests hold themselves does not count as the command's."""
    held = b"1" * (MOST_MEGABYTES << 20)
    small = limited(tmp_path / "small", sys.executable, "-c", "pass", env=os.environ)
    assert small.megabytes < 100 < len(held) >> 20
    large = limited(tmp_path / "large", sys.executable, "-c", "b'1' * (200 << 20)", env=os.environ)
    assert 200 < large.megabytes < 300


def hooked(bodies: Mapping[str, Fault]) -> Callable[[RequestInfo], Fault | None]:
    """Let some objects come as bombs."""
    return lambda request: bodies.get(request.path)


def keys(folder: Folder, split: str) -> list[str]:
    """Name the images of a split as the bucket does, each once."""
    names = {
        path.rpartition("/")[2]
        for path in folder.undisturbed.tree
        if path.startswith(f"images/{split}/")
    }
    return [f"open-images-dataset/{split}/{name}" for name in sorted(names)]


def statuses(folder: Folder) -> dict[str, str]:
    """Read what became of each image, by its name."""
    with (folder.out / ".oid" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["path"].rpartition("/")[2]: row["status"] for row in rows if row["kind"] == "image"}


def as_published(body: bytes) -> Fault:
    """Send a body with an ETag that is its MD5, as the bucket does."""
    return Fault(body=body, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})  # noqa: S324


BOMBS = JPEGS | {f"PNG: {name}": data for name, data in MASKS.items()} | OTHERS


def test_pictures_that_are_bombs(
    folder: Folder, request: pytest.FixtureRequest, record_property: Callable[..., None]
) -> None:
    """With right ETags they are kept as published; no export decodes one, and all others come."""
    folder.undisturbed.server.hook = hooked(
        {
            key: as_published(data)
            for key, data in zip(keys(folder, "train"), BOMBS.values(), strict=False)
        }
    )
    assert len(keys(folder, "train")) > len(BOMBS) + 5
    done = limited(folder.root / "said", OID, *folder.download(), env=folder.environment())
    assert done.code == 0, done.err
    peak = done.megabytes
    made: dict[str, tuple[object, ...]] = {
        "imagefolder": ("--image-size", 160, "--upright", "--several", "each"),
        "coco": ("--polygons",),
    }
    if request.config.getoption("whole"):
        made |= {
            "yolo": ("--image-size", 160),
            "webdataset": ("--image-size", 160),
            "parquet": ("--upright",),
            "voc": (),
            "openimages": (),
        }
    for name, flags in made.items():
        ended = limited(
            folder.root / "said",
            OID,
            *("export", folder.out, "--format", name, "--out", folder.root / name, *flags),
            env=folder.environment(),
        )
        assert ended.code == 0, (name, ended.err)
        peak = max(peak, ended.megabytes)
    record_property("peak megabytes with picture bombs", round(peak))


def test_pictures_that_are_bombs_without_an_etag(folder: Folder) -> None:
    """Where only the structure can be checked, what is no whole JPEG is damaged, exit 6."""
    images = dict(zip(keys(folder, "train"), BOMBS, strict=False))
    folder.undisturbed.server.hook = hooked(
        {key: Fault(body=BOMBS[what], headers={"ETag": '"a-1"'}) for key, what in images.items()}
    )
    done = limited(folder.root / "said", OID, *folder.download(), env=folder.environment())
    assert done.code == 6, done.err
    told = statuses(folder)
    for key, what in images.items():
        whole = what in JPEGS and "cut" not in what
        assert told[key.rpartition("/")[2]] == ("ok" if whole else "damaged"), what


def test_bodies_without_end(folder: Folder, record_property: Callable[..., None]) -> None:
    """A body of 150 MB is refused by its length, or where it tells none after 64 MB; exit 6."""
    body = b"\xff\xd8\xff\xe0\0\x04ab" + bytes(150 << 20)
    first, second, third, fourth = keys(folder, "validation")[:4]
    pressed = BOMBS["gzip"]
    folder.undisturbed.server.hook = hooked(
        {
            first: Fault(body=body, headers={"ETag": '"a-1"'}),
            second: Fault(body=body, headers={"ETag": '"a-1"'}, no_length=True),
            third: Fault(body=pressed, headers={"ETag": '"a-1"', "Content-Encoding": "gzip"}),
            fourth: Fault(body=pressed, headers={"ETag": '"a-1"', "Content-Encoding": "gzip, br"}),
        }
    )
    done = limited(folder.root / "said", OID, *folder.download(), env=folder.environment())
    told = statuses(folder)
    assert {told[key.rpartition("/")[2]] for key in (first, second)} == {"damaged"}
    assert {told[key.rpartition("/")[2]] for key in (third, fourth)} == {"failed"}
    assert done.code == 6, done.err
    assert sum(each != "ok" for each in told.values()) == 4
    record_property("peak megabytes with endless bodies", round(done.megabytes))


def test_lists_without_end(folder: Folder) -> None:
    """A class list of 150 MB is refused in one sentence."""
    body = b"/m/0gxl3,Handgun\n" * ((150 << 20) // 17)
    key = "openimages/v7/oidv7-class-descriptions-boxable.csv"
    assert (folder.undisturbed.mirror / key).is_file()
    told = {"ETag": '"a-1"', "x-goog-hash": ""}
    folder.undisturbed.server.hook = hooked({key: Fault(body=body, headers=told)})
    done = limited(folder.root / "said", OID, *folder.download(), env=folder.environment())
    assert done.code in {2, 6}
    assert len(done.err.splitlines()) == 1, done.err


def test_masks_that_are_bombs(
    folder: Folder, request: pytest.FixtureRequest, record_property: Callable[..., None]
) -> None:
    """A folder whose masks are bombs is exported: they are left out and counted."""
    assert folder.run().code == 0
    masks = sorted((folder.out / "masks").rglob("*.png"))
    assert len(masks) > len(MASKS)
    for path, data in zip(masks, MASKS.values(), strict=False):
        path.unlink()
        path.write_bytes(data)
    peak = 0.0
    made: dict[str, tuple[str, ...]] = {
        "coco-outlines": ("--polygons", "--upright"),
        "webdataset": (),
    }
    if request.config.getoption("whole"):
        more = ("voc", "parquet", "coco", "openimages")
        made |= dict.fromkeys(more, ()) | {"yolo": ("--task", "segment")}
    for name, flags in made.items():
        ended = limited(
            folder.root / "said",
            OID,
            *("export", folder.out, "--format", name.partition("-")[0]),
            *("--out", folder.root / name, *flags),
            env=folder.environment(),
        )
        assert ended.code == 0, (name, ended.err)
        if name != "openimages":  # which hands the files on as they are
            assert "masks that cannot be read and were left out" in ended.out + ended.err, name
        peak = max(peak, ended.megabytes)
    record_property("peak megabytes with mask bombs", round(peak))


ZIPS = {
    "four gigabytes": bomb(4 << 30),
    **{
        name: CASES[name].make
        for name in ("a bomb that promises a mask", "quoted overlap", "nested zips")
    },
}


@pytest.mark.parametrize("what", ZIPS)
def test_zips_that_are_bombs(what: str, folder: Folder) -> None:
    """Members that unpack to gigabytes are refused; nested zips are no masks and never opened."""
    root = folder.root / "mirror"
    shutil.copytree(folder.undisturbed.mirror, root, copy_function=os.link)
    path = min(root.glob("openimages/v5/train-masks/*.zip"))
    with zipfile.ZipFile(path) as archive:
        wanted = {each.rpartition("/")[2] for each in folder.undisturbed.tree}
        members = {name: archive.read(name) for name in archive.namelist()}
    ordered = dict(sorted(members.items(), key=lambda pair: pair[0] not in wanted))
    made = ZIPS[what](ordered)
    path.unlink()
    path.write_bytes(made)
    with MirrorServer(root) as server:
        place = Folder(folder.root, folder.undisturbed, source=server.url)
        done = limited(folder.root / "said", OID, *place.download(), env=place.environment())
    assert done.code == (0 if what == "nested zips" else 6), done.err
    assert max(each.stat().st_size for each in (folder.out / "masks").rglob("*.png")) < 1 << 20
    assert {*statuses(place).values()} == {"ok"}
