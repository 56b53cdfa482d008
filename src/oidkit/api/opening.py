"""A dataset folder that has to be there already, for calls that read what a download made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.dataset import Dataset, read_dataset
from oidkit.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["no_dataset", "whole_dataset"]


def no_dataset(folder: Path) -> UsageError:
    """Word the error for a folder that no download has made."""
    return UsageError(f"{folder} is no dataset of oidkit", remedy="give the folder of a download")


def whole_dataset(folder: Path) -> Dataset:
    """Look at a dataset, without writing into it, whose manifest can be read.

    Raises:
        UsageError: there is none.
        IntegrityError: its manifest is not there or damaged.

    """
    dataset = read_dataset(folder)
    if dataset is None:
        raise no_dataset(folder)
    if dataset.manifest.damaged:
        raise IntegrityError(
            f"{folder}/.oid/manifest.csv is not there or cannot be read",
            remedy="run the same download again: what is whole is kept",
        )
    return dataset
