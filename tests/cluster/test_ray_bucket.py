"""A download by the workers of a real Ray into a bucket, for machines that share no disk."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from faults.runs import ASKED, OID, mirror
from mirrors import environment, tree
from oidkit.objectpath import ObjectPath
from oidkit.shelf import location_of
from oracle import differences
from team_indexes import bucket

pytest.importorskip("ray", reason="Ray is not installed; make test-cluster installs it")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("default")


def download(mirror: Path, place: Path | str, *more: str, **env: str) -> dict[str, Any]:
    """Run the command to its end, and give its summary."""
    words = [OID, "download", *ASKED, "--source", mirror, "--out", place, "--json", "--quiet"]
    done = subprocess.run(
        [*map(str, words), *more],
        env=environment(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0", **env),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_bucket_holds_what_a_folder_holds_and_then_nothing_is_fetched(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every object and the manifest are those of a local run into a folder."""
    source, cache = mirror(tmp_path_factory), str(tmp_path / "cache")
    download(source, tmp_path / "want", OID_CACHE=cache)
    with bucket(tmp_path / "s3", monkeypatch) as url:
        spread = ("--engine", "ray", "--ray-address", "local")
        came = download(source, url, *spread, OID_CACHE=cache)
        root = location_of(url)
        assert isinstance(root, ObjectPath)
        found = {each.key: root.objects.read(each.key) for each in root.objects.below("")}
        del found[".oid/lock"]
        assert differences(found, tree(tmp_path / "want")) == []
        again = download(source, url, *spread, OID_CACHE=cache)
        images = [each["images"] for each in (came, again)]
        assert images[0]["fetched"] == images[1]["present"] == images[0]["asked"]
