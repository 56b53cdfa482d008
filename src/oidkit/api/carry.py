"""Carries out a plan into a dataset: images, then masks, each recorded as it comes."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.api.spreading import spread_images
from oidkit.disk import Record, digest, fingerprint, listing, written_at_once
from oidkit.errors import IntegrityError, MissingObjectError, OidError
from oidkit.events import PhaseEnded, PhaseStarted, Warned
from oidkit.planning import image_bytes, spans
from oidkit.store import is_strong
from oidkit.transfer import ImageJob, LinkJob, MaskJob, ZipSpan
from oidkit.transfer.records import event_of, lost_record, mask_record
from oidkit.zipmember import check_readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from oidkit.api.aside import Aside
    from oidkit.api.early import Early
    from oidkit.api.outside import Origins
    from oidkit.api.session import Session
    from oidkit.api.spreading import Workers
    from oidkit.api.summary import Summary
    from oidkit.api.turning import Turning
    from oidkit.dataset import Dataset
    from oidkit.planning import ImagePlan, MaskPlan
    from oidkit.tables import MaskIndex
    from oidkit.transfer import Turn
    from oidkit.zipindex import Member

__all__ = ["Ways", "carry_images", "carry_masks", "masks_by_zip", "zips_of"]

_LINKS_AT_ONCE = 10_000


def carry_images(
    session: Session,
    dataset: Dataset,
    plans: Sequence[ImagePlan],
    *,
    summary: Summary,
    ways: Ways | None = None,
) -> None:
    """Put images that stand somewhere into all their places, and fetch the others by their *ways*.

    Those that the bucket lacks then come from where they were published, if that is one.
    """
    ways = ways or Ways()
    origins = ways.origins
    waiting = 0
    for plan in plans:
        fetched, size = ways.fetched(plan)
        waiting += ways.waiting(plan)
        summary.images.asked += plan.asked
        summary.images.present += plan.present - fetched
        summary.images.fetched += fetched
        summary.images.bytes += size
    elsewhere = origins.settle(plans) if origins else 0
    todo = sum(plan.to_fetch for plan in plans) - elsewhere
    for plan in plans:
        for folder in plan.folders:
            dataset.make(folder)
    session.on_event(PhaseStarted("images", todo + waiting, image_bytes(todo)))
    record = _Counting(dataset, summary)
    turn = ways.turning.jpeg if ways.turning else None
    if origins is not None:
        origins.turn = turn
        jobs: Iterator[ImageJob] = origins.bucket_jobs(dataset, plans)
    else:
        jobs = _image_jobs(dataset, plans, turn, lost=_telling(session, record, ways.lost))
    links = _link_jobs(dataset, plans, ways.aside)
    settlers = written_at_once(dataset.root)
    session.run(record=dataset.manifest.add, most=1).carry_out(links, settlers=settlers)
    if ways.workers is not None:

        def count(record: Record) -> None:
            summary.count(record, name=_image_name(record))

        degrees = ways.turning.degrees if ways.turning else {}
        spread_images(session, dataset, plans, ways.workers, count=count, degrees=degrees)
    else:
        session.run(record=record).carry_out(jobs, settlers=settlers)
    session.on_event(PhaseEnded("images"))
    if origins is not None:
        origins.bring(dataset, plans, record=record)


@dataclass(frozen=True, slots=True)
class Ways:
    """By which ways images come: by themselves from the bucket, as they are, and when planned.

    `origins` has those that the bucket lacks, `turning` turns some. In the place `aside` are those
    that this run, or a dead one, has fetched `early`, before it was known where they belong. The
    others are fetched by `workers`, where there are any.
    """

    origins: Origins | None = None
    turning: Turning | None = None
    aside: Aside | None = None
    early: Early | None = None
    workers: Workers | None = None

    @property
    def lost(self) -> Mapping[str, Record]:
        """What this run could not have, by key."""
        return self.early.lost if self.early else {}

    def fetched(self, plan: ImagePlan) -> tuple[int, int]:
        """Count the images of a plan that this run has fetched, and their bytes."""
        return self.early.fetched(plan.split, plan.ids) if self.early else (0, 0)

    def waiting(self, plan: ImagePlan) -> int:
        """Count the images of a plan that wait for their place, of a dead run too."""
        folder = self.aside.folder(plan.split) if self.aside else None
        if folder not in plan.folders:
            return 0
        return int(np.count_nonzero(plan.folder == plan.folders.index(folder)))


class _Counting:
    """Writes records to the manifest and counts each image or mask once.

    The records of one image come together, one for each place where it stands.
    """

    def __init__(self, dataset: Dataset, summary: Summary, turning: Turning | None = None) -> None:
        self._dataset, self._summary, self.turning = dataset, summary, turning
        self._last = ""
        self._standing: dict[str, frozenset[str]] = {}

    def __call__(self, record: Record) -> None:
        self._dataset.manifest.add(record)
        if record.kind == "mask":
            self._summary.count(record, name=record.path.removeprefix("masks/"))
        elif (name := _image_name(record)) != self._last:
            self._last = name
            self._summary.count(record, name=name)

    def adopts(self, path: str, key: str, member: Member) -> bool:
        """Take a mask that stands there whole, though no record says so: its run was killed."""
        folder, _, name = path.rpartition("/")
        if folder not in self._standing:
            self._standing[folder] = frozenset(listing(self._dataset.root / folder, sweep=False))
        if name not in self._standing[folder]:
            return False
        try:
            png = (self._dataset.root / path).read_bytes()
        except OSError:
            return False
        if self.turning is not None and self.turning.by(path):
            if not self.turning.fits_mask(path, png, member):
                return False
            check = fingerprint(png)
        elif len(png) != member.usize or zlib.crc32(png) != member.crc32:
            return False
        else:
            check = f"crc32:{member.crc32:08x}"
        self._dataset.manifest.add(mask_record(path, key, png, check=check))
        self._summary.masks.present += 1
        return True


def _image_name(record: Record) -> str:
    """Name an image by its split and id; the address of one from elsewhere says neither."""
    if "://" in record.key:
        _, split, *_ = PurePosixPath(record.path).parts
        return f"{split}/{PurePosixPath(record.path).stem}"
    _, split, name = record.key.rsplit("/", 2)
    return f"{split}/{name.removesuffix('.jpg')}"


def _image_jobs(
    dataset: Dataset,
    plans: Sequence[ImagePlan],
    turn: Turn | None,
    *,
    lost: Callable[[str, Sequence[str]], bool],
) -> Iterator[ImageJob]:
    for plan in plans:
        for task in plan.tasks():
            if not task.present:
                key = catalog.image_key(plan.split, task.image_id)
                if not lost(key, task.absent):
                    yield ImageJob(dataset.root, key, task.absent, turn=turn)


def _telling(
    session: Session, record: Callable[[Record], None], lost: Mapping[str, Record]
) -> Callable[[str, Sequence[str]], bool]:
    """Give what tells of an image that could not be had before; False where it was not asked."""

    def tell(key: str, paths: Sequence[str]) -> bool:
        if (known := lost.get(key)) is None:
            return False
        for path in paths:
            _tell(session, record, replace(known, path=path))
        return True

    return tell


def _link_jobs(
    dataset: Dataset, plans: Sequence[ImagePlan], aside: Aside | None
) -> Iterator[LinkJob]:
    for plan in plans:
        tasks = (task for task in plan.tasks() if task.present)
        while batch := list(itertools.islice(tasks, _LINKS_AT_ONCE)):
            paths = [task.present[0] for task in batch]
            records = _records(dataset, paths, aside)
            for task in batch:
                path = task.present[0]
                known = records.get(path)
                if known is None or known.status != "ok":
                    key = catalog.image_key(plan.split, task.image_id)
                    known = Record(path, "image", key, "ok", *_facts(dataset, path))
                moves = aside is not None and aside.holds(path)
                yield LinkJob(dataset.root, dataset.sized(known), task.absent, moves=moves)


def _records(dataset: Dataset, paths: Sequence[str], aside: Aside | None) -> dict[str, Record]:
    """Look up some images that stand there, by path."""
    waiting = aside.records(paths) if aside else {}
    known = dataset.manifest.of_paths(paths)
    if len(known) + len(waiting) < len(paths):
        # Of those that were taken in by this very run the journal has what they are.
        dataset.manifest.merge()
        known = dataset.manifest.of_paths(paths)
    return known | waiting


def _facts(dataset: Dataset, path: str) -> tuple[int, str]:
    """Look at a file that no manifest knows, as another run has put it there meanwhile."""
    place = dataset.root / path
    return place.stat().st_size, digest(place)


def zips_of(plans: Sequence[MaskPlan]) -> dict[str, tuple[catalog.Split, Sequence[str]]]:
    """Give the masks that are not there by the key of their zip, with their split."""
    return {key: (plan.split, names) for plan in plans for key, names in plan.absent.items()}


def masks_by_zip(
    zips: Mapping[str, tuple[catalog.Split, Sequence[str]]],
) -> dict[str, Sequence[str]]:
    """Leave out the splits of `zips_of`."""
    return {key: names for key, (_, names) in zips.items()}


def carry_masks(
    session: Session,
    dataset: Dataset,
    plans: Sequence[MaskPlan],
    *,
    summary: Summary,
    indexes: Mapping[str, MaskIndex | OidError] | None = None,
    turning: Turning | None = None,
) -> None:
    """Take the masks that are not there out of their zips, by byte range.

    *indexes* are the directories of those zips, where the caller has read them. A zip that is
    replaced while it is read has its directory read once more.
    """
    for plan in plans:
        summary.masks.asked += plan.asked
        summary.masks.present += plan.asked - plan.to_fetch
    todo = zips_of(plans)
    if not todo:
        return
    if indexes is None:
        indexes = session.mask_indexes(masks_by_zip(todo))
    record = _Counting(dataset, summary, turning)
    for attempt in range(2):
        changed: set[str] = set()
        _carry_zips(
            session, dataset, (todo, indexes), record=record, changed=changed, last=attempt > 0
        )
        if not changed:
            return
        for key in changed:
            session.forget_masks(key)
        if attempt == 0:
            session.on_event(Warned(f"{', '.join(sorted(changed))} changed; it is read again"))
        todo = _left(dataset, {key: todo[key] for key in changed})
        indexes = session.mask_indexes(masks_by_zip(todo))
    for key, (split, names) in todo.items():
        for name in names:
            reason = f"{key} changed on the source while it was read"
            _tell(session, record, Record(_path(split, name), "mask", key, "failed", reason=reason))


def _left(
    dataset: Dataset, todo: Mapping[str, tuple[catalog.Split, Sequence[str]]]
) -> dict[str, tuple[catalog.Split, Sequence[str]]]:
    """Leave out the masks that are there by now; a damaged file of one does not count."""
    dataset.manifest.merge()
    there = {split: dataset.masks_there(f"masks/{split}") for split, _ in todo.values()}
    left = {
        key: (split, [name for name in names if name not in there[split]])
        for key, (split, names) in todo.items()
    }
    return {key: (split, names) for key, (split, names) in left.items() if names}


def _carry_zips(
    session: Session,
    dataset: Dataset,
    wanted: tuple[
        Mapping[str, tuple[catalog.Split, Sequence[str]]], Mapping[str, MaskIndex | OidError]
    ],
    *,
    record: _Counting,
    changed: set[str],
    last: bool,
) -> None:
    todo, indexes = wanted
    count = sum(len(names) for _, names in todo.values())
    session.on_event(PhaseStarted("masks", count))
    lost: list[Record] = []

    def jobs() -> Iterator[MaskJob]:
        for key, (split, names) in todo.items():
            dataset.make(f"masks/{split}")
            index = indexes[key]
            if isinstance(index, OidError):
                for name in names:
                    row = lost_record(_path(split, name), key, index, kind="mask")
                    _tell(session, record, row)
            else:
                known = session.cache.find_masks(index, names)
                if known is None:
                    # Another run has found that the zip was replaced, and dropped its index.
                    changed.add(key)
                    continue
                index, found = known
                members, gone = _members(index, (split, names), found, record=record)
                lost.extend(gone)
                turn = record.turning.mask if record.turning else None
                jobs = _mask_jobs(dataset, index, members, changed=changed, turn=turn, last=last)
                yield from jobs

    session.run(record=record).carry_out(jobs(), settlers=written_at_once(dataset.root))
    for row in lost:
        # What the directory did not have, a zip that was replaced meanwhile may have.
        if row.key not in changed:
            _tell(session, record, row)
    session.on_event(PhaseEnded("masks"))


def _members(
    index: MaskIndex,
    wanted: tuple[catalog.Split, Sequence[str]],
    found: Mapping[str, Member],
    *,
    record: _Counting,
) -> tuple[list[tuple[Member, str]], list[Record]]:
    """Give the masks *found* in the directory, and records of those that cannot be had from it."""
    split, names = wanted
    members = []
    lost = []
    for name in names:
        path = _path(split, name)
        member = found.get(name)
        if member is None:
            gone = MissingObjectError(f"{index.key} has no member {name}")
            lost.append(lost_record(path, index.key, gone, kind="mask"))
            continue
        try:
            check_readable(member, where=f"{name} in {index.key}")
        except IntegrityError as error:
            lost.append(lost_record(path, index.key, error, kind="mask"))
            continue
        if record.adopts(path, index.key, member):
            continue
        members.append((member, path))
    return members, lost


def _mask_jobs(
    dataset: Dataset,
    index: MaskIndex,
    members: list[tuple[Member, str]],
    *,
    changed: set[str],
    turn: Turn | None,
    last: bool,
) -> Iterator[MaskJob]:
    # Damage in a zip that may be another one by now is a reason to read its directory once more.
    doubted = not (last or is_strong(index.etag))
    for span in spans([member for member, _ in members]):
        if index.key in changed:
            return
        place = ZipSpan(index.key, index.etag, index.total, span.start, span.stop, doubted)
        chosen = [members[at] for at in span.members]
        yield MaskJob(dataset.root, place, chosen, changed=changed, turn=turn)


def _path(split: str, name: str) -> str:
    return f"masks/{split}/{name}"


def _tell(session: Session, record: Callable[[Record], None], row: Record) -> None:
    record(row)
    session.on_event(event_of(row))
