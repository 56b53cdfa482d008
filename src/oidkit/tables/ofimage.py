"""Rows of one image out of the annotation files of a dataset folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from oidkit.tables.written import as_written

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["rows_of_image"]


def rows_of_image(files: Iterable[Path], image_id: str) -> list[dict[str, str]]:
    """Give the rows of an image as published, by column; each once where several files have it.

    Files that are not there have none, and an empty value is left out.

    Raises:
        IntegrityError: a file is not what a download writes.

    """
    found: dict[tuple[str | None, ...], dict[str, str]] = {}
    for path in files:
        if not path.is_file() or path.is_symlink():
            continue
        with as_written(path):
            # The points write ImageId where all others have ImageID.
            lazy = pl.scan_csv(path, infer_schema=False, glob=False)
            names = lazy.collect_schema().names()
            column = next((name for name in names if name.casefold() == "imageid"), None)
            if column is None:
                raise pl.exceptions.ColumnNotFoundError("ImageID")
            rows = lazy.filter(pl.col(column) == image_id).collect(engine="streaming").rows()
        for row in rows:
            found[row] = {
                name: value for name, value in zip(names, row, strict=True) if value is not None
            }
    return list(found.values())
