"""Annotations that somebody found bad, taken out of the rows of an export."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Unwanted"]

_CORNERS = ("XMin", "YMin", "XMax", "YMax")
_ROUNDED = 1e-6
"""Coordinates of a verdict have 6 decimals."""
_BOX = {"id": pl.UInt64(), "LabelName": pl.String()} | {
    f"bad {name}": pl.Float64() for name in _CORNERS
}
_MASK = {"MaskPath": pl.String()}
_LABEL = {"id": pl.UInt64(), "LabelName": pl.String(), "Source": pl.String()}


@dataclass(frozen=True, slots=True, eq=False)
class Unwanted:
    """The bad annotations of a split, by label type; `id` is the number of an ImageID."""

    boxes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_BOX))
    masks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_MASK))
    labels: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_LABEL))
    matched: set[object] = field(default_factory=set)
    """What of them was found among the rows so far."""

    @classmethod
    def of(cls, marks: Iterable[tuple[int, str]]) -> Self:
        """Read what the keys of `oidkit.verdicts` name; each comes with the id of its image.

        A key of another label type, or one that somebody has changed by hand, names nothing.
        """
        boxes, masks, labels = [], [], []
        for image, key in marks:
            label, _, rest = key.partition(" ")
            words = rest.split(" ")
            if label == "boxes" and len(words) == 1 + len(_CORNERS):
                try:
                    boxes.append((image, words[0], *map(float, words[1:])))
                except ValueError:
                    continue
            elif label == "masks":
                masks.append((rest,))
            elif label == "image-labels" and len(words) == len(("LabelName", "Source")):
                labels.append((image, *words))
        return cls(
            pl.DataFrame(boxes, schema=_BOX, orient="row"),
            pl.DataFrame(masks, schema=_MASK, orient="row"),
            pl.DataFrame(labels, schema=_LABEL, orient="row"),
        )

    @property
    def unmatched(self) -> int:
        """Count those that fit no row."""
        return self.boxes.height + self.masks.height + self.labels.height - len(self.matched)

    def without_masks(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out bad masks."""
        self.matched.update(rows.join(self.masks, on="MaskPath")["MaskPath"])
        return rows.join(self.masks, on="MaskPath", how="anti", maintain_order="left")

    def without_labels(self, rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
        """Leave out bad image labels; *places* says `at` of each `id`."""
        bad = self.labels.join(places, on="id")
        key = ["at", "LabelName", "Source"]
        self.matched.update(rows.join(bad, on=key).select(key).iter_rows())
        return rows.join(bad, on=key, how="anti", maintain_order="left")

    def without_boxes(self, rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
        """Leave out objects whose box is bad, and with it the mask that was drawn in it."""
        if not self.boxes.height:
            return rows
        bad = self.boxes.join(places, on="id").drop("id").with_row_index("verdict")
        apart = pl.max_horizontal((pl.col(name) - pl.col(f"bad {name}")).abs() for name in _CORNERS)
        numbered = rows.with_row_index("row")
        found = numbered.join(bad, on=["at", "LabelName"]).filter(apart <= _ROUNDED)
        self.matched.update(found["verdict"])
        return numbered.join(found, on="row", how="anti", maintain_order="left").drop("row")
