"""Mask zips that are damaged: their own masks fail, all other masks and every image are had."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from bad_inputs import objects, run_oid, tree, zip_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bad_inputs import Bench, Ended

pytest_plugins = ["bad_fixtures"]

SHARD = "d"
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in its directory": lambda data: data[:-30],
    "cut in its members": lambda data: data[: len(data) // 3],
    "cut to nothing": lambda _: b"",
    "not a zip": lambda data: bytes(len(data)),
    "a web page": lambda _: b"<!DOCTYPE html><html><body>Please log in</body></html>" * 9,
}


def members(data: bytes) -> dict[str, bytes]:
    """Read a zip with the zipfile module."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(content: Mapping[str, bytes]) -> bytes:
    """Write a zip with the zipfile module."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return out.getvalue()


def masks_of(shard: str, found: Mapping[str, bytes]) -> set[str]:
    """Pick the paths of the masks of one zip."""
    front = f"masks/validation/{shard}"
    return {name for name in found if name.startswith(front)}


def all_but(lost: set[str], bench: Bench, undisturbed: Mapping[str, bytes]) -> None:
    """Make sure that the tree is the undisturbed one without the masks that are lost."""
    assert tree(bench.out) == {name: undisturbed[name] for name in undisturbed if name not in lost}


def as_json(ended: Ended) -> dict[str, dict[str, int]]:
    """Read the summary."""
    found: dict[str, dict[str, int]] = json.loads(ended.out)
    return found


@pytest.mark.parametrize("what", DAMAGES)
def test_a_broken_zip_costs_its_own_masks_only(
    what: str, bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """A zip that is cut or is none is exit 6; images and the other zips' masks are all fetched."""
    path = bench.path(zip_key(SHARD))
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[what](whole))
    lost = masks_of(SHARD, undisturbed) - set(bench.before)
    assert lost
    ended = bench.download("--json")
    assert ended.code == 6, ended.err
    assert zip_key(SHARD) in ended.sentence
    assert as_json(ended)["masks"]["failed"] == len(lost)
    assert as_json(ended)["images"]["failed"] == 0
    all_but(lost, bench, undisturbed)
    path.write_bytes(whole)
    again = bench.download("--json")
    assert again.code == 0, again.err
    assert as_json(again)["masks"]["fetched"] == len(lost)
    assert as_json(again)["images"]["fetched"] == 0
    assert tree(bench.out) == undisturbed


def test_a_zip_that_is_not_there_costs_its_own_masks_only(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """Masks of a zip that the source does not have are missing: exit 3, each listed."""
    bench.path(zip_key(SHARD)).unlink()
    lost = masks_of(SHARD, undisturbed) - set(bench.before)
    ended = bench.download("--json")
    assert ended.code == 3, ended.err
    listed = {f"masks/{name}" for name in json.loads(ended.out)["missing"]}
    assert listed == lost
    all_but(lost, bench, undisturbed)


def test_a_wrong_crc_costs_that_mask_only(bench: Bench, undisturbed: Mapping[str, bytes]) -> None:
    """A mask whose bytes do not fit the CRC-32 is asked for again, then exit 6, never kept."""
    path = bench.path(zip_key(SHARD))
    data = bytearray(path.read_bytes())
    name = min(masks_of(SHARD, undisturbed) - set(bench.before))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        info = archive.getinfo(name.rpartition("/")[2])
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 1
    path.write_bytes(data)
    where = ("--source", bench.mirror, "--cache", bench.cache, "--out", bench.out)
    ended = run_oid("download", "Handgun", "Person", "--split", "validation", *where)
    assert ended.code == 6, ended.err
    assert info.filename in ended.sentence
    assert "1 file failed" in ended.sentence
    all_but({name}, bench, undisturbed)


def test_each_damaged_mask_has_a_reason_of_its_own(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """Of several that one request brings damaged, the manifest says what is wrong with each."""
    path = bench.path(zip_key(SHARD))
    data = bytearray(path.read_bytes())
    names = masks_of(SHARD, undisturbed) - set(bench.before)
    assert len(names) > 1
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        for name in names:
            info = archive.getinfo(name.rpartition("/")[2])
            data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 1
    path.write_bytes(data)
    assert bench.download().code == 6
    with (bench.out / ".oid" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file) if row["reason"]}
    assert reasons.keys() == names
    assert not [name for name in names if name.rpartition("/")[2] not in reasons[name]]


def test_a_wrong_crc_in_both_headers_is_found(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """The content is checked, not only that directory and local header agree."""
    path = bench.path(zip_key(SHARD))
    data = path.read_bytes()
    name = min(masks_of(SHARD, undisturbed) - set(bench.before))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        crc = archive.getinfo(name.rpartition("/")[2]).CRC.to_bytes(4, "little")
    assert data.count(crc) == 2
    path.write_bytes(data.replace(crc, bytes(byte ^ 0x55 for byte in crc)))
    ended = bench.download()
    assert ended.code == 6, ended.err
    assert "CRC-32" in ended.sentence
    all_but({name}, bench, undisturbed)


def test_a_member_that_is_lacking_is_missing(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """A mask that the CSV names and the zip has not is listed, exit 3, and costs no other."""
    path = bench.path(zip_key(SHARD))
    content = members(path.read_bytes())
    name = min(masks_of(SHARD, undisturbed) - set(bench.before))
    del content[name.rpartition("/")[2]]
    path.write_bytes(zipped(content))
    ended = bench.download("--json")
    assert ended.code == 3, ended.err
    assert "1 object is not at the source" in ended.err
    assert "manifest.csv" in ended.err
    assert json.loads(ended.out)["missing"] == [name.removeprefix("masks/")]
    assert name in (bench.out / ".oid" / "manifest.csv").read_text()
    all_but({name}, bench, undisturbed)


@pytest.mark.parametrize("front", ["../", "/", "..\\", "masks/"])
def test_a_member_with_a_path_is_never_written(
    front: str, bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """A name that would leave the folder is no mask: missing, and nothing is written elsewhere."""
    path = bench.path(zip_key(SHARD))
    content = members(path.read_bytes())
    name = min(masks_of(SHARD, undisturbed) - set(bench.before))
    bare = name.rpartition("/")[2]
    content[front + bare] = content.pop(bare)
    path.write_bytes(zipped(content))
    ended = bench.download("--json")
    assert ended.code == 3, ended.err
    assert json.loads(ended.out)["missing"] == [name.removeprefix("masks/")]
    all_but({name}, bench, undisturbed)
    assert not [each for each in bench.out.parent.rglob(bare) if bench.mirror not in each.parents]


def test_a_member_with_a_path_beside_the_sound_ones_is_no_matter(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """Folders, paths and files of other kinds in a zip are left alone; all masks are had."""
    path = bench.path(zip_key(SHARD))
    more = {"../evil.png": b"x", "README.txt": b"hello", "__MACOSX/._a.png": b"y", "sub/": b""}
    path.write_bytes(zipped(members(path.read_bytes()) | more))
    ended = bench.download()
    assert (ended.code, ended.err) == (0, "")
    assert tree(bench.out) == undisturbed
    assert not list(bench.out.parent.rglob("evil.png"))


def test_every_zip_broken_still_leaves_every_image(
    bench: Bench, undisturbed: Mapping[str, bytes]
) -> None:
    """With no mask to be had, the images and the tables of the dataset are whole."""
    for path in bench.mirror.glob("openimages/v5/validation-masks/*.zip"):
        path.write_bytes(b"no zip")
    ended = bench.download()
    assert ended.code == 6, ended.err
    assert "45 files failed" in ended.sentence
    assert ended.sentence.endswith("; run the same command again, or check the copy at --source")
    assert objects(tree(bench.out), "images") == objects(undisturbed, "images")
    lost = {name for name in undisturbed if name.startswith("masks/")} - set(bench.before)
    assert len(lost) == 45
    all_but(lost, bench, undisturbed)
