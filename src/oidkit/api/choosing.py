"""What a selection comes to: the images and rows that it chooses out of a release's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from oidkit import catalog
from oidkit.api.early import Early, is_certain
from oidkit.api.outside import ImageLists
from oidkit.choice import LISTED, Choice, choose, negative, union
from oidkit.errors import MalformedError, UsageError
from oidkit.imageids import ImageList, distinct
from oidkit.schema import IMAGES, files_of
from oidkit.tables import image_ids, joined, only_images

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.api.aside import Aside
    from oidkit.api.session import Session
    from oidkit.catalog import File, Label, Split
    from oidkit.schema import Keep, Schema
    from oidkit.selection import Selection
    from oidkit.tables import Rows, Table
    from oidkit.taxonomy import OidClass

__all__ = ["Choosing"]


@dataclass(slots=True)
class Choosing:
    """One selection, its classes found, against the tables of one source."""

    session: Session
    wanted: Selection
    classes: Sequence[OidClass]
    excluded: Sequence[OidClass]
    listed: ImageList
    """The images that are wanted whatever they show."""
    _mids: Mapping[str, Collection[str]]
    """A class asked for, or excluded, by MID -> the MIDs that it stands for."""
    _tables: dict[str, Table] = field(default_factory=dict)
    _lists: ImageLists | None = None
    _placed: dict[Split, NDArray[np.uint64]] = field(default_factory=dict)
    """Split -> the images of it that are listed by their id alone."""

    @classmethod
    def of(cls, session: Session, wanted: Selection) -> Choosing:
        """Find the classes of a selection, and what is below them where that is asked for.

        Raises:
            UsageError: one of them is unknown or ambiguous, none was asked for, or one is asked
                for and excluded.

        """
        listed_alone = wanted.image_ids and not wanted.classes
        beyond = not catalog.BEYOND_BOXABLE.isdisjoint(wanted.labels)
        classes = [] if listed_alone else session.resolve(wanted.classes, beyond=beyond)
        excluded = session.resolve(wanted.exclude, beyond=beyond) if wanted.exclude else []
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
                        remedy="leave out one of them",
                    )
        listed = wanted.image_ids
        if not isinstance(listed, ImageList):
            listed = ImageList.of(listed)
        return cls(session, wanted, classes, excluded, listed, mids)

    def prepare(self, aside: Aside | None = None) -> Early | None:
        """Get every table that the selection needs.

        Where there is a place *aside*, images that are certain to be chosen are fetched into it
        while the tables arrive; what came of that is given.
        """
        release = self.session.settings.release_name
        needed = [
            pair
            for split in self.wanted.splits
            for label in dict.fromkeys((*self.wanted.labels, *self._telling))
            for pair in self._files(label, split)
        ]
        originals = self.wanted.original and self.wanted.images
        if (
            self.wanted.metadata
            or originals
            or self.wanted.upright
            or len(self.listed.of_split(""))
        ):
            needed += [(catalog.image_list(release, split), IMAGES) for split in self.wanted.splits]
        early = self._early(aside) if aside and is_certain(self.wanted) else None
        self._tables = self.session.tables(needed, early=early)
        for split in self.wanted.splits:
            for label in self.wanted.labels:
                self._check_alike(label, split)
        return early

    def _early(self, aside: Aside) -> Early:
        early = Early(aside, self._all(self.classes))
        for split in self.wanted.splits:
            for label in self._telling:
                for file, schema in self._files(label, split):
                    if (keep := self.wanted.shows(schema)) is not None:
                        early.expect(file, split, keep)
        return early

    def choose_all(self) -> dict[Split, Choice]:
        """Choose the images of every split."""
        return {split: self.choose(split) for split in self.wanted.splits}

    def as_dict(self) -> dict[str, Any]:
        """Give the selection as plain values, with the MIDs that its classes are."""
        wanted = self.wanted
        plain = wanted.as_dict() | {"classes": sorted(each.mid for each in self.classes)}
        if wanted.image_ids:
            plain["image_ids"] = sorted(set(wanted.image_ids))
        if wanted.exclude:
            plain["exclude"] = sorted(each.mid for each in self.excluded)
        return plain

    def choose(self, split: Split) -> Choice:
        """Choose the images of a split: each has a row that shows a class, of some chosen label."""
        wanted, broad = self.wanted, self.wanted.unfiltered()
        having = {
            each.mid: self._images(self._all([each]), split, wanted.shows) for each in self.classes
        }
        if wanted.labels == ("narratives",):
            having = {mid: self._narrated(ids, split) for mid, ids in having.items()}
        if wanted.negatives:
            for each in self.classes:
                # That a kind of it is not there says nothing of the class itself.
                denied = self._images([each.mid], split, wanted.denies)
                shown = self._images(self._all([each]), split, broad.shows)
                having[negative(each.mid)] = np.setdiff1d(denied, shown, assume_unique=True)
        if wanted.image_ids:
            having[LISTED] = self._listed(split)
        # A filter on boxes is no reason to let in an image that shows what is not wanted.
        without = self._images(self._all(self.excluded), split, broad.shows)
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
        choice: Choice,
        columns: Sequence[str] | None = None,
    ) -> Rows:
        """Give the rows to keep of some classes on the chosen images, by ImageID.

        Narratives are of no class: those of a class are those of the images chosen for it.
        """
        if label == "narratives":
            images = self.images_of(of, choice)
            return self.every_row(label, split, images=images, columns=columns)
        mids = self._all(of)
        return joined(
            [
                only_images(
                    table.rows_of(mids, columns=columns, keep=self.wanted.keep(schema)),
                    choice.images,
                )
                for table, schema in self._tables_of(label, split)
            ]
        )

    def images_of(self, classes: Sequence[OidClass], choice: Choice) -> NDArray[np.uint64]:
        """Give the images that were chosen for some classes."""
        return union({each.mid: choice.by_class[each.mid] for each in classes})

    def every_row(
        self,
        label: Label,
        split: Split,
        *,
        images: NDArray[np.uint64],
        columns: Sequence[str] | None = None,
    ) -> Rows:
        """Give all rows of some images, of any class, by ImageID."""
        return joined(
            [
                table.rows_by_image(images, columns=columns)
                for table, _ in self._tables_of(label, split)
            ]
        )

    def parts_of(
        self,
        label: Label,
        split: Split,
        *,
        images: NDArray[np.uint64],
        columns: Sequence[str],
    ) -> Iterator[Rows]:
        """Give the rows of `every_row` a part at a time, in no order of images."""
        for table, _ in self._tables_of(label, split):
            yield from table.parts_by_image(images, columns=columns)

    def published(
        self, label: Label, split: Split, images: NDArray[np.uint64], mids: Sequence[str]
    ) -> Rows:
        """Give all rows of some images and classes, as published."""
        tables = (table for table, _ in self._tables_of(label, split))
        return joined([only_images(table.rows_of(mids), images) for table in tables])

    def schema(self, label: Label, split: Split) -> Schema:
        """Say what the columns of a label type are; the files of one type have the same."""
        return self._files(label, split)[0][1]

    def image_rows(self, split: Split, images: NDArray[np.uint64]) -> Rows:
        """Give the rows that the image lists have of some images."""
        return self.lists.rows(split, images)

    @property
    def lists(self) -> ImageLists:
        """The lists of images, that of the bucket and the whole one."""
        self._lists = self._lists or ImageLists(self.session, dict(self._tables))
        return self._lists

    @property
    def _telling(self) -> tuple[Label, ...]:
        """The label types that tell which images show a class; none where no class is named."""
        if not self.classes and not self.excluded:
            return ()
        return tuple(each for each in self.wanted.labels if each != "narratives") or ("boxes",)

    def _files(self, label: Label, split: Split) -> list[tuple[File, Schema]]:
        release = self.session.settings.release_name
        files = files_of(release, label, split, captions=self.wanted.captions)
        return [(file, schema) for file, schema in files if self.wanted.reads(schema)]

    def _tables_of(self, label: Label, split: Split) -> Iterator[tuple[Table, Schema]]:
        for file, schema in self._files(label, split):
            yield self._tables[file.key], schema

    def _check_alike(self, label: Label, split: Split) -> None:
        """Refuse files whose rows are to stand in one file and do not fit together."""
        (first, _), *others = self._tables_of(label, split)
        for other, _ in others:
            if other.columns != first.columns:
                raise MalformedError(
                    f"{other.name} has other columns than {first.name}: "
                    f"{', '.join(other.columns)[:200]}",
                    remedy="check that --source is a whole mirror of this release",
                )

    @property
    def takes_all(self) -> bool:
        """Whether every annotation of the chosen images is wanted."""
        return self.wanted.annotations == "all" or not self.classes

    def _listed(self, split: Split) -> NDArray[np.uint64]:
        """Give the listed images of a split: those that say so, and those of its image list."""
        named, bare = (self.listed.of_split(place) for place in (split, ""))
        if not len(bare):
            return named
        self._placed = self._placed or self._places(bare)
        return distinct([named, self._placed[split]])

    def _places(self, images: NDArray[np.uint64]) -> dict[Split, NDArray[np.uint64]]:
        """Say in which splits some images are; the lists are read once for all splits.

        Raises:
            UsageError: one is in none of them.

        """
        splits = self.wanted.splits
        found = {split: self._known(split, images) for split in splits}
        left = np.setdiff1d(images, union(found), assume_unique=True)
        if len(left) and self.wanted.original:
            for split in splits:
                outside = image_ids(self.image_rows(split, left))
                found[split] = distinct([found[split], outside])
            left = np.setdiff1d(left, union(found), assume_unique=True)
        self._refuse_unknown(left)
        return found

    def _known(self, split: Split, images: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Give those of some images that the bucket's list of a split has."""
        release = self.session.settings.release_name
        table = self._tables[catalog.image_list(release, split).key]
        return image_ids(table.rows_by_image(images, columns=["ImageID"]))

    def _refuse_unknown(self, unknown: NDArray[np.uint64]) -> None:
        if len(unknown):
            what = "image id is" if len(unknown) == 1 else "image ids are"
            raise UsageError(
                f"{len(unknown):,} {what} in no image list of {', '.join(self.wanted.splits)}, "
                f"the first: {unknown[0]:016x}",
                remedy="leave it out, or name its split, as in train/<id>",
            )

    def _images(
        self, mids: Sequence[str], split: Split, rule: Callable[[Schema], Keep | None]
    ) -> NDArray[np.uint64]:
        """Give the images with a row of some classes that the rule for its kind of file keeps."""
        found = {
            f"{label} {table.name}": table.images_of(*mids, keep=keep)
            for label in self._telling
            for table, schema in self._tables_of(label, split)
            if mids and (keep := rule(schema)) is not None
        }
        return union(found)

    def _narrated(self, images: NDArray[np.uint64], split: Split) -> NDArray[np.uint64]:
        rows = self.every_row("narratives", split, images=images, columns=["ImageID"])
        return image_ids(rows)

    def _all(self, classes: Sequence[OidClass]) -> list[str]:
        return sorted({mid for each in classes for mid in self._mids[each.mid]})
