"""What a selection comes to: the images and rows that it chooses out of a release's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.schema import BOXES, IMAGES, MASKS, Schema
from oidkit.selection import Choice, choose, union
from oidkit.tables import only_images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from oidkit.api.session import Session
    from oidkit.catalog import File, Label, Split
    from oidkit.selection import Selection
    from oidkit.tables import Rows, Table
    from oidkit.taxonomy import OidClass

__all__ = ["SCHEMAS", "Choosing"]

SCHEMAS: Mapping[Label, Schema] = {"boxes": BOXES, "masks": MASKS}
"""The label types that can be downloaded."""


@dataclass(slots=True)
class Choosing:
    """One selection, its classes found, against the tables of one source."""

    session: Session
    wanted: Selection
    classes: Sequence[OidClass]
    _tables: dict[str, Table] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, wanted: Selection) -> Choosing:
        """Find the classes of a selection.

        Raises:
            UsageError: one of them is unknown or ambiguous, or none was asked for.

        """
        return cls(session, wanted, session.resolve(wanted.classes))

    def prepare(self) -> None:
        """Get every table that the selection needs."""
        release = self.session.settings.release_name
        needed: list[tuple[File, Schema]] = [
            (catalog.tables(release, label, split)[0], SCHEMAS[label])
            for split in self.wanted.splits
            for label in self.wanted.labels
        ]
        if self.wanted.metadata:
            needed += [(catalog.image_list(release, split), IMAGES) for split in self.wanted.splits]
        self._tables = self.session.tables(needed)

    def choose(self, split: Split) -> Choice:
        """Choose the images of a split: each has a row to keep of some chosen label."""
        having = {each.mid: self._having([each.mid], split) for each in self.classes}
        wanted = self.wanted
        return choose(having, match=wanted.match, limit=wanted.limit, seed=wanted.seed)

    def rows(
        self,
        label: Label,
        split: Split,
        *,
        of: Sequence[OidClass],
        images: NDArray[np.uint64],
        columns: Sequence[str] | None = None,
    ) -> Rows:
        """Give the rows to keep of some classes on some images, in ImageID order."""
        keep = self.wanted.keep(SCHEMAS[label])
        mids = [each.mid for each in of]
        found = self._table(label, split).rows_of(mids, columns=columns, keep=keep)
        return only_images(found, images)

    def published(
        self, label: Label, split: Split, of: OidClass, images: NDArray[np.uint64]
    ) -> Rows:
        """Give all rows of a class on some images, as published."""
        return only_images(self._table(label, split).rows_of([of.mid]), images)

    def image_rows(self, split: Split, images: NDArray[np.uint64]) -> Rows:
        """Give the rows that the image list has of some images."""
        release = self.session.settings.release_name
        return self._tables[catalog.image_list(release, split).key].rows_by_image(images)

    def _table(self, label: Label, split: Split) -> Table:
        release = self.session.settings.release_name
        return self._tables[catalog.tables(release, label, split)[0].key]

    def _having(self, mids: Sequence[str], split: Split) -> NDArray[np.uint64]:
        return union(
            {
                label: self._table(label, split).images_of(
                    *mids, keep=self.wanted.keep(SCHEMAS[label])
                )
                for label in self.wanted.labels
            }
        )
