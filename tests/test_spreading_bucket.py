"""Images that workers fetch into a bucket, which machines without a common disk can share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import worker_threads
from mirrors import CLASSES, made_mirror, tree
from oidkit import cluster
from oidkit.api import Settings, download
from oidkit.api.shards import Errand
from oidkit.errors import UsageError
from oidkit.objectpath import ObjectPath
from oidkit.shelf import location_of
from oracle import differences
from team_indexes import bucket
from worker_threads import Threads

if TYPE_CHECKING:
    from pathlib import Path


small_shards = pytest.fixture(autouse=True)(worker_threads.small_shards)


def objects(url: str) -> dict[str, bytes]:
    """Read all objects below an address, but for the lock."""
    root = location_of(url)
    assert isinstance(root, ObjectPath)
    found = {each.key: root.objects.read(each.key) for each in root.objects.below("")}
    return {key: data for key, data in found.items() if key != ".oid/lock"}


def test_workers_that_die_leave_a_bucket_as_one_process_leaves_a_folder(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Manifest and all, with shards taken over; a second run, by one process, fetches nothing."""
    settings = Settings(str(made_mirror(tmp_path_factory)), tmp_path / "cache")
    download(CLASSES, tmp_path / "want", settings=settings)
    engine = Threads()
    engine.dies = lambda shard, words: words == 2 and engine.given.count(shard) == 1
    with bucket(tmp_path / "s3", monkeypatch) as url:
        came = download(CLASSES, url, settings=settings, engine=engine)
        assert differences(objects(url), tree(tmp_path / "want")) == []
        assert len(engine.given) > len({*engine.given}) > 3
        again = download(CLASSES, url, settings=settings)
        assert (again.images.fetched, again.images.present) == (0, came.images.fetched)


def test_a_machine_without_credentials_for_the_bucket_is_told_of(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every machine tries to write there, before an image is asked for."""
    look = cluster._looker()
    with bucket(tmp_path / "s3", monkeypatch) as url:
        root = location_of(url)
        assert isinstance(root, ObjectPath)
        (root / ".oid" / "lock").write(b"")
        errand = Errand(root, Settings("official", tmp_path))
        seen = look(url, f"{url}/.oid/lock", "official", cluster._program())
        cluster._judge("far", seen, errand)
    seen = look(url, f"{url}/.oid/lock", "official", cluster._program())
    with pytest.raises(UsageError) as caught:
        cluster._judge("far", seen, errand)
    assert str(caught.value).startswith(f"{url} cannot be written on the machine far")
    assert "credentials" in caught.value.remedy
