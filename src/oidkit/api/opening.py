"""A dataset folder that has to be there already, for calls that read what a download made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.dataset import Dataset, Description, describe, read_dataset
from oidkit.errors import IntegrityError, UsageError
from oidkit.taxonomy import parse_class_file

if TYPE_CHECKING:
    from oidkit.objectpath import Location

__all__ = ["class_names", "no_dataset", "opened", "whole_dataset"]

_NAMES = (
    "attributes-description.csv",
    "class-descriptions.csv",
    "class-descriptions-boxable.csv",
)


def no_dataset(folder: Location) -> UsageError:
    """Word the error for a folder that no download has made."""
    return UsageError(f"{folder} is no dataset of oidkit", remedy="give the folder of a download")


def opened(folder: Location) -> tuple[Dataset, Description]:
    """Look at a dataset, without writing into it, and at what it says of itself.

    Raises:
        UsageError: there is none, or what it says cannot be read.

    """
    dataset, description = read_dataset(folder), describe(folder)
    if dataset is None or description is None:
        raise no_dataset(folder)
    return dataset, description


def whole_dataset(folder: Location) -> Dataset:
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


def class_names(folder: Location) -> dict[str, str]:
    """Read the display names of classes and attributes, as far as the folder has them."""
    names: dict[str, str] = {}
    for name in _NAMES:
        path = folder / "csv" / name
        if path.is_file():
            names |= parse_class_file(path.read_bytes(), name=str(path))
    return names
