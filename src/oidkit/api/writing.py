"""The files that go with the images: lists of ids, annotations, authors, the selection itself."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oidkit import attribution, catalog
from oidkit.api.turning import Turning
from oidkit.choice import negative
from oidkit.dataset import Dataset, Description, describe
from oidkit.events import PhaseEnded, PhaseStarted, Warned
from oidkit.schema import ATTRIBUTION
from oidkit.selection import Selection
from oidkit.tables import (
    Rows,
    image_names,
    images_in_lines,
    joined,
    printed,
    with_earlier,
    with_images,
)
from oidkit.taxonomy import OidClass, mid_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.api.choosing import Choosing
    from oidkit.api.session import Session
    from oidkit.catalog import Label, Split
    from oidkit.choice import Choice
    from oidkit.schema import Schema

__all__ = ["Writing"]

_NARRATIVES_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes what one selection has, beside its images and masks, into a dataset folder."""

    dataset: Dataset
    choosing: Choosing
    choices: Mapping[Split, Choice]
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

    def describe(self) -> None:
        """Write down the selection, and make the folders."""
        settings = self.session.settings
        known = describe(self.dataset.root)
        source = self.session.source.name
        description = known or Description(settings.release_name, source)
        plain = self.choosing.as_dict()
        self.dataset.describe(description.with_selection(plain, source=source))
        for split in self.wanted.splits:
            if self.wanted.images:
                self.dataset.make(f"images/{split}")
            if "masks" in self.wanted.labels:
                self.dataset.make(f"masks/{split}")

    def write(self) -> Rows | None:
        """Write the lists of ids, the rows of each class, and the metadata of the images.

        The authors of all images of the folder are given, if they were written.
        """
        self.session.on_event(PhaseStarted("annotations"))
        file = catalog.class_file(self.session.settings.release_name)
        self.dataset.write_annotations(
            "csv/class-descriptions-boxable.csv", self.session.files([file])[file.key]
        )
        self._write_lists()
        mixed = self._is_mixed()
        authors = []
        for split in self.choices:
            for each in self.classes:
                self._write_class(split, each, mixed=mixed)
            for label in self.wanted.labels if self.choosing.takes_all else ():
                self._write_all(split, label, mixed=mixed)
            if self.wanted.metadata:
                rows = self._write_images(split)
                authors.append(rows.select(ATTRIBUTION))
        known = self._write_attribution(joined(authors)) if authors else None
        self.session.on_event(PhaseEnded("annotations"))
        return known

    def _write_lists(self) -> None:
        """Write what the classes beyond the boxable ones, and the attributes, are called."""
        release = self.session.settings.release_name
        lists = {}
        if not catalog.BEYOND_BOXABLE.isdisjoint(self.wanted.labels):
            lists["class-descriptions.csv"] = catalog.all_classes_file(release)
        if "relationships" in self.wanted.labels:
            lists["attributes-description.csv"] = catalog.attributes_file(release)
        found = self.session.files(list(lists.values()))
        for name, file in lists.items():
            if file.key in found:
                self.dataset.write_annotations(f"csv/{name}", found[file.key])

    def _is_mixed(self) -> bool:
        """Whether some selection of the folder takes a part of the rows of an image."""
        description = describe(self.dataset.root)
        earlier = description.selections if description else ()
        return self.wanted.narrows or any(Selection.from_dict(each).narrows for each in earlier)

    def _write_class(self, split: Split, each: OidClass, *, mixed: bool) -> None:
        choice = self.choices[split]
        stem = mid_stem(each.mid)
        self._write_ids(f"{stem}_{split}", split, choice.by_class[each.mid])
        if self.wanted.negatives:
            denied = choice.by_class[negative(each.mid)]
            self._write_ids(f"{stem}_{split}_negatives", split, denied)
        for label in self.wanted.labels:
            schema = self.choosing.schema(label, split)
            if schema.lines:
                self._add_lines(f"{stem}_{split}", split, self.choosing.images_of([each], choice))
                continue
            rows = self.choosing.rows(label, split, of=[each], choice=choice)
            published = functools.partial(self._published, label, split)
            self._add_rows(
                f"csv/{stem}_{split}_{label}.csv",
                self.turning.rows(rows),
                schema=schema,
                published=published if mixed else None,
            )

    def _write_all(self, split: Split, label: Label, *, mixed: bool) -> None:
        images, schema = self.choices[split].images, self.choosing.schema(label, split)
        if schema.lines:
            self._add_lines(f"all_{split}", split, images)
            return
        rows = self.choosing.every_row(label, split, images=images)
        # Of image labels alone a selection may take those of one source.
        apart = mixed and label == "image-labels"
        self._add_rows(
            f"csv/all_{split}_{label}.csv",
            self.turning.rows(rows),
            schema=schema,
            published=functools.partial(self._every_row, label, split) if apart else None,
        )

    def _add_lines(self, front: str, split: Split, images: NDArray[np.uint64]) -> None:
        """Write the narratives of some images, and of those that an earlier selection had.

        A line takes 33 kB, so that all of them may be more than memory holds.
        """
        schema = self.choosing.schema("narratives", split)
        path = f"csv/{front}_{schema.name}.jsonl"
        before, turning = self.dataset.root / path, self.turning
        if before.is_file() and not before.is_symlink():
            earlier = images_in_lines(before, schema)
            if earlier is None:
                self._put_aside(path, "lines that are no JSON")
            else:
                turning = turning.also(self.choosing, split, np.setdiff1d(earlier, images))
                images = np.union1d(images, earlier)

        def pieces() -> Iterator[bytes]:
            for first in range(0, len(images), _NARRATIVES_AT_ONCE):
                some = images[first : first + _NARRATIVES_AT_ONCE]
                rows = self.choosing.every_row("narratives", split, images=some)
                yield printed(turning.rows(rows), schema=schema)

        self.dataset.write_lines(path, pieces())

    def _put_aside(self, path: str, what: str) -> None:
        aside = self.dataset.put_aside(path)
        self.session.on_event(Warned(f"{path} had {what}; it is kept as {aside}"))

    def _every_row(
        self, label: Label, split: Split, images: NDArray[np.uint64], _: Sequence[str]
    ) -> Rows:
        return self.turning.rows(self.choosing.every_row(label, split, images=images))

    def _write_ids(self, name: str, split: Split, images: NDArray[np.uint64]) -> None:
        path = f"downloader_IDs_for_{name}.txt"
        lines = {f"{split}/{each}" for each in image_names(images)}
        lines |= set((self.dataset.read(path) or b"").decode("utf-8", errors="replace").split())
        text = "".join(f"{line}\n" for line in sorted(lines))
        self.dataset.write_annotations(path, text.encode())

    def _published(
        self, label: Label, split: Split, images: NDArray[np.uint64], mids: Sequence[str]
    ) -> Rows:
        return self.turning.rows(self.choosing.published(label, split, images, mids))

    def _write_images(self, split: Split) -> Rows:
        chosen = self.choices[split].images
        rows = self.choosing.image_rows(split, chosen)
        if lacking := len(chosen) - rows.height:
            text = f"{lacking:,} of {len(chosen):,} chosen {split} images are in no image list"
            self.session.on_event(Warned(f"{text}: their licence and author are not known"))
        self._add_rows(f"csv/images_{split}.csv", rows)
        return rows

    def _write_attribution(self, rows: Rows) -> Rows:
        """Write the authors of all images of the folder, as a table and as a page."""
        known = self._with_earlier("attribution.csv", rows)
        for choice in self.choices.values():
            known = with_images(known, choice.images)
        self.dataset.write_annotations("attribution.csv", printed(known))
        self.write_page(known)
        return known

    def write_page(self, known: Rows) -> None:
        """Write the authors of all images as a page, with what was changed as far as it came."""
        make = functools.partial(
            attribution.page,
            known.iter_rows,
            release=self.session.settings.release_name,
            upright=self.wanted.upright,
            unscaled=frozenset(image_names(self.dataset.manifest.from_elsewhere())),
        )
        self.dataset.write_lines("ATTRIBUTION.md", make())

    def _add_rows(
        self,
        path: str,
        rows: Rows,
        *,
        schema: Schema | None = None,
        published: Callable[[NDArray[np.uint64], Sequence[str]], Rows] | None = None,
    ) -> None:
        """Write rows to a file, together with those that an earlier selection put there."""
        joint = self._with_earlier(path, rows, schema=schema, published=published)
        self.dataset.write_annotations(path, printed(joint, schema=schema))

    def _with_earlier(
        self,
        path: str,
        rows: Rows,
        *,
        schema: Schema | None = None,
        published: Callable[[NDArray[np.uint64], Sequence[str]], Rows] | None = None,
    ) -> Rows:
        earlier = self.dataset.read(path)
        joint: Rows | None = rows
        if earlier is not None:
            joint = with_earlier(
                rows,
                earlier,
                schema=schema,
                published=published,
                # Labels by humans come first, and are not read then.
                others_first=self.wanted.label_source == "machine",
            )
        if joint is None:
            self._put_aside(path, "other columns")
            return rows
        return joint
