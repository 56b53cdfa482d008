"""Small files that are kept of a source."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from oidkit.filecache import CachedFile, FileCache

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_that_the_first_oidkit_kept_counts(tmp_path: Path) -> None:
    """Its digest was of the content alone: on a server without a network it is all there is."""
    cache = FileCache(tmp_path)
    cache.keep("classes/list.csv", b"/m/1,One\n", '"a"')
    (path,) = (tmp_path / "files").iterdir()
    digest = hashlib.sha256(b"/m/1,One\n").hexdigest()
    head = json.dumps({"etag": '"b"', "sha256": digest}).encode()
    path.write_bytes(head + b"\n/m/1,One\n")
    assert cache.get("classes/list.csv") == CachedFile(b"/m/1,One\n", '"b"')
    assert not list(cache.damaged())
    path.write_bytes(head + b"\n/m/1,One!\n")
    assert cache.get("classes/list.csv") is None
    assert [key for key, _ in cache.damaged()] == ["classes/list.csv"]
