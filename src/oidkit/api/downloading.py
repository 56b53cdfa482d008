"""The main job: from class names to their images, masks and annotations in a folder."""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.api.carry import carry_images, carry_masks, masks_by_zip, zips_of
from oidkit.api.choosing import SCHEMAS, Choosing
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.api.summary import Summary
from oidkit.dataset import (
    Dataset,
    Description,
    check_target,
    describe,
    open_dataset,
    read_dataset,
    save_description,
)
from oidkit.disk import check_place
from oidkit.errors import UsageError
from oidkit.events import Listener, PhaseEnded, PhaseStarted, Warned, ignore
from oidkit.planning import ImagePlan, MaskPlan, Plan, image_bytes, plan_images, plan_masks, spans
from oidkit.recipe import Recipe
from oidkit.schema import ATTRIBUTION
from oidkit.selection import LISTED, Choice, Selection
from oidkit.tables import Rows, image_names, joined, printed, with_earlier
from oidkit.taxonomy import OidClass, folder_name, mid_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from oidkit.catalog import Release, Split

__all__ = ["annotate", "download", "plan"]


def download(
    selection: Selection | Recipe | str | Sequence[str],
    out: Path | str = "open-images",
    *,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> Summary:
    """Download everything that the selected classes have into the folder *out*.

    *selection* may be the name of a class, or several, for all their boxes, masks and images in
    every split. Running it again fetches what is missing and nothing else; another selection adds
    to the folder. The selections of a recipe are downloaded one after the other: their numbers are
    summed up, and what two of them share counts for both.

    Returns:
        What the run came to; its `exit_code` tells whether all that was asked for is there.

    Raises:
        UsageError: the selection or a setting is wrong; nothing was fetched.
        SourceError: an annotation file could not be had.
        IntegrityError: an annotation file is not what it should be.
        DiskError: something could not be written; the path is named.
        InterruptedRunError: the user stopped the run; what was finished stays.

    """
    begun = time.monotonic()
    root = Path(out)
    recipe = _recipe(selection)
    with Session(_settings(settings, recipe), on_event) as session:
        release = session.settings.release_name
        wanted = [_checked(each, release) for each in recipe.selections]
        check_target(root, release=release)
        check_place(root)
        works = [_Work(Choosing.of(session, each)) for each in wanted]
        summary = Summary(out=str(root))
        with open_dataset(root, release=release, on_event=on_event) as dataset:
            for work in works:
                work.carry_out(dataset, summary)
                # The next selection finds there what this one has brought.
                dataset.manifest.merge()
        traffic = session.traffic
        summary.received_bytes, summary.requests = traffic.received, traffic.requests
        summary.seconds = time.monotonic() - begun
        return summary


def plan(
    selection: Selection | Recipe | str | Sequence[str],
    out: Path | str = "open-images",
    *,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> Plan:
    """Say what `download` would do: images, masks, bytes to receive and disk needed.

    Nothing is fetched but tables, and nothing is written into *out*. Of a recipe with several
    selections, what two of them share counts for both.

    Raises:
        OidError: as `download`.

    """
    root = Path(out)
    recipe = _recipe(selection)
    with Session(_settings(settings, recipe), on_event) as session:
        release = session.settings.release_name
        wanted = [_checked(each, release) for each in recipe.selections]
        check_target(root, release=release)
        works = [_Work(Choosing.of(session, each)) for each in wanted]
        for work in works:
            work.choosing.prepare()
        present = read_dataset(root)
        return _summed([work.plan(present) for work in works])


def annotate(session: Session, dataset: Dataset, selection: Selection) -> None:
    """Write the annotation files of a selection again; images and masks stay as they are."""
    wanted = _checked(selection, session.settings.release_name)
    work = _Work(Choosing.of(session, wanted))
    work.choosing.prepare()
    work.choices = {split: work.choosing.choose(split) for split in wanted.splits}
    work.write(dataset)


def _recipe(asked: Selection | Recipe | str | Sequence[str]) -> Recipe:
    if isinstance(asked, Recipe):
        return asked
    if isinstance(asked, Selection):
        return Recipe((asked,))
    return Recipe((Selection((asked,) if isinstance(asked, str) else tuple(asked)),))


def _settings(given: Settings | None, recipe: Recipe) -> Settings:
    """Let a recipe decide on the release.

    Raises:
        UsageError: the settings name another one.

    """
    settings = given or Settings()
    if recipe.release is None:
        return settings
    if settings.release and settings.release.lower() != recipe.release.lower():
        raise UsageError(
            f"the recipe is of release {recipe.release}, not {settings.release}",
            remedy="leave out the release, or change it in the recipe",
        )
    return dataclasses.replace(settings, release=recipe.release)


def _summed(plans: Sequence[Plan]) -> Plan:
    rows: dict[str, int] = {}
    for each in plans:
        for label, count in each.rows.items():
            rows[label] = rows.get(label, 0) + count
    return Plan(
        tuple(part for each in plans for part in each.images),
        tuple(part for each in plans for part in each.masks),
        rows,
        bytes_to_receive=sum(each.bytes_to_receive for each in plans),
        disk_needed=sum(each.disk_needed for each in plans),
    )


def _checked(wanted: Selection, release: Release) -> Selection:
    """Fill in what the release decides, and refuse what it does not have.

    Raises:
        UsageError: the release lacks a label type, or it is not built yet.

    """
    has = catalog.labels_of(release)
    labels = wanted.labels or tuple(label for label in SCHEMAS if label in has)
    for label in labels:
        if label not in has:
            catalog.tables(release, label, "train")
        if label not in SCHEMAS:
            raise UsageError(
                f"label type '{label}' cannot be downloaded by this version",
                remedy=f"choose from {', '.join(SCHEMAS)}",
            )
    # Each once and in one order, however they were asked for.
    return dataclasses.replace(
        wanted,
        labels=tuple(label for label in catalog.LABELS if label in labels),
        splits=tuple(split for split in catalog.SPLITS if split in wanted.splits),
    )


@dataclass(slots=True)
class _Work:
    """One selection against one source: what is chosen, the plan, and the annotation files."""

    choosing: Choosing
    choices: dict[Split, Choice] = dataclasses.field(default_factory=dict)

    @property
    def session(self) -> Session:
        return self.choosing.session

    @property
    def wanted(self) -> Selection:
        return self.choosing.wanted

    @property
    def classes(self) -> Sequence[OidClass]:
        return self.choosing.classes

    def carry_out(self, dataset: Dataset, summary: Summary) -> None:
        """Bring everything that is not there, and count it."""
        self.choosing.prepare()
        planned = self.plan(dataset)
        # A source that refuses ranges is found out here, before anything is written.
        indexes = self.session.mask_indexes(masks_by_zip(zips_of(planned.masks)))
        for label, count in planned.rows.items():
            summary.annotations[label] = summary.annotations.get(label, 0) + count
        self.describe(dataset)
        self.write(dataset)
        # Masks first: what is wrong with the zips is known before the long part begins.
        carry_masks(self.session, dataset, planned.masks, summary=summary, indexes=indexes)
        if self.wanted.images:
            carry_images(self.session, dataset, planned.images, summary=summary)

    # -- plan -----------------------------------------------------------------------------------

    def plan(self, dataset: Dataset | None) -> Plan:
        """Lay what is chosen beside what is there."""
        self.session.on_event(PhaseStarted("planning"))
        self.choices = {split: self.choosing.choose(split) for split in self.wanted.splits}
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
                        label, split, of=self.classes, images=choice.images, columns=columns
                    )
                rows[label] = rows.get(label, 0) + found.height
                if label == "masks":
                    folder = f"masks/{split}"
                    there = dataset.masks_there(folder) if dataset else set[str]()
                    names = found["MaskPath"].to_list()
                    masks.append(plan_masks(split, names, there=there.__contains__))
        to_receive = image_bytes(sum(part.to_fetch for part in images))
        mask_bytes, directories = self._mask_bytes(masks)
        self.session.on_event(PhaseEnded("planning"))
        return Plan(
            tuple(images),
            tuple(masks),
            rows,
            bytes_to_receive=to_receive + mask_bytes + directories,
            disk_needed=to_receive + mask_bytes,
        )

    def _plan_images(self, split: Split, choice: Choice, dataset: Dataset | None) -> ImagePlan:
        places = self._places(split, choice)

        @functools.cache
        def there(folder: str) -> NDArray[np.uint64]:
            if dataset is None:
                return np.empty(0, dtype=np.uint64)
            return dataset.images_there(folder, key=lambda name: catalog.image_key(split, name))

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
        places = {
            f"{front}/{folder_name(each.name, each.mid)}": choice.by_class[each.mid]
            for each in self.classes
        }
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

    # -- annotations ----------------------------------------------------------------------------

    def describe(self, dataset: Dataset) -> None:
        """Write down the selection, and make the folders."""
        settings = self.session.settings
        known = describe(dataset.root)
        source = self.session.source.name
        description = known or Description(settings.release_name, source)
        plain = self.wanted.as_dict() | {"classes": sorted(each.mid for each in self.classes)}
        if self.wanted.image_ids:
            plain["image_ids"] = sorted(set(self.wanted.image_ids))
        if self.wanted.exclude:
            plain["exclude"] = sorted(each.mid for each in self.choosing.excluded)
        save_description(dataset.root, description.with_selection(plain, source=source))
        for split in self.wanted.splits:
            if self.wanted.images:
                dataset.make(f"images/{split}")
            if "masks" in self.wanted.labels:
                dataset.make(f"masks/{split}")

    def write(self, dataset: Dataset) -> None:
        """Write the lists of ids, the rows of each class, and the metadata of the images."""
        self.session.on_event(PhaseStarted("annotations"))
        file = catalog.class_file(self.session.settings.release_name)
        dataset.write_annotations(
            "csv/class-descriptions-boxable.csv", self.session.files([file])[file.key]
        )
        mixed = self._is_mixed(dataset)
        attribution = []
        for split in self.choices:
            for each in self.classes:
                self._write_class(dataset, split, each, mixed=mixed)
            for label in self.wanted.labels if self.choosing.takes_all else ():
                rows = self.choosing.every_row(label, split, images=self.choices[split].images)
                self._add_rows(dataset, f"csv/all_{split}_{label}.csv", rows)
            if self.wanted.metadata:
                rows = self._write_images(dataset, split)
                attribution.append(rows.select(ATTRIBUTION))
        if attribution:
            rows = joined(attribution)
            self._add_rows(dataset, "attribution.csv", rows)
        self.session.on_event(PhaseEnded("annotations"))

    def _is_mixed(self, dataset: Dataset) -> bool:
        """Whether some selection of the folder takes a part of the rows of an image."""
        description = describe(dataset.root)
        earlier = description.selections if description else ()
        return self.wanted.narrows or any(Selection.from_dict(each).narrows for each in earlier)

    def _write_class(self, dataset: Dataset, split: Split, each: OidClass, *, mixed: bool) -> None:
        choice = self.choices[split]
        stem = mid_stem(each.mid)
        path = f"downloader_IDs_for_{stem}_{split}.txt"
        lines = {f"{split}/{name}" for name in image_names(choice.by_class[each.mid])}
        lines |= set((dataset.read(path) or b"").decode("utf-8", errors="replace").split())
        dataset.write_annotations(path, "".join(f"{line}\n" for line in sorted(lines)).encode())
        for label in self.wanted.labels:
            rows = self.choosing.rows(label, split, of=[each], images=choice.images)
            published = functools.partial(self.choosing.published, label, split)
            path = f"csv/{stem}_{split}_{label}.csv"
            self._add_rows(dataset, path, rows, published=published if mixed else None)

    def _write_images(self, dataset: Dataset, split: Split) -> Rows:
        chosen = self.choices[split].images
        rows = self.choosing.image_rows(split, chosen)
        if lacking := len(chosen) - rows.height:
            text = f"{lacking:,} of {len(chosen):,} chosen {split} images are not in the image list"
            self.session.on_event(Warned(f"{text}: their licence and author are not known"))
        self._add_rows(dataset, f"csv/images_{split}.csv", rows)
        return rows

    def _add_rows(
        self,
        dataset: Dataset,
        path: str,
        rows: Rows,
        *,
        published: Callable[[NDArray[np.uint64], Sequence[str]], Rows] | None = None,
    ) -> None:
        """Write rows to a file, together with those that an earlier selection put there."""
        earlier = dataset.read(path)
        joint = rows if earlier is None else with_earlier(rows, earlier, published=published)
        if joint is None:
            aside = dataset.put_aside(path)
            self.session.on_event(Warned(f"{path} had other columns; it is kept as {aside}"))
            joint = rows
        dataset.write_annotations(path, printed(joint))
