"""The main job: from class names to their images, masks and annotations in a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.api.aside import left_aside, set_aside
from oidkit.api.choosing import Choosing
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.api.spreading import check_spread, errand_of
from oidkit.api.summary import Summary, take_down
from oidkit.api.turning import Turning
from oidkit.api.work import Work
from oidkit.api.writing import Writing
from oidkit.dataset import (
    Dataset,
    check_target,
    open_dataset,
    read_dataset,
)
from oidkit.disk import check_place
from oidkit.errors import UsageError
from oidkit.events import Listener, ignore
from oidkit.planning import Plan
from oidkit.recipe import Recipe
from oidkit.selection import Selection
from oidkit.shelf import location_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from oidkit.api.spreading import Cluster, Engine
    from oidkit.catalog import Label, Release

__all__ = ["annotate", "checked", "download", "plan", "recipe_of", "settings_for"]

_MOST_LOOKS = 5


def download(
    selection: Selection | Recipe | str | Sequence[str],
    out: Path | str = "open-images",
    *,
    settings: Settings | None = None,
    on_event: Listener = ignore,
    engine: Engine | None = None,
) -> Summary:
    """Download everything that the selected classes have into *out*, a folder or a bucket.

    *out* is a path, or an address such as ``s3://bucket/prefix`` (gs, az), which is written with
    the user's own credentials.

    *selection* may be the name of a class, or several, for all their boxes, masks and images in
    every split. Running it again fetches what is missing and nothing else; another selection adds
    to the folder. The selections of a recipe are downloaded one after the other: their numbers are
    summed up, and what two of them share counts for both.

    Images are fetched by this process, or by the workers of an *engine*, such as
    `oidkit.cluster.Ray`; what there is in the end is the same.

    Returns:
        What the run came to; its `exit_code` tells whether all that was asked for is there.

    Raises:
        UsageError: the selection, a setting or the engine is wrong; no image was fetched.
        SourceError: an annotation file could not be had.
        IntegrityError: an annotation file is not what it should be.
        BucketError: the store that *out* is in could not be reached.
        DiskError: something could not be written; the path is named.
        InterruptedRunError: the user stopped the run; what was finished stays.

    """
    begun = time.monotonic()
    root = location_of(out)
    recipe = recipe_of(selection)
    with Session(settings_for(settings, recipe), on_event) as session:
        release = session.settings.release_name
        wanted = [checked(each, release) for each in recipe.selections]
        upright = _upright(recipe)
        check_target(root, release=release, upright=upright)
        check_place(root)
        works = [Work(Choosing.of(session, each)) for each in wanted]
        summary = Summary(out=str(root))
        with (
            _connected(engine, wanted) as cluster,
            open_dataset(root, release=release, upright=upright, on_event=on_event) as dataset,
        ):
            workers = cluster.workers(errand_of(root, session)) if cluster else None
            with set_aside(dataset) as aside:
                for work in works:
                    if work is not works[0]:
                        # A later selection finds there what those before it have brought.
                        dataset.manifest.merge()
                    work.carry_out(dataset, summary, aside=aside, workers=workers)
            for _ in range(_MOST_LOOKS):
                if dataset.is_as_written():
                    break
                dataset.manifest.merge()
                for work in works:
                    work.settle(dataset)
        take_down(summary, session.traffic, begun=begun)
        return summary


@contextlib.contextmanager
def _connected(engine: Engine | None, wanted: Sequence[Selection]) -> Iterator[Cluster | None]:
    """Reach an engine, where there is one."""
    if engine is None:
        yield None
        return
    check_spread(wanted)
    with engine.connected() as cluster:
        yield cluster


def plan(
    selection: Selection | Recipe | str | Sequence[str],
    out: Path | str | None = "open-images",
    *,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> Plan:
    """Say what `download` would do: images, masks, bytes to receive and disk needed.

    None for *out* stands for a place where nothing is. Nothing is fetched but tables, and nothing
    is written into *out*. Of a recipe with several selections, what two of them share counts for
    both.

    Raises:
        OidError: as `download`.

    """
    root = location_of(out) if out is not None else None
    recipe = recipe_of(selection)
    with Session(settings_for(settings, recipe), on_event) as session:
        release = session.settings.release_name
        wanted = [checked(each, release) for each in recipe.selections]
        if root is not None:
            check_target(root, release=release, upright=_upright(recipe))
        works = [Work(Choosing.of(session, each)) for each in wanted]
        for work in works:
            work.choosing.prepare()
        present = read_dataset(root) if root is not None else None
        aside = left_aside(root) if root is not None else None
        return _summed([work.plan(present, aside=aside) for work in works])


def annotate(
    session: Session, dataset: Dataset, selection: Selection, *, described: bool = False
) -> None:
    """Write the annotation files of a selection; images and masks stay as they are.

    The folder is *described* where it is a new one: its description gets the selection.
    """
    choosing = Choosing.of(session, checked(selection, session.settings.release_name))
    choosing.prepare()
    choices = choosing.choose_all()
    writing = Writing(dataset, choosing, choices, Turning.of(choosing, choices))
    if described:
        writing.describe()
    writing.write()


def recipe_of(asked: Selection | Recipe | str | Sequence[str]) -> Recipe:
    """Give what is asked for as a recipe, which may have several selections."""
    if isinstance(asked, Recipe):
        return asked
    if isinstance(asked, Selection):
        return Recipe((asked,))
    return Recipe((Selection((asked,) if isinstance(asked, str) else tuple(asked)),))


def _upright(recipe: Recipe) -> bool:
    """Tell whether all selections of a recipe are upright.

    Raises:
        UsageError: some are, and some are not.

    """
    found = {each.upright for each in recipe.selections}
    if len(found) > 1:
        raise UsageError(
            "some selections of the recipe are upright and others are not",
            remedy="write upright = true into all of them, or into none",
        )
    return found == {True}


def settings_for(given: Settings | None, recipe: Recipe) -> Settings:
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
        from_originals=sum(each.from_originals for each in plans),
    )


def checked(wanted: Selection, release: Release) -> Selection:
    """Fill in what the release decides, and refuse what it does not have.

    Raises:
        UsageError: the release lacks a label type.

    """
    has = catalog.labels_of(release)
    usual: tuple[Label, ...] = ("boxes", "masks")
    labels = wanted.labels or tuple(label for label in usual if label in has)
    for label in labels:
        if label not in has:
            catalog.tables(release, label, "train")
    # Each once and in one order, however they were asked for.
    return dataclasses.replace(
        wanted,
        labels=tuple(label for label in catalog.LABELS if label in labels),
        splits=tuple(split for split in catalog.SPLITS if split in wanted.splits),
    )
