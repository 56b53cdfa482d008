"""What the rows of a CSV say while it still arrives, before they are put into a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from oidkit.tables.rowfilter import kept
from oidkit.tables.table import image_ids

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray

    from oidkit.schema import Keep, Schema
    from oidkit.tables.holding import Holding, Words

__all__ = ["ArrivingRows"]


@dataclass(frozen=True, slots=True, eq=False)
class ArrivingRows:
    """The good rows of one block of a CSV.

    Nothing vouches for them yet: the checksum of the CSV is known at its end.
    """

    schema: Schema
    rows: pl.DataFrame
    holding: Holding | None
    words: Words

    def images_of(self, mids: Collection[str], keep: Keep) -> NDArray[np.uint64]:
        """Give the images that have any of the classes in a row to *keep*, sorted, each once."""
        wanted = list(mids) if self.holding is None else self.words.known(mids)
        named = pl.any_horizontal(pl.col(each).is_in(wanted) for each in self.schema.classes)
        rows = self.rows.lazy().filter(named)
        return image_ids(kept(rows, keep, self.holding).select("ImageID").collect())
