"""The dataset and cache of an undisturbed run, put into the folder of a case."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from faults.runs import Folder

__all__ = ["every_third", "put_cache", "put_dataset"]


def put_dataset(folder: Folder) -> Path:
    """Put the undisturbed dataset into the folder of a case, as its run would have left it."""
    for name, data in folder.undisturbed.tree.items():
        path = folder.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.replace(b"http://source.invalid", folder.url.encode()))
    return folder.out


def put_cache(folder: Folder, made: Path) -> Path:
    """Copy a cache that some run has made to the place of the case's own."""
    shutil.copytree(made, folder.cache)
    return folder.cache


def every_third(values: Iterable[object]) -> list[object]:
    """Give values of a parameter, of which the quick part of the suite tries every third."""
    return [
        pytest.param(value, marks=[pytest.mark.whole] if nth % 3 else [])
        for nth, value in enumerate(values)
    ]
