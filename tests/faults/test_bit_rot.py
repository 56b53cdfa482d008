"""A byte flipped in anything that is kept: found, every time, and only that is made again."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults.runs import Folder

KINDS = {
    "image": "out/images/**/*.jpg",
    "mask": "out/masks/**/*.png",
    "csv": "out/csv/*.csv",
    "ids": "out/*.txt",
    "page": "out/A*",
    "rows": "cache/*/tables/*/*/part-*.parquet",
    "table": "cache/*/tables/*/*/table.json",
    "mask index": "cache/*/masks/*.parquet",
    "class file": "cache/*/files/*",
}
"""Every kind of file that is kept, and where those are."""


def flip(path: Path, rng: random.Random) -> bytes:
    """Flip one bit of a file, and give what it was."""
    good = path.read_bytes()
    at = rng.randrange(len(good))
    path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
    return good


def places(folder: Folder) -> list[str]:
    """Give the flags that every command here has."""
    return ["--cache", str(folder.cache), "--source", folder.url, "--quiet"]


def victim(folder: Folder, kind: str, rng: random.Random) -> Path:
    """Choose a file of a kind."""
    return rng.choice(sorted(path for path in folder.root.glob(KINDS[kind]) if path.is_file()))


def of_cache(folder: Folder, path: Path) -> str:
    """Name the object that a file of the cache is made of."""
    name = path.relative_to(folder.cache).parts[2]
    if name.endswith(".parquet"):
        name = name[: -len(".01234567.parquet")]
    return name.replace("~", "/")


@pytest.mark.row(40)
@pytest.mark.seeds(1, 22)
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_found_and_mended_alone(
    whole: Folder, kind: str, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """`verify` names the file and nothing else; `--repair` makes it again from its object alone."""
    rng = random.Random(f"{kind} {seed}")
    path = victim(whole, kind, rng)
    good = flip(path, rng)
    found = whole.run("verify", whole.out, "--json", *places(whole))
    assert found.code == 6, found.err
    report = json.loads(found.out)
    kept = path.is_relative_to(whole.cache)
    key = of_cache(whole, path) if kept else path.relative_to(whole.out).as_posix()
    named = {"damaged": report["damaged"], "cache": report["cache"]}
    # an image of two classes is one file here only where it was linked
    assert named == {"damaged": [] if kept else [key], "cache": [key] if kept else []}
    server = whole.undisturbed.server
    server.reset()
    mended = whole.run("verify", whole.out, "--repair", "--json", *places(whole))
    assert mended.code == 0, mended.err
    bodies = {each.path for each in server.log if each.sent and each.status in (200, 206)}
    if kind in {"image", "mask"}:
        ending = "" if kind == "image" else ".zip"
        assert len(bodies) <= 1 + (kind == "mask"), bodies
        assert not [each for each in bodies if not each.endswith((path.name, ending))]
        record_property(
            "row 40: bytes fetched to mend one file, of its size",
            round(server.bytes_sent / len(good), 3),
        )
    elif kept:
        assert bodies <= {key} | ({"openimages/v7/oidv7-class-descriptions-boxable.csv"} & {key})
    else:
        assert not bodies
    if path.exists():
        assert path.read_bytes() == good
    assert whole.run("verify", whole.out, *places(whole)).code == 0
    whole.check_complete(whole.run())


@pytest.mark.row(40)
@pytest.mark.parametrize("kind", ["rows", "table", "mask index", "class file"])
@pytest.mark.seeds(1, 20)
def test_a_cache_without_a_dataset(whole: Folder, kind: str, seed: int) -> None:
    """`oid index info --check` names what is damaged, `oid index build --check` mends just that."""
    rng = random.Random(f"cache {kind} {seed}")
    path = victim(whole, kind, rng)
    flip(path, rng)
    check = ["index", "info", "--check", "--json", "--cache", whole.cache]
    found = whole.run(*check)
    assert found.code == 6, found.err
    assert [each["key"] for each in json.loads(found.out)] == [of_cache(whole, path)]
    server = whole.undisturbed.server
    server.reset()
    part = ["--split", "train", "--labels", "boxes"]
    assert whole.run("index", "build", "--check", *part, *places(whole)).code == 0
    assert {each.path for each in server.log if each.sent} == {of_cache(whole, path)}
    assert whole.run(*check).code == 0


@pytest.mark.row(40)
@pytest.mark.parametrize("kind", ["rows", "table", "mask index", "class file"])
@pytest.mark.seeds(1, 40)
def test_a_flipped_bit_met_in_ordinary_use(whole: Folder, kind: str, seed: int) -> None:
    """A run that meets it makes the thing again, or says what does; no wrong row is written."""
    rng = random.Random(f"use {kind} {seed}")
    path = victim(whole, kind, rng)
    flip(path, rng)
    done = whole.run()
    assert "Traceback" not in done.err
    whole.check_standing()
    if done.code == 0:
        whole.check_complete(done)
        return
    assert done.code == 6, done.err
    assert path.name in done.err
    assert "oid index build --check" in done.err
    assert whole.run("index", "build", "--check", *places(whole)).code == 0
    whole.check_complete(whole.run())


@pytest.mark.row(40)
def test_many_flipped_bits_are_all_found(whole: Folder, request: pytest.FixtureRequest) -> None:
    """One bit in a file of each kind, in process: every one of them is found."""
    from oidkit.api import Settings, verify

    rng, tried = random.Random(40), 0
    settings = Settings(source=whole.url, cache=whole.cache)
    for _ in range(200 if request.config.getoption("whole") else 3):
        for kind in KINDS:
            path = victim(whole, kind, rng)
            good = flip(path, rng)
            report = verify(whole.out, settings=settings)
            assert len(report.damaged) + len(report.cache) == 1, path
            path.write_bytes(good)
            tried += 1
    assert not verify(whole.out, settings=settings).exit_code
    assert tried >= 3 * len(KINDS)
