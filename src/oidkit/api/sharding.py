"""Straight to shards: images into the files of a training format, without a folder in between.

The chosen images of a split are cut, in the order of their ids, into shards. Each is downloaded
into memory as a small dataset, exported from there into one file, and put in its place. So a shard
holds the same whatever else comes or fails, and a run that is stopped goes on with the next one.
"""

from __future__ import annotations

import dataclasses
import io
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from oidkit.api.choosing import Choosing
from oidkit.api.downloading import checked, recipe_of, settings_for
from oidkit.api.exporting import ORDER
from oidkit.api.numbering import stems_of
from oidkit.api.opening import opened
from oidkit.api.pictures import Asked, read_pictures
from oidkit.api.session import Session
from oidkit.api.shardplace import Cut, Done, ShardPlace
from oidkit.api.summary import Count, Summary, take_down
from oidkit.api.work import Work
from oidkit.choice import Choice
from oidkit.dataset import Dataset
from oidkit.disk import check_place
from oidkit.errors import UsageError
from oidkit.events import Fetched, Listener, PhaseEnded, PhaseStarted, ignore
from oidkit.formats.categories import Categories, printed_order
from oidkit.formats.frames import Resizing
from oidkit.formats.making import Making
from oidkit.formats.masks import notes_of
from oidkit.formats.model import ShardNote
from oidkit.formats.registry import SHARDED, format_named
from oidkit.objectpath import ObjectPath
from oidkit.planning import image_bytes
from oidkit.shelf import location_of
from oidkit.store.memory import MemoryObjects
from oidkit.tables import Manifest

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from oidkit.api.settings import Settings
    from oidkit.catalog import Label, Split
    from oidkit.events import Event
    from oidkit.formats.model import Format, Shard, Sharded
    from oidkit.recipe import Recipe
    from oidkit.selection import Selection

__all__ = ["SHARD_SIZE", "ShardSummary", "download_shards"]

SHARD_SIZE = 1000
"""Images of a shard; about 300 MB, which are in memory until it is in its place."""


@dataclass(slots=True)
class ShardSummary(Summary):
    """What a download straight to shards came to.

    Of the shards, `written` were made by this run and `kept` were there. `damaged_images` cannot
    be decoded and were left out. `notes` are sentences that the user should read.
    """

    written: int = 0
    kept: int = 0
    damaged_images: int = 0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Give the summary as plain values, as ``--json`` prints it."""
        shards = {"written": self.written, "kept": self.kept}
        return Summary.as_dict(self) | {"shards": shards, "damaged_images": self.damaged_images}

    def as_rows(self) -> list[tuple[str, str]]:
        """Word the summary for people, as names and values."""
        there = f", {self.kept:,} there before" if self.kept else ""
        *rows, place = Summary.as_rows(self)
        return [*rows, ("shards", f"{self.written:,} written{there}"), place]

    def take(self, note: Done) -> None:
        """Count a shard that was there."""
        self.kept += 1
        self.damaged_images += len(note.damaged)
        there, lost = note.samples + len(note.damaged), len(note.missing)
        images = Count(there + lost, present=there, missing=lost)
        masks = Count(
            note.masks, present=note.masks - note.masks_missing, missing=note.masks_missing
        )
        rows = dict(note.rows)
        self.include(Summary(self.out, images, masks, rows, missing=[*note.missing]))


def download_shards(
    selection: Selection | Recipe | str | Sequence[str],
    out: Path | str,
    format: str = "webdataset",  # noqa: A002 - the word of the contract
    *,
    shard_size: int = SHARD_SIZE,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> ShardSummary:
    """Download a selection straight into the shards of a training format, without a folder.

    *out* is a folder or an address such as ``s3://bucket/prefix``, and *format* "webdataset" or
    "parquet". Each shard has *shard_size* images of a split in the order of their ids, without
    those that the source lacks; what it holds is what `download` and `export` make of them. A run
    that was stopped goes on with the shards that are not there. One of which an image failed is
    not written, so that a rerun makes it whole. About two shards are in memory.

    Returns:
        What the run came to; its `exit_code` tells whether all that was asked for is there.

    Raises:
        UsageError: the selection, a setting or the format is wrong, or *out* holds something else.
        OidError: as `download`.

    """
    begun = time.monotonic()
    root, recipe = location_of(out), recipe_of(selection)
    made = _format(format, shard_size)
    with Session(settings_for(settings, recipe), on_event) as session:
        wanted = _single(recipe, session)
        check_place(root)
        choosing = Choosing.of(session, wanted)
        place = ShardPlace(root)
        release = session.settings.release_name
        plain = {"selection": choosing.as_dict(), "shard_size": shard_size}
        place.claim({"format": format, "release": release} | plain)
        choosing.prepare()
        summary = ShardSummary(str(root))
        _Run(choosing, made, place, summary).carry_out(shard_size)
        take_down(summary, session.traffic, begun=begun)
        return summary


def _format(name: str, shard_size: int) -> Format:
    if name not in SHARDED:
        raise UsageError(
            f"format {name} needs a folder",
            remedy=f"choose from {', '.join(SHARDED)}, or leave out --no-folder",
        )
    if shard_size < 1:
        raise UsageError(f"a shard of {shard_size} samples makes no sense", remedy="give 1 or more")
    return format_named(name, {})


def _single(recipe: Recipe, session: Session) -> Selection:
    if len(recipe.selections) != 1:
        raise UsageError(
            "shards are of one selection, and the recipe has several",
            remedy="leave all but one in it, or leave out --no-folder",
        )
    wanted = checked(recipe.selections[0], session.settings.release_name)
    if not wanted.images:
        raise UsageError(
            "shards hold the images, and --no-images leaves them out",
            remedy="leave out one of them",
        )
    # In memory each image stands once.
    return dataclasses.replace(wanted, layout="flat")


@dataclass(slots=True)
class _Run:
    """The shards of one selection, one after the other."""

    choosing: Choosing
    format: Format
    place: ShardPlace
    summary: ShardSummary
    categories: Categories = field(default_factory=lambda: Categories(()))
    done: dict[str, Done] = field(default_factory=dict)

    @property
    def sharded(self) -> Sharded:
        return cast("Sharded", self.format)

    def carry_out(self, size: int) -> None:
        """Make all shards that are not there, and then what lists them."""
        session = self.choosing.session
        choices = self.choosing.choose_all()
        self.categories = _categories(self.choosing, choices)
        cuts = [cut for split, choice in choices.items() for cut in _cuts(split, choice, size)]
        known = self.place.done()
        left = []
        for cut in cuts:
            note = known.get(cut.name)
            if note is not None and note.images == cut.digest:
                self.done[cut.name] = note
                self.summary.take(note)
            else:
                left.append(cut)
        count = sum(len(cut.images) for cut in left)
        session.on_event(PhaseStarted("images", count, image_bytes(count)))
        self._make(left, choices)
        session.on_event(PhaseEnded("images"))
        if len(self.done) == len(cuts):
            self._list(cuts)

    def _make(self, cuts: Sequence[Cut], choices: Mapping[Split, Choice]) -> None:
        """Fetch the images of a shard while the one before it is exported and put in its place."""
        session = self.choosing.session
        told, session.on_event = session.on_event, _of_images(session.on_event)
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="oidkit-shard") as pool:
                waiting: Future[None] | None = None
                for cut in cuts:
                    root = ObjectPath(MemoryObjects(f"{self.place.root}, shard {cut.name}"))
                    part = {cut.split: _only(choices[cut.split], cut.images)}
                    came = self._fetch(root, part)
                    if waiting is not None:
                        waiting.result()
                        waiting = None
                    if not (came.images.failed or came.masks.failed):
                        waiting = pool.submit(self._finish, cut, root, came)
                if waiting is not None:
                    waiting.result()
        finally:
            session.on_event = told

    def _fetch(self, root: ObjectPath, part: Mapping[Split, Choice]) -> Summary:
        dataset = Dataset(root, Manifest(root / ".oid"))
        came = Summary(str(root))
        Work(self.choosing, given=part).bring(dataset, came)
        dataset.manifest.close()
        self.summary.include(came)
        return came

    def _finish(self, cut: Cut, root: ObjectPath, came: Summary) -> None:
        """Export what came, and put it in its place."""
        own = sorted(each.mid for each in self.choosing.classes)
        asked = Asked((cut.split,), stems_of(own, every=not own))
        pictures = read_pictures(opened(root)[0], asked, self.categories)
        making = Making(self.format, Resizing(), Path())
        pieces = _Pieces()
        shard: Shard = self.sharded.shard(cast("BinaryIO", pieces), self.categories.listed)
        damaged = list(pictures.damaged)
        for batch in pictures.batches():
            for picture, made in zip(batch, making.make(batch), strict=True):
                if made.fault is not None:
                    damaged.append(f"{picture.published_split}/{picture.image_id}")
                    continue
                shard.add(picture, made.entry)
                if isinstance(picture.path, ObjectPath):
                    # It is in the shard now; not twice in memory.
                    root.objects.remove(picture.path.key)
        facts = shard.close()
        note = Done(
            cut.digest,
            self.sharded.shard_path(cut.split, cut.at, cut.of) if shard.samples else "",
            pieces.tell(),
            shard.samples,
            came.masks.asked,
            came.masks.missing,
            came.annotations,
            pictures.missing,
            tuple(damaged),
            facts,
            dict(shard.told),
        )
        self.place.keep(cut, note, pieces.all)
        self.done[cut.name] = note
        self.summary.written += 1
        self.summary.damaged_images += len(damaged)

    def _list(self, cuts: Sequence[Cut]) -> None:
        """Write what tells of all shards: it stands there when all of them do."""
        notes = [(cut, self.done[cut.name]) for cut in cuts]
        shards = [
            ShardNote(cut.split, note.file, note.samples, note.facts)
            for cut, note in notes
            if note.file
        ]
        listed = self.categories.listed
        files = self.sharded.listing(listed, shards) | {ORDER: printed_order(listed)}
        for path, data in files.items():
            self.place.write(path, data)
        told: Counter[str] = _summed(note.told for _, note in notes)
        self.summary.notes += notes_of(told)


class _Pieces(io.RawIOBase):
    """A file in memory as the pieces that were written: what is large is not copied."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        piece = data if isinstance(data, bytes) else bytes(data)
        self.all.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size


def _of_images(on_event: Listener) -> Listener:
    """Leave out the phases of single shards, and masks: what is counted is images."""

    def tell(event: Event) -> None:
        masks = isinstance(event, Fetched) and event.name.startswith("masks/")
        if not (masks or isinstance(event, PhaseStarted | PhaseEnded)):
            on_event(event)

    return tell


def _cuts(split: Split, choice: Choice, size: int) -> Iterator[Cut]:
    count = -(-len(choice.images) // size)
    for at in range(count):
        yield Cut(split, at, count, choice.images[at * size : (at + 1) * size])


def _only(choice: Choice, images: np.typing.NDArray[np.uint64]) -> Choice:
    """Give the part of a choice that is of some images."""
    by_class = {
        key: np.intersect1d(ids, images, assume_unique=True) for key, ids in choice.by_class.items()
    }
    return Choice(by_class, images)


def _categories(choosing: Choosing, choices: Mapping[Split, Choice]) -> Categories:
    """Give the categories as an export of the whole dataset would have them."""
    mids = {each.mid: each.name for each in choosing.classes}
    if not mids:
        names = choosing.session.class_list().by_mid
        found = _classes_on(choosing, choices)
        mids = {mid: names[mid].name if mid in names else mid for mid in sorted(found)}
    return Categories.of(mids)


def _classes_on(choosing: Choosing, choices: Mapping[Split, Choice]) -> set[str]:
    """Find the classes of the objects on the chosen images; of their labels, where none are."""
    objects = [each for each in choosing.wanted.labels if each in ("boxes", "masks")]
    labels: Sequence[Label] = objects or ["image-labels"]
    found: set[str] = set()
    for split, choice in choices.items():
        for label in (each for each in labels if each in choosing.wanted.labels):
            parts = choosing.parts_of(label, split, images=choice.images, columns=["LabelName"])
            for part in parts:
                found |= set(part["LabelName"].unique().to_list())
    return found


def _summed(counts: Iterator[Mapping[str, int]]) -> Counter[str]:
    from collections import Counter

    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total
