"""One selection against one source: what is chosen, the plan, and what is brought."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.api.images import Ways, carry_images
from oidkit.api.masks import carry_masks, indexes_of
from oidkit.api.outside import Origins
from oidkit.api.turning import Turning
from oidkit.api.writing import Writing
from oidkit.choice import LISTED, negative
from oidkit.events import PhaseEnded, PhaseStarted
from oidkit.planning import (
    ImagePlan,
    MaskPlan,
    Plan,
    image_bytes,
    masks_by_zip,
    plan_images,
    plan_masks,
    spans,
)
from oidkit.taxonomy import folder_name
from oidkit.zipsearch import pays, search_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.api.aside import Aside
    from oidkit.api.choosing import Choosing
    from oidkit.api.session import Session
    from oidkit.api.spreading import Workers
    from oidkit.api.summary import Summary
    from oidkit.catalog import Label, Split
    from oidkit.choice import Choice
    from oidkit.dataset import Dataset
    from oidkit.selection import Selection
    from oidkit.taxonomy import OidClass

__all__ = ["Work"]


@dataclass(frozen=True, slots=True)
class _Laid:
    """What is chosen beside what is there; `rows` are the chosen annotations by label."""

    images: list[ImagePlan] = field(default_factory=list)
    masks: list[MaskPlan] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Work:
    """One selection against one source: what is chosen, the plan, and the annotation files."""

    choosing: Choosing
    choices: dict[Split, Choice] = field(default_factory=dict)
    given: Mapping[Split, Choice] | None = None
    """The images to take, where somebody else has chosen them."""
    _origins: Origins | None = None
    turning: Turning = field(default_factory=Turning)

    @property
    def session(self) -> Session:
        return self.choosing.session

    @property
    def wanted(self) -> Selection:
        return self.choosing.wanted

    @property
    def classes(self) -> Sequence[OidClass]:
        return self.choosing.classes

    @property
    def origins(self) -> Origins | None:
        """What brings the images that the bucket lacks, where they are wanted."""
        if self.wanted.original and self.wanted.images:
            self._origins = self._origins or Origins(self.choosing.lists)
        return self._origins

    def carry_out(
        self,
        dataset: Dataset,
        summary: Summary,
        *,
        aside: Aside | None,
        workers: Workers | None = None,
    ) -> None:
        """Bring everything that is not there, and count it; *aside* is for what comes early.

        Where there are *workers*, they fetch the images, and nothing comes early.
        """
        early = self.choosing.prepare(aside if workers is None else None)
        self.bring(dataset, summary, Ways(None, None, aside, early, workers))

    def bring(self, dataset: Dataset, summary: Summary, ways: Ways | None = None) -> None:
        """Do what `carry_out` does, when every table is there, by those *ways*."""
        ways = ways or Ways()
        self.session.on_event(PhaseStarted("planning"))
        laid = self._lay(dataset, ways.aside)
        self.session.on_event(PhaseEnded("planning"))
        # A source that refuses ranges is found out here, before anything is written.
        indexes = indexes_of(self.session, masks_by_zip(laid.masks))
        for label, count in laid.rows.items():
            summary.annotations[label] = summary.annotations.get(label, 0) + count
        annotations = Writing(dataset, self.choosing, self.choices, self.turning)
        annotations.describe()
        authors = annotations.write()
        # Masks first: what is wrong with the zips is known before the long part begins.
        carry_masks(
            self.session,
            dataset,
            laid.masks,
            summary=summary,
            indexes=indexes,
            turning=self.turning,
        )
        if self.wanted.images:
            carry_images(
                self.session,
                dataset,
                laid.images,
                summary=summary,
                ways=replace(ways, origins=self.origins, turning=self.turning),
            )
            if self.origins and authors is not None:
                # Only now it is known which of them are no rescaled copies.
                dataset.manifest.merge()
                annotations.write_page(authors)

    def settle(self, dataset: Dataset) -> None:
        """Write the annotation files once more, where a run beside this one has written them too.

        Both begin with what stands there, so the later of two would else write without the earlier.
        """
        annotations = Writing(dataset, self.choosing, self.choices, self.turning)
        annotations.describe()
        annotations.write()

    # -- plan -----------------------------------------------------------------------------------

    def plan(self, dataset: Dataset | None, *, aside: Aside | None = None) -> Plan:
        """Lay what is chosen beside what is there and waits *aside*; estimate what that costs."""
        self.session.on_event(PhaseStarted("planning"))
        laid = self._lay(dataset, aside)
        elsewhere = self.origins.elsewhere if self.origins else 0
        to_receive = image_bytes(sum(part.to_fetch for part in laid.images) - elsewhere)
        to_receive += self.origins.expected_bytes() if self.origins else 0
        mask_bytes, directory_bytes = self._mask_bytes(laid.masks)
        self.session.on_event(PhaseEnded("planning"))
        return Plan(
            tuple(laid.images),
            tuple(laid.masks),
            laid.rows,
            bytes_to_receive=to_receive + mask_bytes + directory_bytes,
            disk_needed=to_receive + mask_bytes,
            from_originals=elsewhere,
        )

    def _lay(self, dataset: Dataset | None, aside: Aside | None) -> _Laid:
        """Lay what is chosen beside what is there, and what waits *aside*."""
        self.choices = dict(self.given or self.choosing.choose_all())
        self.turning = Turning.of(self.choosing, self.choices)
        laid = _Laid()
        for split, choice in self.choices.items():
            if self.wanted.images:
                laid.images.append(self._plan_images(split, choice, dataset, aside))
            for label in self.wanted.labels:
                count, names = self._rows_of(label, split, choice)
                laid.rows[label] = laid.rows.get(label, 0) + count
                if label == "masks":
                    there = dataset.masks_there(f"masks/{split}") if dataset else set[str]()
                    laid.masks.append(plan_masks(split, names, there=there.__contains__))
        if self.origins:
            self.origins.settle(laid.images)
        return laid

    def _rows_of(self, label: Label, split: Split, choice: Choice) -> tuple[int, list[str]]:
        """Count the rows of the chosen images, and of masks name them."""
        columns = ["ImageID", *(["MaskPath"] if label == "masks" else [])]
        if self.choosing.takes_all:
            # Part by part: the rows of all images there are would be gigabytes.
            parts = self.choosing.parts_of(label, split, images=choice.images, columns=columns)
        else:
            of = self.classes
            parts = iter([self.choosing.rows(label, split, of=of, choice=choice, columns=columns)])
        count, names = 0, []
        for part in parts:
            count += part.height
            if label == "masks":
                names += part["MaskPath"].to_list()
        return count, names

    def _plan_images(
        self, split: Split, choice: Choice, dataset: Dataset | None, aside: Aside | None
    ) -> ImagePlan:
        places = self._places(split, choice)
        # As published, and so not for a folder of upright images.
        waits = aside.folder(split) if aside and not self.wanted.upright else None

        @functools.cache
        def there(folder: str) -> NDArray[np.uint64]:
            if dataset is None:
                return np.empty(0, dtype=np.uint64)
            if aside and folder == waits:
                return aside.images(split)
            return dataset.images_there(
                folder,
                key=lambda name: catalog.image_key(split, name),
                fits=self.turning.fits,
            )

        planned = plan_images(split, places, there=there)
        if dataset is None or not planned.to_fetch:
            return planned
        # An image that stands in the folder of an earlier selection is linked from there.
        others = dataset.manifest.folders_of(choice.images, below=f"images/{split}")
        more = {
            folder: np.intersect1d(choice.images, there(folder), assume_unique=True)
            for folder in [*others, *([waits] if waits else [])]
            if folder not in places
        }
        more = {folder: found for folder, found in more.items() if len(found)}
        return plan_images(split, places | more, there=there) if more else planned

    def _places(self, split: Split, choice: Choice) -> dict[str, NDArray[np.uint64]]:
        front = f"images/{split}"
        if self.wanted.layout == "flat":
            return {front: choice.images}
        places = {}
        for each in self.classes:
            folder = f"{front}/{folder_name(each.name, each.mid)}"
            places[folder] = choice.by_class[each.mid]
            if self.wanted.negatives:
                places[f"{folder}_negatives"] = choice.by_class[negative(each.mid)]
        return places | ({front: choice.by_class[LISTED]} if LISTED in choice.by_class else {})

    def _mask_bytes(self, plans: Sequence[MaskPlan]) -> tuple[int, int]:
        """Sum up the masks to fetch, and what has to be read of directories for them.

        A directory counts whole until one of its split is known to be sorted.
        """
        zips = masks_by_zip(plans)
        cache = self.session.cache
        indexes = {
            key: index.only(each.names) if (index := cache.masks(key)) else None
            for key, each in zips.items()
        }
        if self.session.shared is not None:
            unknown = {key: each.names for key, each in zips.items() if indexes[key] is None}
            indexes |= self.session.shared.masks(unknown)
        is_sorted = {zips[key].split for key, index in indexes.items() if index and index.part}
        masks = read = 0
        for key, each in zips.items():
            index = indexes[key]
            known = cache.find_masks(index, each.names) if index else None
            index, members = known or (None, {})
            found = list(members.values())
            masks += sum(span.length for span in spans(found))
            lacking = len(each.names) - len(found)
            if lacking and (index is None or index.part is not None):
                part = index.part if index else None
                size = part.size if part else catalog.directory_bytes(each.split)
                searched = each.split in is_sorted and pays(lacking, size)
                masks += lacking * catalog.MASK_BYTES[each.split]
                read += search_bytes(lacking, size) if searched else size
        return masks, read
