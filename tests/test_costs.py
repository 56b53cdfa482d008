"""What a download costs: which requests are made, and how many bytes come back."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from mask_release import MEMBERS, MOST_WASTE, SPEC, Masks, masks_of, zip_key
from oidkit.api import Settings, download, index_info, plan
from oidkit.errors import UsageError
from oidkit.selection import Selection
from oidkit.testing import Fault, MirrorServer, ReleaseSpec, RequestInfo, make_release
from oracle import Asked, Mirror, differences, expected, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Masks:
    """Make the release of the issue: zips of 5,000 members."""
    return Masks(make_release(tmp_path_factory.mktemp("masks"), SPEC).root)


@pytest.fixture(scope="module")
def mask_server(masks: Masks) -> Iterator[MirrorServer]:
    """Serve that release."""
    with MirrorServer(masks.root) as running:
        yield running


@pytest.fixture(scope="module")
def tables(
    masks: Masks, mask_server: MirrorServer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Build the table of masks once, without reading any directory."""
    cache = tmp_path_factory.mktemp("tables")
    settings = Settings(source=mask_server.url, cache=cache)
    plan(masks_of("Person"), tmp_path_factory.mktemp("out") / "none", settings=settings)
    assert [entry.kind for entry in index_info(settings=Settings(cache=cache))] == ["table"]
    return cache


@pytest.fixture
def from_masks(mask_server: MirrorServer, tables: Path, tmp_path: Path) -> Settings:
    """Read that release with a cache that holds its table and nothing else; new books."""
    shutil.copytree(tables, tmp_path / "cache")
    reset(mask_server)
    return Settings(source=mask_server.url, cache=tmp_path / "cache")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Make a small release with images, of which some are missing."""
    spec = dataclasses.replace(ReleaseSpec.tiny(), releases=("v7",), seed=5, jpegs=0.8)
    return Mirror(make_release(tmp_path_factory.mktemp("small"), spec).root)


@pytest.fixture
def own(small: Mirror, tmp_path: Path) -> Mirror:
    """Give a copy of the small release that a test may change."""
    shutil.copytree(small.root, tmp_path / "own-mirror")
    return Mirror(tmp_path / "own-mirror")


def reset(*servers: MirrorServer) -> None:
    """Begin new books."""
    for server in servers:
        server.hook = None
        server.reset()


# -- masks --------------------------------------------------------------------------------------


def test_fifty_masks_cost_the_directories_once_and_little_more_than_themselves(
    masks: Masks, mask_server: MirrorServer, from_masks: Settings, tmp_path: Path
) -> None:
    """50 masks in 16 zips of 5,000: directories, masks, and at most 64 KiB a merged range."""
    first, second, *_ = masks.of_size(50)
    summary = download(masks_of(first), tmp_path / "out", settings=from_masks)
    assert (summary.masks.fetched, summary.exit_code) == (50, 0)
    log = [each for each in mask_server.log if each.path.endswith(".zip")]
    assert {each.path for each in log} == {zip_key(shard) for shard in masks.starts}
    assert {each.status for each in log} == {206}
    tails = [each for each in log if (each.range or "").startswith("bytes=-")]
    assert len(tails) == 16
    ranges = [each for each in log if each not in tails]
    shards = {each.path: each.path[-len("0.zip")] for each in log}
    rest = [each for each in ranges if _start(each.range) >= masks.starts[shards[each.path]]]
    merged = [each for each in ranges if each not in rest]
    assert len(rest) <= 16
    sizes = {shard: (masks.root / zip_key(shard)).stat().st_size for shard in masks.starts}
    directories = sum(sizes[shard] - at for shard, at in masks.starts.items())
    assert sum(each.sent for each in tails + rest) <= directories + 16 * MOST_WASTE
    wanted = sum(masks.members[name[0]][name] for name in masks.by_class[first])
    assert len(merged) <= 50
    assert wanted <= sum(each.sent for each in merged) <= wanted + MOST_WASTE * len(merged)
    assert sum(each.sent for each in log) < sum(sizes.values()) / 6
    assert summary.received_bytes == mask_server.bytes_sent
    assert summary.requests == mask_server.requests

    reset(mask_server)
    again = download(masks_of(second), tmp_path / "out", settings=from_masks)
    assert (again.masks.fetched, again.exit_code) == (50, 0)
    log = [each for each in mask_server.log if each.path.endswith(".zip")]
    wanted = sum(masks.members[name[0]][name] for name in masks.by_class[second])
    assert wanted <= sum(each.sent for each in log) <= wanted + MOST_WASTE * len(log)
    for each in log:
        assert each.range is not None
        assert not each.range.startswith("bytes=-")
        assert _start(each.range) < masks.starts[shards[each.path]]
    found = tree_of(tmp_path / "out")
    for name in masks.by_class[first] + masks.by_class[second]:
        with zipfile.ZipFile(masks.zip(name)) as archive:
            assert found[f"masks/train/{name}"] == archive.read(name)


def _start(asked: str | None) -> int:
    assert asked is not None
    return int(asked.removeprefix("bytes=").split("-")[0])


def test_a_frequent_class_merges_its_masks_into_few_requests(
    masks: Masks, mask_server: MirrorServer, from_masks: Settings, tmp_path: Path
) -> None:
    """Thousands of masks take a few requests a zip, with at most 64 KiB each that nobody asked."""
    mid = max(masks.by_class, key=lambda mid: len(masks.by_class[mid]))
    count = len(masks.by_class[mid])
    assert count > MEMBERS
    summary = download(masks_of(mid), tmp_path / "out", settings=from_masks)
    assert summary.masks.fetched == count
    log = [each for each in mask_server.log if each.path.endswith(".zip")]
    merged = [
        each
        for each in log
        if not (each.range or "").startswith("bytes=-")
        and _start(each.range) < masks.starts[each.path[-len("0.zip")]]
    ]
    wanted = sum(masks.members[name[0]][name] for name in masks.by_class[mid])
    assert sum(each.sent for each in merged) <= wanted + MOST_WASTE * len(merged)
    assert len(merged) < count / 5


def test_zips_that_hold_nothing_of_the_class_are_not_touched(
    masks: Masks, mask_server: MirrorServer, from_masks: Settings, tmp_path: Path
) -> None:
    """Only the zips of the images that have the class are read."""
    mid = min(masks.by_class, key=lambda mid: len({name[0] for name in masks.by_class[mid]}))
    holding = {zip_key(name[0]) for name in masks.by_class[mid]}
    assert len(holding) < 16
    download(masks_of(mid), tmp_path / "out", settings=from_masks)
    assert {each.path for each in mask_server.log if each.path.endswith(".zip")} == holding


# -- images and tables --------------------------------------------------------------------------


def test_each_image_is_one_request_missing_or_not(small: Mirror, tmp_path: Path) -> None:
    """An image of several classes is one GET without a range; a missing one is one GET too."""
    want = expected(small, Asked(("/m/01g317", "/m/0gxl3")))
    with MirrorServer(small.root) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        summary = download(("Person", "Handgun"), tmp_path / "out", settings=settings)
        log = [each for each in server.log if each.path.startswith("open-images-dataset/")]
    counts = Counter(each.path for each in log)
    assert counts == dict.fromkeys((f"open-images-dataset/{each}.jpg" for each in want.images), 1)
    assert {(each.method, each.range) for each in log} == {("GET", None)}
    assert want.missing
    assert Counter(each.status for each in log) == {
        200: len(want.images) - len(want.missing),
        404: len(want.missing),
    }
    sent = sum(each.sent for each in log if each.status == 200)
    assert sent == want.image_bytes == summary.images.bytes


def test_a_rerun_asks_only_whether_the_tables_changed(small: Mirror, tmp_path: Path) -> None:
    """A rerun makes one conditional request a file, answered by 304 without a body."""
    plain = Selection(("Person",), splits=("test",))
    with MirrorServer(small.root) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        first = download(plain, tmp_path / "out", settings=settings)
        gone = {f"open-images-dataset/{each}.jpg" for each in first.missing}
        reset(server)
        again = download(plain, tmp_path / "out", settings=settings)
        log = [each for each in server.log if each.path not in gone]
    assert not [path for path, count in Counter(each.path for each in log).items() if count != 1]
    assert not [
        each for each in log if not (each.status == 304 and "if-none-match" in each.headers)
    ]
    assert {each.path for each in log} <= {
        "openimages/v7/oidv7-class-descriptions-boxable.csv",
        "openimages/v5/classes-segmentation.txt",
        "openimages/v5/test-annotations-bbox.csv",
        "openimages/v5/test-annotations-object-segmentation.csv",
        "openimages/2018_04/test/test-images-with-rotation.csv",
    }
    assert again.images.missing == len(gone)


def test_tables_are_built_once_for_all_datasets(small: Mirror, tmp_path: Path) -> None:
    """A second dataset from the same source receives no table and no mask directory again."""
    with MirrorServer(small.root) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        download("Person", tmp_path / "one", settings=settings)
        built = {entry.path for entry in index_info(settings=settings)}
        reset(server)
        download("Person", tmp_path / "two", settings=settings)
        log = server.log
    assert {each.status for each in log if each.path.endswith((".csv", ".txt"))} == {304}
    assert not [each for each in log if (each.range or "").startswith("bytes=-")]
    assert {entry.path for entry in index_info(settings=settings)} == built
    assert differences(tree_of(tmp_path / "two"), tree_of(tmp_path / "one")) == []


def test_only_the_tables_that_are_needed_are_fetched(small: Mirror, tmp_path: Path) -> None:
    """Boxes of one split without metadata need its one CSV and no other."""
    wanted = Selection(("Person",), ("validation",), ("boxes",), images=False, metadata=False)
    with MirrorServer(small.root) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        download(wanted, tmp_path / "out", settings=settings)
        asked = sorted(each.path for each in server.log)
    assert asked == [
        "openimages/v5/classes-segmentation.txt",
        "openimages/v5/validation-annotations-bbox.csv",
        "openimages/v7/oidv7-class-descriptions-boxable.csv",
    ]


def test_a_wrong_class_costs_no_table(small: Mirror, tmp_path: Path) -> None:
    """All classes are resolved before any table is asked for."""
    with MirrorServer(small.root) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        with pytest.raises(UsageError):
            download(("Person", "Hangun"), tmp_path / "out", settings=settings)
        asked = {each.path for each in server.log}
    assert not [path for path in asked if "annotations" in path or "images" in path.split("/")[-1]]


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_two_mirrors_never_share_a_table(
    small: Mirror, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    """With one cache for both, each mirror gives what is in it, first and second time."""
    spec = dataclasses.replace(ReleaseSpec.tiny(), releases=("v7",), seed=6)
    other = Mirror(make_release(tmp_path_factory.mktemp("other"), spec).root)
    with MirrorServer(small.root) as one, MirrorServer(other.root) as two:
        sources = {"folder": (small.root, other.root), "http": (one.url, two.url)}[kind]
        for at in range(2):
            for mirror, source in zip((small, other), sources, strict=True):
                settings = Settings(source=str(source), cache=tmp_path / "cache")
                out = tmp_path / f"{at}-{mirror.root.name}"
                download("Person", out, settings=settings)
                want = expected(mirror, Asked(("/m/01g317",)))
                assert differences(tree_of(out), want.tree) == []


# -- what changes at the source -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_changed_csv_is_noticed_and_its_table_built_again(
    own: Mirror, tmp_path: Path, kind: str
) -> None:
    """A CSV that lost rows is read anew, alone, and its old table is gone from the cache."""
    boxes = own.root / "openimages/v5/test-annotations-bbox.csv"
    with MirrorServer(own.root) as server:
        source = server.url if kind == "http" else str(own.root)
        settings = Settings(source=source, cache=tmp_path / "cache")
        download("Person", tmp_path / "before", settings=settings)
        header, *rows = boxes.read_bytes().splitlines(keepends=True)
        boxes.write_bytes(header + b"".join(rows[::2]))
        reset(server)
        download("Person", tmp_path / "after", settings=settings)
        read = [each.path for each in server.log if each.status == 200 and ".csv" in each.path]
    want = expected(Mirror(own.root), Asked(("/m/01g317",)))
    assert differences(tree_of(tmp_path / "after"), want.tree) == []
    assert read == (["openimages/v5/test-annotations-bbox.csv"] if kind == "http" else [])
    entries = [
        each
        for each in index_info(settings=settings)
        if each.key.endswith("test-annotations-bbox.csv")
    ]
    assert [each.rows for each in entries] == [len(rows[::2])]


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_changed_zip_is_noticed_and_its_directory_read_again(
    own: Mirror, tmp_path: Path, kind: str
) -> None:
    """A zip whose members lie elsewhere now still gives the right masks, in the same run."""
    wanted = Selection(("Person",), ("train",), ("masks",), images=False, metadata=False)
    with MirrorServer(own.root) as server:
        source = server.url if kind == "http" else str(own.root)
        settings = Settings(source=source, cache=tmp_path / "cache")
        download(wanted, tmp_path / "before", settings=settings)
        changed = _turned_around(own.root / zip_key("3")), _turned_around(own.root / zip_key("a"))
        assert all(changed)
        reset(server)
        summary = download(wanted, tmp_path / "after", settings=settings)
        log = server.log
    want = expected(Mirror(own.root), dataclasses.replace(_asked(wanted), classes=("/m/01g317",)))
    assert differences(tree_of(tmp_path / "after"), want.tree) == []
    assert summary.exit_code == 0
    if kind == "http":
        refused = {each.path for each in log if each.status == 412}
        read = {each.path for each in log if (each.range or "").startswith("bytes=-")}
        assert refused == read == {zip_key("3"), zip_key("a")}


def _asked(wanted: Selection) -> Asked:
    return Asked(wanted.classes, wanted.splits, wanted.labels, images=False, metadata=False)


def _turned_around(path: Path) -> int:
    """Write the members of a zip in the opposite order, stored; give their number."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in reversed(archive.namelist())}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return len(contents)


def test_a_server_without_conditions_is_found_out_by_the_etag(own: Mirror, tmp_path: Path) -> None:
    """Where If-Match is passed over, the other ETag of the answer says that the zip changed."""
    wanted = Selection(("Person",), ("train",), ("masks",), images=False, metadata=False)
    changed = own.root / zip_key("3")

    def deaf(info: RequestInfo) -> Fault | None:
        if info.path != zip_key("3") or "if-match" not in info.headers:
            return None
        size = changed.stat().st_size
        first, last = (int(part) for part in (info.range or "")[len("bytes=") :].split("-"))
        body = changed.read_bytes()[first : last + 1]
        about = f"bytes {first}-{first + len(body) - 1}/{size}"
        told = {"Content-Range": about, "ETag": etag[0], "x-goog-hash": ""}
        return Fault(status=206, body=body, headers=told)

    etag = ['"the first"']
    with MirrorServer(own.root) as server:
        settings = Settings(source=server.url, cache=tmp_path / "cache")
        download(wanted, tmp_path / "before", settings=settings)
        assert _turned_around(changed)
        etag[0] = f'"{_md5(changed)}"'
        reset(server)
        server.hook = deaf
        summary = download(wanted, tmp_path / "after", settings=settings)
        statuses = {each.status for each in server.log if each.path == zip_key("3")}
    want = expected(Mirror(own.root), dataclasses.replace(_asked(wanted), classes=("/m/01g317",)))
    assert statuses == {206}
    assert differences(tree_of(tmp_path / "after"), want.tree) == []
    assert summary.exit_code == 0


def _md5(path: Path) -> str:
    import hashlib

    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
