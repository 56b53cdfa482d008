"""One selection against one source: what is chosen, the plan, and what is brought."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.api.carry import carry_images, carry_masks, masks_by_zip, zips_of
from oidkit.api.outside import Origins
from oidkit.api.turning import Turning
from oidkit.api.writing import Writing
from oidkit.choice import LISTED, negative
from oidkit.events import PhaseEnded, PhaseStarted
from oidkit.planning import ImagePlan, MaskPlan, Plan, image_bytes, plan_images, plan_masks, spans
from oidkit.tables import image_names
from oidkit.taxonomy import folder_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oidkit.api.choosing import Choosing
    from oidkit.api.session import Session
    from oidkit.api.summary import Summary
    from oidkit.catalog import Split
    from oidkit.choice import Choice
    from oidkit.dataset import Dataset
    from oidkit.selection import Selection
    from oidkit.taxonomy import OidClass

__all__ = ["Work"]


@dataclass(slots=True)
class Work:
    """One selection against one source: what is chosen, the plan, and the annotation files."""

    choosing: Choosing
    choices: dict[Split, Choice] = field(default_factory=dict)
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

    def carry_out(self, dataset: Dataset, summary: Summary) -> None:
        """Bring everything that is not there, and count it."""
        self.choosing.prepare()
        planned = self.plan(dataset)
        # A source that refuses ranges is found out here, before anything is written.
        indexes = self.session.mask_indexes(masks_by_zip(zips_of(planned.masks)))
        for label, count in planned.rows.items():
            summary.annotations[label] = summary.annotations.get(label, 0) + count
        annotations = Writing(dataset, self.choosing, self.choices, self.turning)
        annotations.describe()
        authors = annotations.write()
        # Masks first: what is wrong with the zips is known before the long part begins.
        carry_masks(
            self.session,
            dataset,
            planned.masks,
            summary=summary,
            indexes=indexes,
            turning=self.turning,
        )
        if self.wanted.images:
            carry_images(
                self.session,
                dataset,
                planned.images,
                summary=summary,
                origins=self.origins,
                turning=self.turning,
            )
            if self.origins and authors is not None:
                # Only now it is known which of them are no rescaled copies.
                dataset.manifest.merge()
                annotations.write_page(authors)

    # -- plan -----------------------------------------------------------------------------------

    def plan(self, dataset: Dataset | None) -> Plan:
        """Lay what is chosen beside what is there."""
        self.session.on_event(PhaseStarted("planning"))
        self.choices = {split: self.choosing.choose(split) for split in self.wanted.splits}
        self.turning = Turning.of(self.choosing, self.choices)
        images = []
        masks = []
        rows: dict[str, int] = {}
        for split, choice in self.choices.items():
            if self.wanted.images:
                images.append(self._plan_images(split, choice, dataset))
            for label in self.wanted.labels:
                columns = ["ImageID", "MaskPath"] if label == "masks" else ["ImageID"]
                if self.choosing.takes_all:
                    found = self.choosing.every_row(
                        label, split, images=choice.images, columns=columns
                    )
                else:
                    found = self.choosing.rows(
                        label, split, of=self.classes, choice=choice, columns=columns
                    )
                rows[label] = rows.get(label, 0) + found.height
                if label == "masks":
                    folder = f"masks/{split}"
                    there = dataset.masks_there(folder) if dataset else set[str]()
                    names = found["MaskPath"].to_list()
                    masks.append(plan_masks(split, names, there=there.__contains__))
        elsewhere = self.origins.settle(images) if self.origins else 0
        to_receive = image_bytes(sum(part.to_fetch for part in images) - elsewhere)
        to_receive += self.origins.expected_bytes() if self.origins else 0
        mask_bytes, directories = self._mask_bytes(masks)
        self.session.on_event(PhaseEnded("planning"))
        return Plan(
            tuple(images),
            tuple(masks),
            rows,
            bytes_to_receive=to_receive + mask_bytes + directories,
            disk_needed=to_receive + mask_bytes,
            from_originals=elsewhere,
        )

    def _plan_images(self, split: Split, choice: Choice, dataset: Dataset | None) -> ImagePlan:
        places = self._places(split, choice)

        @functools.cache
        def there(folder: str) -> NDArray[np.uint64]:
            if dataset is None:
                return np.empty(0, dtype=np.uint64)
            return dataset.images_there(
                folder,
                key=lambda name: catalog.image_key(split, name),
                fits=self.turning.fits,
            )

        planned = plan_images(split, places, there=there)
        if dataset is None or not planned.to_fetch:
            return planned
        # An image that stands in the folder of an earlier selection is linked from there.
        names = [f"{name}.jpg" for name in image_names(choice.images)]
        for folder in dataset.manifest.folders_of(names, below=f"images/{split}"):
            if folder not in places:
                found = np.intersect1d(choice.images, there(folder), assume_unique=True)
                places |= {folder: found} if len(found) else {}
        return plan_images(split, places, there=there)

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
        """Sum up the masks to fetch, and the directories that have to be read for them."""
        masks = directories = 0
        for part in plans:
            for shard, names in part.absent.items():
                index = self.session.cache.masks(catalog.mask_zip(part.split, shard).key)
                if index is None:
                    masks += len(names) * catalog.MASK_BYTES[part.split]
                    directories += catalog.directory_bytes(part.split)
                else:
                    members = list(index.find(names).values())
                    masks += sum(span.length for span in spans(members))
        return masks, directories
