"""Checks a dataset folder against its manifest, and fetches again what is damaged or gone."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oidkit.api.downloading import annotate
from oidkit.api.images import Ways, carry_images
from oidkit.api.inspecting import inspector
from oidkit.api.masks import carry_masks
from oidkit.api.opening import whole_dataset
from oidkit.api.outside import ImageLists, Origins
from oidkit.api.session import Session
from oidkit.api.settings import Settings, settings_as_of
from oidkit.api.soundness import Spoilt, build_again, damaged_of
from oidkit.api.summary import Summary
from oidkit.api.turning import Turning
from oidkit.catalog import SPLITS
from oidkit.dataset import Dataset, Description, describe, open_dataset
from oidkit.errors import (
    IntegrityError,
    MissingObjectError,
    SourceError,
    UsageError,
)
from oidkit.events import Fetched, Listener, PhaseEnded, PhaseStarted, ignore
from oidkit.planning import ImagePlan, plan_masks
from oidkit.selection import Selection
from oidkit.shelf import location_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from oidkit.disk import Record
    from oidkit.objectpath import Location

__all__ = ["Report", "verify"]

_BATCH = 512


@dataclass(slots=True)
class Report:
    """What was found in a dataset folder; paths are relative to it.

    Of the `checked` files, `damaged` ones have other content than the manifest says, `absent` ones
    are not there. `foreign` files stand among ours but are in no manifest. `missing` are those
    that the source did not have. `repaired` counts the damaged and absent files that were fetched
    again; they are no longer listed. `cache` has the keys of the tables, mask indexes and class
    files of the dataset's source that are damaged in the cache; `rebuilt` counts those made again.
    """

    checked: int = 0
    damaged: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    repaired: int = 0
    cache: list[str] = field(default_factory=list)
    rebuilt: int = 0

    @property
    def exit_code(self) -> int:
        """6 for damaged files, 4 for absent ones, 3 where the source lacks some, else 0."""
        if self.damaged or self.cache:
            return IntegrityError.exit_code
        if self.absent:
            return SourceError.exit_code
        return MissingObjectError.exit_code if self.missing else 0

    def as_dict(self) -> dict[str, object]:
        """Give the report as plain values."""
        return asdict(self)


def verify(
    root: Path | str,
    *,
    repair: bool = False,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> Report:
    """Check every file of the manifest by its size and checksum, and the cache of its source.

    With *repair*, damaged and absent files are fetched again, from the source that the dataset
    came from unless the settings name another, and what is damaged in the cache is built again.
    Without it nothing is written, so a dataset that may only be read can be checked.

    Raises:
        UsageError: there is no dataset in the folder.
        OidError: as `oidkit.download`, when something is repaired.

    """
    folder = location_of(root)
    description = describe(folder)
    release = description.release if description else None

    present = whole_dataset(folder)
    wanted = settings or Settings()
    if description is not None:
        wanted = settings_as_of(wanted, description)
    with Session(wanted, on_event) as session:
        spoilt = _spoilt(session) if description else []
        if not repair:
            report = _check(present, on_event)[0]
            report.cache = [each.key for each in spoilt]
            return report
        if spoilt:
            build_again(session, spoilt)
    report = _mended(folder, release, wanted, on_event)
    report.rebuilt = len(spoilt)
    return report


def _spoilt(session: Session) -> list[Spoilt]:
    """Look at the cache of the source; a folder that is not there now tells not which that is."""
    try:
        root = session.kept_in
    except UsageError:
        return []
    return damaged_of(root)


def _mended(folder: Location, release: str | None, wanted: Settings, on_event: Listener) -> Report:
    with open_dataset(folder, release=release, on_event=on_event) as dataset:
        report, wrong = _check(dataset, on_event)
        _learn_sizes(dataset, besides=wrong)
        if wrong:
            with Session(wanted, on_event) as session:
                _repair(session, dataset, wrong, description=describe(folder))
            before = len(wrong)
            dataset.manifest.merge()
            report, wrong = _check(dataset, on_event)
            report.repaired = before - len(wrong)
        return report


def _learn_sizes(dataset: Dataset, *, besides: Sequence[Record]) -> None:
    """Write down the pixel sizes that a manifest of an earlier oidkit has not."""
    wrong = {record.path for record in besides}
    for record in dataset.manifest.unsized():
        if record.path not in wrong and (told := dataset.sized(record)).width:
            dataset.manifest.add(told)


def _check(dataset: Dataset, on_event: Listener) -> tuple[Report, list[Record]]:
    report = Report()
    wrong: list[Record] = []
    look = inspector(dataset.root)
    on_event(PhaseStarted("checking"))
    records = dataset.manifest.records()
    while batch := list(itertools.islice(records, _BATCH)):
        for record, state in zip(batch, look.states(batch), strict=True):
            if record.status == "missing":
                report.missing.append(record.path)
                continue
            report.checked += 1
            if state == "ok":
                on_event(Fetched(record.path, record.bytes))
                continue
            wrong.append(record)
            (report.damaged if state == "damaged" else report.absent).append(record.path)
    report.foreign = look.foreign()
    on_event(PhaseEnded("checking"))
    return report, wrong


def _repair(
    session: Session,
    dataset: Dataset,
    wrong: Sequence[Record],
    *,
    description: Description | None,
) -> None:
    summary = Summary(out=str(dataset.root))
    images = [record for record in wrong if record.kind == "image"]
    upright = description is not None and description.is_upright
    turning = Turning.again(session, wrong) if upright else Turning()
    if images:
        lost = _image_plans(dataset, images)
        origins = _origins(session, images, description=description)
        if origins is not None:
            origins.settle(lost)
        ways = Ways(origins, turning)
        carry_images(session, dataset, lost, summary=summary, ways=ways)
    masks = [Path(record.path) for record in wrong if record.kind == "mask"]
    absent = [
        plan_masks(
            split,
            [path.name for path in masks if path.parent.name == split],
            there=lambda _: False,
        )
        for split in SPLITS
    ]
    carry_masks(
        session,
        dataset,
        [plan for plan in absent if plan.asked],
        summary=summary,
        turning=turning,
    )
    spoilt = [record for record in wrong if record.kind == "annotations"]
    if spoilt and description is not None:
        for record in spoilt:
            (dataset.root / record.path).unlink(missing_ok=True)
        for plain in description.selections:
            annotate(session, dataset, Selection.from_dict(plain))


def _image_plans(dataset: Dataset, wrong: Sequence[Record]) -> list[ImagePlan]:
    """Plan the images that lack a file; a whole copy in another folder saves the request."""
    lost = {record.path for record in wrong}
    keys = {record.key for record in wrong}
    by_split: dict[str, list[Record]] = {}
    for record in dataset.manifest.records():
        if record.kind == "image" and record.key in keys and record.status != "missing":
            place = record.path if _is_elsewhere(record) else record.key
            by_split.setdefault(place.split("/")[1], []).append(record)
    plans = []
    for split, records in sorted(by_split.items()):
        folders = tuple(sorted({_folder(record) for record in records}))
        rows = sorted(
            (
                int(Path(record.path).stem, 16),
                folders.index(_folder(record)),
                record.path not in lost,
            )
            for record in records
        )
        ids, at, there = zip(*rows, strict=True)
        plans.append(
            ImagePlan(
                split,
                folders,
                np.array(ids, dtype=np.uint64),
                np.array(at, dtype=np.int32),
                np.array(there, dtype=np.bool_),
            )
        )
    return plans


def _origins(
    session: Session, images: Sequence[Record], *, description: Description | None
) -> Origins | None:
    """Say which images come from where they were published, as they did before."""
    elsewhere = [record.path for record in images if _is_elsewhere(record)]
    chosen = description.selections if description else ()
    if not elsewhere and not any(plain.get("original") for plain in chosen):
        return None
    known: dict[str, NDArray[np.uint64]] = {}
    for split in SPLITS:
        ids = {int(Path(path).stem, 16) for path in elsewhere if path.split("/")[1] == split}
        known[split] = np.array(sorted(ids), dtype=np.uint64)
    return Origins(ImageLists(session), known)


def _is_elsewhere(record: Record) -> bool:
    """Whether an image came, or should have come, from outside the bucket."""
    return "://" in record.key


def _folder(record: Record) -> str:
    return record.path.rpartition("/")[0]
