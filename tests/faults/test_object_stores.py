"""A bucket as output whose store fails: nothing partial is seen, and the same command completes."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from buckets import BUCKET, Asked, Store, command_of, images_asked, user_of
from mirrors import CLASSES, run, tree
from oidkit.api import Settings, download
from oracle import differences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oidkit.testing import MirrorServer

pytest_plugins = ["bucket_fixtures"]
AGAIN, COMPLETE_BUT_MISSING = 4, 3
# What is written, and how often at the least: at one of these the store begins to fail.
WRITES = {"images/": 20, "masks/": 8, "csv/": 4, ".oid/manifest": 1}
STATUSES = (500, 502, 503)


@pytest.fixture(scope="module")
def files(
    server: MirrorServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Download the same into a folder, from which nothing is different in the bucket."""
    out = tmp_path_factory.mktemp("folder") / "out"
    download(CLASSES, out, settings=Settings(source=server.url, cache=cache))
    return tree(out)


def check_standing(there: Mapping[str, bytes], files: Mapping[str, bytes]) -> None:
    """Make sure that every image and mask in the bucket is whole."""
    partial = [
        path
        for path, data in there.items()
        if path.startswith(("images/", "masks/")) and files.get(path) != data
    ]
    assert partial == []


@pytest.mark.row(33)
@pytest.mark.seeds(1, 8)
@pytest.mark.parametrize("what", WRITES)
def test_a_store_that_fails(
    settings: Settings,
    server: MirrorServer,
    store: Store,
    files: dict[str, bytes],
    tmp_path: Path,
    *,
    what: str,
    seed: int,
) -> None:
    """From some write on it refuses: exit 4 and a sentence; run again, what is there stays."""
    rng = random.Random(f"{what} {seed}")
    prefix = f"failing/{what.strip('/').replace('.', '')}-{seed}"
    status, first, writes = rng.choice(STATUSES), rng.randrange(WRITES[what]), itertools.count()

    def refuse(asked: Asked) -> int | None:
        hit = asked.method == "PUT" and f"{prefix}/{what}" in asked.path
        return status if hit and next(writes) >= first else None

    store.refuse = refuse
    command = command_of(server, f"s3://{BUCKET}/{prefix}", settings.cache_folder)
    env = user_of(store, tmp_path / "home")
    done = run(*command, env=env)
    said = done.stderr.decode()
    assert done.returncode == AGAIN, said
    assert f"s3://{BUCKET}/{prefix}/{what}" in said
    assert str(status) in said
    assert said.endswith("check the address and the network, then run the same command again\n")
    there = store.tree(prefix)
    check_standing(there, files)

    store.refuse = lambda _: None
    server.reset()
    done = run(*command, env=env)
    assert done.returncode == COMPLETE_BUT_MISSING, done.stderr.decode()
    names = {path.rpartition("/")[2] for path in there if path.startswith("images/")}
    assert not names & {path.rpartition("/")[2] for path in images_asked(server)}
    assert differences(store.tree(prefix), files) == []
