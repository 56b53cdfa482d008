"""`kill -9` at any moment of a download, an index build and an export, then the same again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from faults.kills import Again, built_index, kill, moment, run_again, stage
from faults.runs import Folder, kill_group, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from faults.kills import Built
    from faults.runs import Undisturbed

    Measure = Callable[[str, object], None]

SEVERAL = 4


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Give a release whose files take several blocks, and the cache that they become."""
    with built_index(tmp_path_factory) as found:
        yield found


def note(measure: Measure, again: Again, undisturbed: Undisturbed, what: str) -> None:
    """Put into the book what came a second time, and how much was under way at the most."""
    measure(f"kill: {what}: share of bytes fetched again", again.bytes / undisturbed.bytes)
    measure(f"kill: {what}: objects fetched again", again.objects)
    measure(f"kill: {what}: most requests in flight", again.most_under_way)


def kill_download(folder: Folder, seed: int) -> None:
    """Kill the download at the moment of a seed: nothing partial is at a final name."""
    rng = random.Random(f"download {seed}")
    kill(folder, folder.download(), share=moment(seed, rng), wait=rng.uniform(0, 0.04))
    folder.check_standing()


@pytest.mark.row(1)
@pytest.mark.seeds(3, 110)
def test_a_killed_download(folder: Folder, seed: int, record_property: Measure) -> None:
    """Run again, it ends in the undisturbed tree, and nothing that was whole comes again."""
    kill_download(folder, seed)
    record_property("kill: download: stage", stage(folder.undisturbed.server))
    standing = len(list((folder.out / "masks").rglob("[!.]*.png")))
    done, again = run_again(folder, folder.download())
    folder.check_complete(done)
    assert done.summary["masks"]["present"] >= standing
    note(record_property, again, folder.undisturbed, "download")


@pytest.mark.row(1)
@pytest.mark.seeds(1, 10)
def test_several_kills_in_a_row(folder: Folder, seed: int) -> None:
    """A folder that several runs were killed in ends as the undisturbed one; images only grow."""
    rng = random.Random(f"several {seed}")
    server, standing = folder.undisturbed.server, set[str]()
    for _ in range(SEVERAL):
        # each run has less to do than the one before
        share = rng.uniform(0.05, 0.3)
        kill(folder, folder.download(), share=share, wait=rng.uniform(0, 0.1))
        folder.check_standing()
        asked = {request.path.rpartition("/")[2] for request in server.log}
        assert standing.isdisjoint(asked), "a whole image was fetched again"
        now = {path.name for path in (folder.out / "images").rglob("[0-9a-f]*.jpg")}
        assert standing <= now, "an image that was there is gone"
        standing = now
    done, _ = run_again(folder, folder.download())
    folder.check_complete(done)


@pytest.mark.row(1)
def test_a_journal_that_is_cut_in_a_row(folder: Folder) -> None:
    """A journal whose last row is cut, as a dying machine leaves it, loses that row alone."""
    kill(folder, folder.download(), share=0.9, wait=0)
    (journal,) = (folder.out / ".oid").glob("journal-*.jsonl")
    rows = journal.read_bytes()
    journal.write_bytes(rows[: rows.rindex(b",")])
    done, _ = run_again(folder, folder.download())
    folder.check_complete(done)


@pytest.mark.row(1)
@pytest.mark.seeds(2, 40)
def test_a_killed_index_build(
    built: Built, tmp_path: Path, seed: int, record_property: Measure
) -> None:
    """Run again, it makes the same cache to the byte: tables of several blocks, mask indexes."""
    folder = built.folder(tmp_path)
    command = built.command(folder)
    rng = random.Random(f"index {seed}")
    kill(folder, command, share=moment(seed, rng), wait=rng.uniform(0, 0.15))
    done, again = run_again(folder, command)
    built.check(folder, done)
    folder.check_no_temporary()
    note(record_property, again, built.undisturbed, "index build")


# -- exports --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exports:
    """A dataset, and what its exports are: an older one, and the one that takes its place."""

    folder: Folder
    old: dict[str, dict[str, bytes]]
    new: dict[str, dict[str, bytes]]
    seconds: dict[str, float]

    def command(self, name: str, out: Path, *, old: bool = False) -> list[str]:
        """Give the arguments of an export; the older one has other pictures."""
        how = ("--split", "validation") if old else ("--image-size", "700", "--processes", "2")
        places = (str(self.folder.out), "--out", str(out))
        return ["export", *places, "--format", name, *how, "--quiet"]


FORMATS = ("coco", "yolo", "webdataset")


@pytest.fixture(scope="module")
def exports(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Download a dataset once, and export it undisturbed in every way that is needed."""
    undisturbed.server.reset()
    folder = Folder(tmp_path_factory.mktemp("exports"), undisturbed)
    assert folder.run().code == 0
    found = Exports(folder, {}, {}, {})
    for name in FORMATS:
        out = folder.root / name
        for old, trees in ((True, found.old), (False, found.new)):
            begun = time.monotonic()
            done = folder.run(*found.command(name, out, old=old))
            assert done.code == 0, done.err
            trees[name] = tree(out)
            found.seconds[name] = time.monotonic() - begun
        assert found.old[name] != found.new[name]
    return found


@pytest.mark.row(1)
@pytest.mark.row(3)
@pytest.mark.seeds(1, 14)
@pytest.mark.parametrize("name", FORMATS)
def test_a_killed_export(
    exports: Exports, tmp_path: Path, name: str, seed: int, record_property: Measure
) -> None:
    """The old export stands or the new one, never a mixture; run again it is the new one."""
    out = tmp_path / "out"
    assert exports.folder.run(*exports.command(name, out, old=True)).code == 0
    rng = random.Random(f"export {name} {seed}")
    share = moment(seed, rng)
    process = exports.folder.start(*exports.command(name, out))
    if seed % 2:
        # Half of them once the work proper has begun: what comes before is loading of libraries.
        while process.poll() is None and not list(tmp_path.glob(".oid-tmp-export-*")):
            time.sleep(0.002)
        time.sleep(share * exports.seconds[name] * 0.6)
    else:
        time.sleep(share * exports.seconds[name])
    record_property("kill: export: still at work", kill_group(process))
    stands = tree(out)
    assert stands in (exports.old[name], exports.new[name]), "a mixture of two exports"
    done = exports.folder.run(*exports.command(name, out))
    assert done.code == 0, done.err
    assert tree(out) == exports.new[name]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# -- the control ----------------------------------------------------------------------------------


@pytest.mark.control(1)
def test_without_atomic_writes_a_kill_leaves_files_in_part(folder: Folder, tmp_path: Path) -> None:
    """The tests above fail where files are written straight to their final names."""
    cases = [
        replace(folder, root=tmp_path / f"{seed}", without="atomic writes") for seed in range(12)
    ]
    with pytest.raises(AssertionError):
        kill_each(cases)


def kill_each(cases: Sequence[Folder]) -> None:
    """Kill the download of each case at another moment, and check what comes of it."""
    for seed, case in enumerate(cases):
        kill_download(case, seed)
        done, _ = run_again(case, case.download())
        case.check_complete(done)
