"""Brings images into a dataset by their plans, each recorded as it comes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.api.recording import Recording
from oidkit.api.spreading import spread_images
from oidkit.disk import Record, digest, written_at_once
from oidkit.events import PhaseEnded, PhaseStarted
from oidkit.planning import image_bytes
from oidkit.transfer import ImageJob, LinkJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oidkit.api.aside import Aside
    from oidkit.api.early import Early
    from oidkit.api.outside import Origins
    from oidkit.api.session import Session
    from oidkit.api.spreading import Workers
    from oidkit.api.summary import Count, Summary
    from oidkit.api.turning import Turning
    from oidkit.dataset import Dataset
    from oidkit.planning import ImagePlan
    from oidkit.transfer import Turn

__all__ = ["Ways", "carry_images"]

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
    for plan in plans:
        ways.count(plan, summary.images)
        for folder in plan.folders:
            dataset.make(folder)
    elsewhere = origins.elsewhere if origins else 0
    todo = sum(plan.to_fetch for plan in plans) - elsewhere
    lacking = sum(plan.lacking for plan in plans) - elsewhere
    session.on_event(PhaseStarted("images", lacking, image_bytes(todo)))
    recording = Recording(dataset, summary, session.on_event)
    settlers = written_at_once(dataset.root)
    links = _link_jobs(dataset, plans, ways.aside)
    run = session.run(record=dataset.manifest.add, most=1, on_event=recording.hear)
    run.carry_out(links, settlers=settlers)
    if ways.workers is not None:
        degrees = ways.turning.degrees if ways.turning else {}
        spread_images(
            session, dataset, plans, workers=ways.workers, count=recording.count, degrees=degrees
        )
    else:
        jobs = _jobs(dataset, plans, ways, recording)
        run = session.run(record=recording.record, on_event=recording.hear)
        run.carry_out(jobs, settlers=settlers)
    session.on_event(PhaseEnded("images"))
    if origins is not None:
        origins.bring(dataset, plans, recording=recording, turn=ways.turn)


@dataclass(frozen=True, slots=True)
class Ways:
    """By which ways images come: by themselves from the bucket, as they are, and when planned.

    `origins`, settled on the plans, has those that the bucket lacks; `turning` turns some. In the
    place `aside` are those that this run, or a dead one, has fetched `early`, before it was known
    where they belong. The others are fetched by `workers`, where there are any.
    """

    origins: Origins | None = None
    turning: Turning | None = None
    aside: Aside | None = None
    early: Early | None = None
    workers: Workers | None = None

    @property
    def turn(self) -> Turn | None:
        """What turns the images that have to be, if any may."""
        return self.turning.jpeg if self.turning else None

    def count(self, plan: ImagePlan, images: Count) -> None:
        """Count what is there of a plan; what came early in this run has been fetched by it."""
        fetched, size = self.early.fetched(plan.split, plan.ids) if self.early else (0, 0)
        images.asked += plan.asked
        images.present += plan.present - fetched
        images.fetched += fetched
        images.bytes += size


def _jobs(
    dataset: Dataset, plans: Sequence[ImagePlan], ways: Ways, recording: Recording
) -> Iterator[ImageJob]:
    """Ask for the images that stand nowhere, but for those that this run could not have before."""
    if ways.origins is not None:
        yield from ways.origins.bucket_jobs(dataset, plans, turn=ways.turn)
        return
    lost = ways.early.lost if ways.early else {}
    for plan in plans:
        for task in plan.tasks():
            if task.present:
                continue
            key = catalog.image_key(plan.split, task.image_id)
            if (known := lost.get(key)) is None:
                yield ImageJob(dataset.root, key, task.absent, turn=ways.turn)
                continue
            for path in task.absent:
                recording.tell(replace(known, path=path))


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
