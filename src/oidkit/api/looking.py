"""A dataset folder as something to look through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.api.opening import class_names, whole_dataset
from oidkit.dataset import describe
from oidkit.shelf import folder_of

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.tables.exhibit import Exhibit

__all__ = ["look"]


def look(root: Path | str) -> tuple[Exhibit, dict[str, str], str]:
    """Read every image and annotation of a dataset folder, the names of its classes, its release.

    Raises:
        UsageError: there is no dataset in the folder.
        IntegrityError: a file in it cannot be read.

    """
    folder = folder_of(root, what="the explorer")
    description = describe(folder)
    dataset = whole_dataset(folder)
    from oidkit.tables.exhibit import Exhibit

    exhibit = Exhibit.read(folder, dataset.manifest, dataset.image_sizes)
    return exhibit, class_names(folder), description.release if description else ""
