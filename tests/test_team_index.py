"""One index for a team: pushed, pulled, and asked where it lies, with what that costs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow.parquet
import pytest

from mirrors import environment, run, start
from oidkit import catalog
from oidkit.api import Settings, download, index_build, index_pull, index_push, plan
from oidkit.api.session import Session
from oidkit.indexfile import MANIFEST
from oidkit.schema import BOXES
from oidkit.selection import Selection
from oidkit.testing import Fault, MirrorServer, PerSplit, ReleaseSpec, make_release
from oracle import differences, tree_of
from team_indexes import another, bucket, built, bytes_below, copied, pushed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.schema import Schema
    from oidkit.tables import MaskIndex


KEPT = ("tables", "masks", "files")
CLASSES = ("Handgun", "Person")
POSIX = pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does")


@pytest.fixture
def first(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give the settings of the one who has built everything."""
    return built(tmp_path_factory)


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an index in a folder, which that one has pushed."""
    return pushed(tmp_path_factory)


@pytest.fixture
def served(index: Path) -> Iterator[MirrorServer]:
    """Serve that index over HTTP."""
    with MirrorServer(index) as server:
        yield server


# -- push and pull ------------------------------------------------------------------------------


def test_a_pull_gives_the_cache_of_the_push(first: Settings, index: Path, tmp_path: Path) -> None:
    """Tables, mask indexes and class files are the same bytes, and nothing comes twice."""
    second = another(first, tmp_path / "second")
    came = index_pull(str(index), settings=second)
    assert (came.tables, came.masks, came.files, came.present) == (9, 48, 3, 0)
    assert bytes_below(tmp_path / "second", *KEPT) == bytes_below(first.cache_folder, *KEPT)
    again = index_pull(str(index), settings=second)
    assert (again.tables, again.masks, again.files, again.present) == (0, 0, 0, 60)
    assert again.requests == 1
    assert again.received_bytes == (index / MANIFEST).stat().st_size


def test_a_second_push_sends_nothing(
    first: Settings, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """What is there is not sent again; of what is gone or cut, that alone is."""
    index = copied(tmp_path_factory, tmp_path / "index")
    again = index_push(str(index), settings=first)
    assert (again.sent, again.sent_bytes) == (0, 0)
    parts = sorted(index.rglob("part-*.parquet"))
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:-1])
    mended = index_push(str(index), settings=first)
    assert mended.sent == 2
    want, found = tree_of(pushed(tmp_path_factory)), tree_of(index)
    assert differences(found, want) == []


def test_what_is_pulled_is_used_without_a_csv(first: Settings, index: Path, tmp_path: Path) -> None:
    """After a pull a download reads no CSV and no directory, as after a build."""
    with MirrorServer(made_mirror_of(first)) as source:
        mine = replace(first, source=source.url)
        index_push(str(tmp_path / "index"), settings=built_at(mine, tmp_path))
        second = replace(mine, cache=tmp_path / "second")
        index_pull(str(tmp_path / "index"), settings=second)
        source.reset()
        download("Handgun", tmp_path / "out", settings=second)
        csvs = [each for each in source.log if each.path.endswith(".csv")]
        assert {each.status for each in csvs if "class-" not in each.path} == {304}
        assert not [each for each in source.log if (each.range or "").startswith("bytes=-")]


def made_mirror_of(settings: Settings) -> str:
    """Give the folder that some settings read from."""
    return str(settings.source)


def built_at(settings: Settings, folder: Path) -> Settings:
    """Build everything of another source."""
    own = replace(settings, cache=folder / "cache-of-another")
    index_build(settings=own)
    return own


def test_a_newer_table_of_ones_own_stays(
    first: Settings, index: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither a pull nor a query takes an older table of the index for a newer one of the cache."""
    mirror = tmp_path / "mirror"
    make_release(mirror, replace(ReleaseSpec.tiny(), releases=("v7",), labels=("boxes",)))
    mine = Settings(source=str(mirror), cache=tmp_path / "first")
    validation = {"splits": ["validation"], "labels": ["boxes"], "metadata": False}
    index_build(**validation, settings=mine)  # type: ignore[arg-type]
    index_push(str(tmp_path / "index"), settings=mine)
    path = mirror / "openimages/v5/validation-annotations-bbox.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-5]))
    (newer,) = index_build(**validation, settings=mine)  # type: ignore[arg-type]
    assert index_pull(str(tmp_path / "index"), settings=mine).tables == 0
    with Session(replace(mine, index=str(tmp_path / "index"))) as session:
        found = session.tables(catalog_files("validation"))
    assert [table.rows for table in found.values()] == [newer.rows]
    # Whoever has none reads the CSV, as it has changed since the push.
    with Session(another(mine, tmp_path / "other", index=str(tmp_path / "index"))) as session:
        found = session.tables(catalog_files("validation"))
    assert [table.rows for table in found.values()] == [newer.rows]


def catalog_files(split: catalog.Split) -> list[tuple[catalog.File, Schema]]:
    """Give the box file of a split with its rules, as a session takes it."""
    return [(file, BOXES) for file in catalog.tables("v7", "boxes", split)]


def test_two_who_push_add_to_each_other(first: Settings, tmp_path: Path) -> None:
    """An index that one has begun has in the end what either of them has built."""
    one, other = another(first, tmp_path / "one"), another(first, tmp_path / "other")
    index_build(splits=["test"], labels=["boxes"], metadata=False, settings=one)
    index_build(splits=["validation"], labels=["boxes"], metadata=False, settings=other)
    index_push(str(tmp_path / "index"), settings=one)
    assert index_push(str(tmp_path / "index"), settings=other).tables == 2
    third = another(first, tmp_path / "third")
    assert index_pull(str(tmp_path / "index"), settings=third).tables == 2


# -- queries ------------------------------------------------------------------------------------


def test_a_download_by_the_index_is_the_same(
    first: Settings, served: MirrorServer, tmp_path: Path
) -> None:
    """Every file is that of a download without it, and no CSV and no directory is read."""
    download(CLASSES, tmp_path / "want", settings=first)
    with MirrorServer(made_mirror_of(first)) as source:
        # Of a folder the same files have other ETags than over HTTP.
        index_push(
            str(tmp_path / "index"),
            settings=built_at(replace(first, source=source.url), tmp_path),
        )
        with MirrorServer(tmp_path / "index") as at:
            second = Settings(source=source.url, cache=tmp_path / "second", index=at.url)
            source.reset()
            made = plan(CLASSES, tmp_path / "out", settings=second)
            download(CLASSES, tmp_path / "out", settings=second)
            log = list(source.log)
            asked, sent = at.requests, at.bytes_sent
            download(CLASSES, tmp_path / "more", settings=second)
            assert at.requests - asked == 1, "the list of the index, and nothing else"
            assert at.bytes_sent - sent == (tmp_path / "index" / MANIFEST).stat().st_size
    csvs = [each for each in log if each.path.endswith(".csv") and "class-" not in each.path]
    assert {each.status for each in csvs} == {304}
    assert not [each for each in log if (each.range or "").startswith("bytes=-")]
    assert sum(each.to_fetch for each in made.images) > 0
    assert differences(tree_of(tmp_path / "out"), tree_of(tmp_path / "want")) == []


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """Make a release of 200,000 boxes, build its tables, and push them."""
    base = tmp_path_factory.mktemp("many")
    spec = replace(
        ReleaseSpec.tiny(),
        releases=("v7",),
        labels=("boxes", "masks"),
        images=PerSplit(25_000, 40, 40),
        boxes=PerSplit(200_000, 300, 300),
        masks=PerSplit(60_000, 90, 90),
        jpegs=0,
        classes=300,
    )
    make_release(base / "mirror", spec)
    settings = Settings(source=str(base / "mirror"), cache=base / "cache", index="")
    index_build(metadata=False, settings=settings)
    index_push(str(base / "index"), settings=settings)
    return settings, base / "index"


def groups_of(index: Path, split: catalog.Split, mid: str) -> dict[str, set[int]]:
    """Work out with pyarrow which row groups of the boxes hold a class, by their part."""
    key = next(file.key for file in catalog.tables("v7", "boxes", split))
    (folder,) = (index / "tables" / key.replace("/", "~")).iterdir()
    (note,) = folder.glob("table.*.json")
    found: dict[str, set[int]] = {}
    for part, first, count, _ in json.loads(note.read_bytes())["labels"][mid]:
        (path,) = folder.glob(f"part-{part:04d}.*.parquet")
        meta = pyarrow.parquet.read_metadata(path)
        begins = 0
        for number in range(meta.num_row_groups):
            ends = begins + meta.row_group(number).num_rows
            if begins < first + count and first < ends:
                found.setdefault(path.relative_to(index).as_posix(), set()).add(number)
            begins = ends
    return found


def test_a_query_reads_the_row_groups_of_the_class(
    many: tuple[Settings, Path], tmp_path: Path
) -> None:
    """Requests and bytes are those of the row groups, the ends of their parts, and the notes."""
    settings, index = many
    with MirrorServer(index) as at:
        with Session(another(settings, tmp_path / "cache", index=at.url)) as session:
            (mid,) = (each.mid for each in session.resolve(["Handgun"]))
            tables = session.tables(catalog_files("train"))
            (table,) = tables.values()
            at.reset()
            rows = table.rows_of([mid])
            log, asked, sent = list(at.log), at.requests, at.bytes_sent
            table.rows_of([mid])
            assert at.requests == asked
        assert rows.height == table.count(mid)[0] > 0
    assert {each.status for each in log} == {206}
    groups = groups_of(index, "train", mid)
    assert {each.path for each in log} == groups.keys()
    bounds = [wanted_bytes(index, path, numbers) for path, numbers in groups.items()]
    assert sent == sum(size for size, _ in bounds)
    assert asked == sum(requests for _, requests in bounds)
    whole = sum(path.stat().st_size for path in index.rglob("part-*.parquet"))
    assert sent < whole / 4


def wanted_bytes(index: Path, name: str, groups: set[int]) -> tuple[int, int]:
    """Give the bytes of some row groups of a part with its end, and the requests for them."""
    data = (index / name).read_bytes()
    meta = pyarrow.parquet.read_metadata(index / name)
    starts = []
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        columns = [group.column(each) for each in range(group.num_columns)]
        starts.append(min(c.dictionary_page_offset or c.data_page_offset for c in columns))
    last = max(
        (c.dictionary_page_offset or c.data_page_offset) + c.total_compressed_size for c in columns
    )
    bounds = [0, *starts[1:], last, len(data)]
    tiles = sorted(groups | {len(starts)})
    size = sum(bounds[each + 1] - bounds[each] for each in tiles)
    runs = 1 + sum(later - each > 1 for each, later in pairwise(tiles))
    return size, runs


def test_the_places_of_masks_cost_as_little(many: tuple[Settings, Path], tmp_path: Path) -> None:
    """The masks of a class are found in all 16 zips by a few requests, each as the zip has it."""
    settings, index = many
    with MirrorServer(index) as at:
        with Session(another(settings, tmp_path / "cache", index=at.url)) as session:
            assert session.shared is not None
            with Session(settings) as own:
                wanted = masks_of(own, "Handgun")
                want = {key: index.find(wanted[key]) for key, index in indexes(own, wanted)}
            found = session.shared.masks(wanted)
            # The list, the contents, and runs of row groups with the ends of their parts.
            assert at.requests <= 2 + 2 * len(list(index.glob("offsets/train/part-*")))
            assert at.bytes_sent < sum(p.stat().st_size for p in index.glob("masks/*train*")) / 4
        assert {key: each.find(wanted[key]) for key, each in found.items()} == want
        assert len(want) == 16


def masks_of(session: Session, name: str) -> dict[str, list[str]]:
    """Give the masks that a class has in train, by their zips."""
    from oidkit.schema import MASKS

    (found,) = session.resolve([name])
    files = [(file, MASKS) for file in catalog.tables("v7", "masks", "train")]
    (table,) = session.tables(files).values()
    names = table.rows_of([found.mid], columns=["ImageID", "MaskPath"])["MaskPath"].to_list()
    zips: dict[str, list[str]] = {}
    for each in names:
        zips.setdefault(catalog.mask_zip("train", each[0]).key, []).append(each)
    return zips


def indexes(session: Session, wanted: dict[str, list[str]]) -> list[tuple[str, MaskIndex]]:
    """Give the mask indexes of the cache."""
    found = {key: session.cache.masks(key) for key in wanted}
    return [(key, index) for key, index in found.items() if index is not None]


def test_a_class_without_a_box_asks_for_no_row(many: tuple[Settings, Path], tmp_path: Path) -> None:
    """What the table does not have is known from its note."""
    settings, index = many
    with (
        MirrorServer(index) as at,
        Session(another(settings, tmp_path / "cache", index=at.url)) as session,
    ):
        (table,) = session.tables(catalog_files("train")).values()
        at.reset()
        assert table.rows_of(["/m/none"]).height == 0
        assert at.requests == 0


def test_damage_in_the_local_copy_is_mended(many: tuple[Settings, Path], tmp_path: Path) -> None:
    """A byte that has changed in what was kept of an index is asked for again."""
    settings, index = many
    second = another(settings, tmp_path / "cache", index=str(index))

    def rows() -> list[object]:
        with Session(second) as session:
            (mid,) = (each.mid for each in session.resolve(["Handgun"]))
            (table,) = session.tables(catalog_files("train")).values()
            return table.rows_of([mid]).rows()  # type: ignore[return-value]

    before = rows()
    for path in (tmp_path / "cache").rglob("remote/*/*/part-*.parquet"):
        data = bytearray(path.read_bytes())
        data[1000:] = bytes(each ^ 1 for each in data[1000:])
        path.write_bytes(data)
    assert rows() == before


# -- kills --------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_killed_pull_goes_on(
    first: Settings, index: Path, served: MirrorServer, tmp_path: Path, share: float
) -> None:
    """The same command again gives the same bytes, and asks for no file that was whole."""
    count = sum(1 for path in index.rglob("*") if path.is_file())
    served.hook = lambda request: Fault(delay=0.02)
    words = ["index", "pull", served.url, "--source", first.source, "--cache", tmp_path / "cache"]
    process = start(*words)
    while served.requests < share * count * 0.7:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    before = {each.path for each in served.log if each.status == 200}
    served.hook = None
    served.reset()
    assert run(*words).returncode == 0
    asked = [each.path for each in served.log]
    # The list, the contents of the tables, what was in flight, and what waited to be checked.
    assert len(set(asked) & before) <= 1 + 9 + 16 + 32
    assert bytes_below(tmp_path / "cache", *KEPT) == bytes_below(first.cache_folder, *KEPT)


@POSIX
def test_a_killed_push_leaves_the_older_index(
    first: Settings,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until the last object is there the older index is what is read; then it is as undisturbed."""
    from oidkit.disk import below
    from oidkit.shelf import parse_place

    some = another(first, tmp_path / "some")
    index_build(splits=["test"], labels=["boxes"], metadata=False, settings=some)
    with bucket(tmp_path / "s3", monkeypatch) as url:
        index_push(url, settings=some)
        words = ["index", "push", url, "--source", first.source, "--cache", first.cache_folder]
        for most in (20, 100, 200):
            process = start(*words, env=environment())
            while process.poll() is None and len(list(below(parse_place(url).writing()))) < most:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        third = another(first, tmp_path / "third")
        assert index_pull(url, settings=third).tables == 1
        done = run(*words, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["present"] >= 150
        fourth = another(first, tmp_path / "fourth")
        assert index_pull(url, settings=fourth).tables == 9
    assert bytes_below(tmp_path / "fourth", *KEPT) == bytes_below(first.cache_folder, *KEPT)


# -- buckets ------------------------------------------------------------------------------------


def test_a_bucket_is_as_good_as_a_folder(
    first: Settings, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushed, asked and pulled by the command, with the keys of the environment."""
    with bucket(tmp_path / "s3", monkeypatch) as url:
        common = ["--source", first.source, "--cache"]
        done = run("index", "push", url, *common, first.cache_folder, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["tables"] == 9
        for name, more in (("want", []), ("out", ["--index", url])):
            cache = first.cache_folder if name == "want" else tmp_path / "second"
            done = run("download", "Handgun", "--out", tmp_path / name, *common, cache, *more)
            assert done.returncode in (0, 3), done.stderr
        assert not list((tmp_path / "second").rglob("tables/*/*/part-*"))
        assert run("index", "pull", url, *common, tmp_path / "third").returncode == 0
        again = run("index", "push", url, *common, tmp_path / "third", "--json")
        assert json.loads(again.stdout)["sent"] == 0
    assert differences(tree_of(tmp_path / "out"), tree_of(tmp_path / "want")) == []
    assert bytes_below(tmp_path / "third", *KEPT) == bytes_below(first.cache_folder, *KEPT)


def test_the_source_never_sees_the_keys_of_the_index(
    first: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the index is read with, requests to the source carry no credentials."""
    with bucket(tmp_path / "s3", monkeypatch) as url, MirrorServer(str(first.source)) as source:
        mine = built_at(replace(first, source=source.url), tmp_path)
        index_push(url, settings=mine)
        second = another(mine, tmp_path / "second", index=url)
        download("Handgun", tmp_path / "out", settings=second)
        names = {name.lower() for each in source.log for name in each.headers}
    assert "host" in names
    assert not {name for name in names if "auth" in name or name.startswith("x-amz")}


def test_python_ends_well_after_a_bucket(
    first: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's threads are gone when a command ends: 30 commands end with the right code."""
    with bucket(tmp_path / "s3", monkeypatch) as url:
        index_push(url, settings=first)
        words = ["classes", "gun", "--index", url, "--source", first.source, "--cache"]
        codes = [run(*words, tmp_path / f"cache-{each}").returncode for each in range(30)]
    assert codes == [0] * 30


# -- whole size ---------------------------------------------------------------------------------

FULL = "bench/full"


@pytest.mark.slow
def test_one_class_of_14_million_boxes_costs_at_most_4_mb(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """At the size of the real release, boxes and the places of masks together."""
    folder = next((p / FULL for p in pytestconfig.rootpath.parents if (p / FULL).is_dir()), None)
    if folder is None or not (folder / "cache").is_dir():
        pytest.skip("there is no cache of a release of full size")
    settings = Settings(source=str(folder / "release"), cache=folder / "cache", index="")
    index_push(str(tmp_path / "index"), settings=settings)
    wanted = Selection(("Handgun",), images=False, metadata=False, labels=("boxes",))
    with MirrorServer(tmp_path / "index") as at:
        second = another(settings, tmp_path / "cache", index=at.url)
        plan(wanted, tmp_path / "out", settings=second)
        print(f"boxes: {at.requests} requests, {at.bytes_sent:,} bytes", file=sys.stderr)
        assert at.bytes_sent <= 4_000_000
        at.reset()
        plan(replace(wanted, labels=("boxes", "masks")), tmp_path / "out", settings=second)
        print(f"masks besides: {at.requests} requests, {at.bytes_sent:,} bytes", file=sys.stderr)
