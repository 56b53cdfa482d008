"""What a selection comes to: the images and rows that it chooses out of a release's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.choice import LISTED, Choice, choose, union
from oidkit.errors import UsageError
from oidkit.schema import BOXES, IMAGES, MASKS, Schema
from oidkit.tables import only_images

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.api.session import Session
    from oidkit.catalog import File, Label, Split
    from oidkit.schema import Keep
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
    excluded: Sequence[OidClass]
    _mids: Mapping[str, Collection[str]]
    """A class asked for, or excluded, by MID -> the MIDs that it stands for."""
    _tables: dict[str, Table] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, wanted: Selection) -> Choosing:
        """Find the classes of a selection, and what is below them where that is asked for.

        Raises:
            UsageError: one of them is unknown or ambiguous, none was asked for, or one is asked
                for and excluded.

        """
        listed_alone = wanted.image_ids and not wanted.classes
        classes = [] if listed_alone else session.resolve(wanted.classes)
        excluded = session.resolve(wanted.exclude) if wanted.exclude else []
        mids: dict[str, Collection[str]] = {each.mid: {each.mid} for each in classes + excluded}
        if wanted.subclasses:
            hierarchy = session.hierarchy()
            mids = {mid: hierarchy.below(mid) for mid in mids}
        for each in classes:
            for other in excluded:
                if each.mid in mids[other.mid]:
                    because = "" if each == other else f", as a kind of {other},"
                    raise UsageError(
                        f"{each} is asked for and{because} excluded: no image would be left",
                        remedy="leave out one of the two",
                    )
        return cls(session, wanted, classes, excluded, mids)

    def prepare(self) -> None:
        """Get every table that the selection needs."""
        release = self.session.settings.release_name
        needed: list[tuple[File, Schema]] = [
            (catalog.tables(release, label, split)[0], SCHEMAS[label])
            for split in self.wanted.splits
            for label in self.wanted.labels
        ]
        if (
            self.wanted.metadata
            or self.wanted.upright
            or any("/" not in each for each in self.wanted.image_ids)
        ):
            needed += [(catalog.image_list(release, split), IMAGES) for split in self.wanted.splits]
        self._tables = self.session.tables(needed)

    def choose(self, split: Split) -> Choice:
        """Choose the images of a split: each has a row to keep of some chosen label."""
        wanted = self.wanted
        keep = {label: wanted.keep(SCHEMAS[label]) for label in wanted.labels}
        having = {each.mid: self._having([each], split, keep=keep) for each in self.classes}
        if wanted.image_ids:
            having[LISTED] = self._listed(split)
        # A filter on boxes is no reason to let in an image that shows what is not wanted.
        without = self._having(self.excluded, split, keep=dict.fromkeys(wanted.labels))
        return choose(
            having,
            match=wanted.match,
            limit=wanted.limit,
            total=wanted.total,
            seed=wanted.seed,
            without=without,
        )

    def rows(
        self,
        label: Label,
        split: Split,
        *,
        of: Sequence[OidClass],
        images: NDArray[np.uint64],
        columns: Sequence[str] | None = None,
    ) -> Rows:
        """Give the rows to keep of some classes on some images, by ImageID and then LabelName."""
        keep = self.wanted.keep(SCHEMAS[label])
        found = self._table(label, split).rows_of(self._all(of), columns=columns, keep=keep)
        return only_images(found, images)

    def every_row(
        self,
        label: Label,
        split: Split,
        *,
        images: NDArray[np.uint64],
        columns: Sequence[str] | None = None,
    ) -> Rows:
        """Give all rows of some images, of any class, by ImageID and then LabelName."""
        return self._table(label, split).rows_by_image(images, columns=columns)

    def published(
        self, label: Label, split: Split, images: NDArray[np.uint64], mids: Sequence[str]
    ) -> Rows:
        """Give all rows of some images and classes, as published."""
        return only_images(self._table(label, split).rows_of(mids), images)

    def image_rows(self, split: Split, images: NDArray[np.uint64]) -> Rows:
        """Give the rows that the image list has of some images."""
        release = self.session.settings.release_name
        return self._tables[catalog.image_list(release, split).key].rows_by_image(images)

    def _table(self, label: Label, split: Split) -> Table:
        release = self.session.settings.release_name
        return self._tables[catalog.tables(release, label, split)[0].key]

    @property
    def takes_all(self) -> bool:
        """Whether every annotation of the chosen images is wanted."""
        return self.wanted.annotations == "all" or not self.classes

    def _listed(self, split: Split) -> NDArray[np.uint64]:
        """Give the listed images of a split: those that say so, and those of its image list."""
        bare = {each for each in self.wanted.image_ids if "/" not in each}
        named = {
            image_id
            for place, _, image_id in (each.rpartition("/") for each in self.wanted.image_ids)
            if place == split
        }
        if bare:
            named |= bare & self._known(split, bare)
            first, *_ = self.wanted.splits
            if split == first:
                known = set[str]().union(*(self._known(each, bare) for each in self.wanted.splits))
                self._refuse_unknown(sorted(bare - known))
        return np.array(sorted(int(each, 16) for each in named), dtype=np.uint64)

    def _known(self, split: Split, image_ids: Collection[str]) -> set[str]:
        wanted = np.array(sorted(int(each, 16) for each in image_ids), dtype=np.uint64)
        release = self.session.settings.release_name
        table = self._tables[catalog.image_list(release, split).key]
        return set(table.rows_by_image(wanted, columns=["ImageID"])["ImageID"])

    def _refuse_unknown(self, unknown: Sequence[str]) -> None:
        if unknown:
            what = "image id is" if len(unknown) == 1 else "image ids are"
            raise UsageError(
                f"{len(unknown):,} {what} in no image list of {', '.join(self.wanted.splits)}, "
                f"the first: {unknown[0]}",
                remedy="leave it out, or name its split, as in train/<id>",
            )

    def _having(
        self, classes: Sequence[OidClass], split: Split, *, keep: Mapping[Label, Keep | None]
    ) -> NDArray[np.uint64]:
        mids = self._all(classes)
        found: dict[str, NDArray[np.uint64]] = {
            label: self._table(label, split).images_of(*mids, keep=rows)
            for label, rows in keep.items()
        }
        return union(found)

    def _all(self, classes: Sequence[OidClass]) -> list[str]:
        return sorted({mid for each in classes for mid in self._mids[each.mid]})
