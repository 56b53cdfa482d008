"""Who made each picture and under which licence, out of `attribution.csv`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from oidkit.objectpath import readable
from oidkit.schema import ATTRIBUTION
from oidkit.tables.instances import rows_by_image
from oidkit.tables.written import as_written

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oidkit.objectpath import Location

__all__ = ["Credits"]


@dataclass(frozen=True, slots=True, eq=False)
class Credits:
    """What the image list says of pictures: columns, in the order of the pictures."""

    rows: pl.DataFrame

    @classmethod
    def read(cls, path: Location, ids: NDArray[np.uint64]) -> Self:
        """Read what the file has of the pictures with these ids; nothing where it is not there.

        Raises:
            IntegrityError: the file is not what a download writes.

        """
        places = pl.DataFrame({"id": ids, "at": np.arange(len(ids), dtype=np.uint32)})
        rows = pl.DataFrame(schema=dict.fromkeys(ATTRIBUTION, pl.String))
        if path.is_file() and not path.is_symlink():
            with as_written(path):
                rows = pl.read_csv(
                    readable(path), columns=list(ATTRIBUTION), infer_schema=False, glob=False
                ).select(ATTRIBUTION)
        ours = (
            rows.unique("ImageID", keep="first", maintain_order=True)
            .with_columns(
                pl.col("ImageID").str.to_integer(base=16, dtype=pl.UInt64, strict=False).alias("id")
            )
            .join(places, on="id")
            .sort("at")
            .select("at", *ATTRIBUTION[1:])
        )
        return cls(ours)

    def of(self, first: int, stop: int) -> list[dict[str, str]]:
        """Give what is known of the pictures from *first* up to but not including *stop*."""
        return [
            {
                name: str(value)
                for row in rows[:1]
                for name, value in zip(ATTRIBUTION[1:], row[1:], strict=True)
                if value
            }
            for rows in rows_by_image(self.rows, first, stop)
        ]
