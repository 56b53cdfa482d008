"""A cache that is built, an index that was pushed from it, and a bucket for tests of both."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from mirrors import made_mirror
from oidkit import catalog
from oidkit.api import Settings, index_build, index_push
from oidkit.api.session import Session
from servers import s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "our-team"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@cache
def _built(base: Path, mirror: Path) -> Settings:
    settings = Settings(source=str(mirror), cache=base / "cache-of-the-first", index="")
    index_build(settings=settings)
    with Session(settings) as session:
        session.class_list()
        session.files([catalog.hierarchy_file()])
    return settings


def built(factory: pytest.TempPathFactory) -> Settings:
    """Give the settings of a cache that has all of the shared mirror; nobody may change it."""
    return _built(factory.getbasetemp(), made_mirror(factory))


@cache
def _pushed(base: Path, settings: Settings) -> Path:
    index_push(str(base / "shared-index"), settings=settings)
    return base / "shared-index"


def pushed(factory: pytest.TempPathFactory) -> Path:
    """Give the folder of an index of that cache; nobody may change it."""
    return _pushed(factory.getbasetemp(), built(factory))


def copied(factory: pytest.TempPathFactory, to: Path) -> Path:
    """Copy that index, to be changed."""
    shutil.copytree(pushed(factory), to)
    return to


def another(settings: Settings, folder: Path, *, index: str = "") -> Settings:
    """Give the settings of somebody else, whose cache is empty."""
    return replace(settings, cache=folder, index=index)


@contextlib.contextmanager
def bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve an empty bucket by an S3-compatible server, and have the keys for it; give its URL."""
    pytest.importorskip("obstore", reason="buckets need the extra oidkit[cloud]")
    (folder / "empty").mkdir(parents=True)
    with s3(folder / "empty", folder / "server", bucket=BUCKET, prefix="none") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        yield f"s3://{BUCKET}/open-images/v7"


def without_keys(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Have no credentials anywhere."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "none"))


def bytes_below(root: Path, *parts: str) -> dict[str, bytes]:
    """Read every file below some folders of the one source that a cache has."""
    (source,) = root.iterdir()
    return {
        path.relative_to(source).as_posix(): path.read_bytes()
        for part in parts
        for path in sorted((source / part).rglob("*"))
        if path.is_file()
    }
