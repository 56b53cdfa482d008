"""A dataset folder into a training format: what is there, in the order of split and ImageID."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from oidkit.api.numbering import Naming, categories_of, with_hierarchy
from oidkit.api.opening import opened
from oidkit.api.pictures import Asked, again, check_any, check_splits, read_pictures
from oidkit.api.processes import made_by, processes_for
from oidkit.api.reviewing import bad_marks
from oidkit.api.settings import Settings
from oidkit.errors import InterruptedRunError, UsageError
from oidkit.events import Fetched, Listener, PhaseEnded, PhaseStarted, ignore
from oidkit.formats.categories import printed_order
from oidkit.formats.folder import check_out, replacing
from oidkit.formats.frames import Resizing
from oidkit.formats.making import Making
from oidkit.formats.registry import format_named, with_categories
from oidkit.formats.turning import TURNED
from oidkit.shelf import folder_of, location_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from oidkit.api.pictures import Pictures
    from oidkit.dataset import Description
    from oidkit.formats.categories import Categories
    from oidkit.formats.making import Made
    from oidkit.formats.model import Category, Picture, Resize, Writer
    from oidkit.objectpath import Location

__all__ = ["ORDER", "ExportOptions", "ExportSummary", "export", "read_folder"]

ORDER = "classes.txt"
"""The file of an export that lists its categories; `--class-order` takes it again."""
_MOST_LISTED = 100
_VERSION = 1
_NO_SPLITS = ("names", "nc", "path", "download", "trainval")


class ExportOptions(TypedDict, total=False):
    """What an export may be told; any of it can be left out.

    `splits` are the published splits to take. `split_ratio` makes new ones, name -> share, by id
    and `seed` alone. `image_size` in pixels, `resize` ("shortest", "longest", "letterbox" or
    "stretch") and `quality` are those of `Resizing`. `annotations` are "requested" or "all".
    `class_map` (``"Handgun=gun,Rifle=gun"`` or a dict) merges and renames classes; `class_order`
    is a file of an earlier export whose numbers are kept. With `supercategory` the class above
    each is named. With `upright` pictures are turned by the `Rotation` of the image list, unless
    the dataset was downloaded so; those of unknown rotation stay. `drop_reviewed` "bad" leaves out
    the images and annotations that a review found bad. `workers` is the number of
    processes; by default one for each core.

    All others are those of one format; see ``docs/guides/export.md``.
    """

    splits: Sequence[str]
    split_ratio: Mapping[str, float]
    seed: int
    image_size: int | None
    resize: Resize
    quality: int
    annotations: str | None
    class_map: str | Mapping[str, str] | None
    class_order: Path | str | None
    supercategory: bool
    upright: bool
    drop_reviewed: Literal["bad"] | None
    workers: int | None


class FormatOptions(ExportOptions, total=False):
    """What an export may be told, with the flags of single formats: `oidkit.formats.registry`."""

    polygons: bool
    task: Literal["detect", "segment"]
    shard_size: int
    shard_megabytes: int
    multi_label: bool
    several: Literal["largest", "each", "skip"]


@dataclass(slots=True)
class ExportSummary:
    """What an export came to.

    `pictures` counts those of each split of the export, `categories` the classes. Of the objects,
    `joined` have a box and a mask; `lone_masks` have no box that fits. `missing` images are not
    in the dataset folder, `damaged` ones cannot be decoded: they were left out, and the first 100
    of both are in `left_out`. `masks_absent` are rows of masks whose file is not there. `dropped`
    counts what was left out as a review says, `images` and `objects`, where that was asked for,
    and the verdicts that fit nothing in the dataset, `unmatched`.
    """

    out: str
    format: str
    pictures: dict[str, int] = field(default_factory=dict)
    categories: int = 0
    boxes: int = 0
    masks: int = 0
    joined: int = 0
    lone_masks: int = 0
    masks_absent: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    damaged: int = 0
    left_out: list[str] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Give the summary as plain values, as ``--json`` prints it."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


def export(
    root: Path | str,
    out: Path | str,
    format: str = "coco",  # noqa: A002 - the word of the contract
    *,
    settings: Settings | None = None,
    on_event: Listener = ignore,
    **options: Unpack[FormatOptions],
) -> ExportSummary:
    """Write the dataset in the folder *root* as a training format into *out*.

    Images that are missing are left out, and counted. *out* is replaced as a whole when all is
    done, and only where it is not there, is empty, or is an earlier export. The same dataset and
    options make the same bytes. Nothing is fetched, but for the hierarchy with `supercategory`.

    Returns:
        What the export came to.

    Raises:
        UsageError: there is no dataset, no such format, an option makes no sense, or *out* holds
            something else.
        IntegrityError: an annotation file of the dataset is not what a download writes.
        DiskError: something could not be written; the path is named.
        InterruptedRunError: the user stopped it; *out* is as it was.

    """
    begun = time.monotonic()
    told: dict[str, Any] = dict(options)
    common = {name: told.pop(name) for name in ExportOptions.__annotations__ if name in told}
    made = format_named(format, told)
    resizing = _resizing(common)
    shares = _shares(common.get("split_ratio") or {})
    splits = check_splits(common.get("splits") or ())
    folder, place = location_of(root), folder_of(out, what="an export")
    dataset, description = opened(folder)
    upright = bool(common.get("upright")) and _are_to_be_turned(folder, description)
    check_out(place, dataset=folder)
    summary = ExportSummary(str(place), format)
    on_event(PhaseStarted("reading"))
    categories, stems = categories_of(dataset, description, _naming(common))
    if common.get("supercategory"):
        categories = with_hierarchy(categories, description, settings or Settings(), on_event)
    bad = bad_marks(folder, common.get("drop_reviewed"))
    asked = Asked(splits, stems, shares, int(common.get("seed") or 0), bad)
    pictures = read_pictures(dataset, asked, categories)
    on_event(PhaseEnded("reading"))
    _count(summary, pictures, categories, bad=bool(common.get("drop_reviewed")))
    check_any(pictures, description)
    processes = processes_for(pictures, resizing, asked=common.get("workers"))
    marker = {"oidkit": "export", "version": _VERSION, "format": format}
    with replacing(place, dataset=folder, marker=marker) as fresh:
        made = with_categories(made, categories.listed)
        making = Making(made, resizing, fresh, upright=upright)
        writer = made.writer(fresh, categories.listed)
        (fresh / ORDER).write_bytes(printed_order(categories.listed))
        _Run(making, writer, pictures, summary, on_event).carry_out(processes)
        shutil.rmtree(fresh / TURNED, ignore_errors=True)
    summary.seconds = time.monotonic() - begun
    return summary


def _are_to_be_turned(folder: Location, description: Description) -> bool:
    """Tell whether upright pictures are turned here, and not by the download.

    Raises:
        UsageError: the dataset does not say how.

    """
    if description.is_upright:
        return False
    if not (folder / "attribution.csv").is_file():
        raise UsageError(
            f"{folder} has no attribution.csv, which says how its images are turned",
            remedy=again(description, "metadata"),
        )
    return True


def read_folder(
    root: Path, *, splits: Sequence[str] = (), naming: Naming | None = None
) -> tuple[Pictures, tuple[Category, ...]]:
    """Read the dataset in a folder as pictures, with its categories, as `export` does.

    Raises:
        UsageError: there is no dataset, no such split, or the naming makes no sense.
        IntegrityError: an annotation file of the dataset is not what a download writes.

    """
    asked = check_splits(splits)
    dataset, description = opened(root)
    categories, stems = categories_of(dataset, description, naming or Naming())
    pictures = read_pictures(dataset, Asked(asked, stems), categories)
    return pictures, categories.listed


@dataclass(slots=True)
class _Run:
    """Pictures through the processes into the writer, in their order."""

    making: Making
    writer: Writer
    pictures: Pictures
    summary: ExportSummary
    on_event: Listener

    def carry_out(self, processes: int) -> None:
        """Make every picture, in so many processes."""
        self.on_event(PhaseStarted("exporting", len(self.pictures)))
        self.summary.pictures = dict.fromkeys(self.pictures.splits, 0)
        try:
            with contextlib.closing(made_by(processes, self.pictures, self.making)) as batches:
                for batch, found in batches:
                    self._take(batch, found)
            self.summary.notes += self.writer.finish()
        except KeyboardInterrupt as error:
            raise InterruptedRunError(
                "interrupted; the export is as it was before", remedy="run the same command again"
            ) from error
        finally:
            # A writer that keeps files open may have a way to let go of them.
            getattr(self.writer, "close", lambda: None)()
        self.on_event(PhaseEnded("exporting"))

    def _take(self, batch: Sequence[Picture], found: Sequence[Made]) -> None:
        for picture, made in zip(batch, found, strict=True):
            name = f"{picture.published_split}/{picture.image_id}"
            if made.fault is not None:
                self.summary.missing += made.fault == "missing"
                self.summary.damaged += made.fault == "damaged"
                if len(self.summary.left_out) < _MOST_LISTED:
                    self.summary.left_out.append(name)
                self._uncount(picture)
                continue
            self.writer.add(self.making.shown(picture), made.entry)
            self.summary.pictures[picture.split] += 1
            self.summary.bytes += made.bytes
            self.on_event(Fetched(name, made.bytes))

    def _uncount(self, picture: Picture) -> None:
        """Take the objects of a picture that is left out from the counts of all that was read."""
        summary = self.summary
        for thing in picture.things:
            summary.boxes -= thing.box is not None
            summary.masks -= thing.mask is not None
            summary.joined -= thing.box is not None and thing.mask is not None
            summary.lone_masks -= thing.box is None


def _naming(common: Mapping[str, Any]) -> Naming:
    return Naming(common.get("annotations"), common.get("class_map"), common.get("class_order"))


def _resizing(common: Mapping[str, Any]) -> Resizing:
    if common.get("image_size") is None:
        for name in ("resize", "quality"):
            if common.get(name) is not None:
                raise UsageError(
                    f"{name} says how pictures are resized, and no image size is given",
                    remedy="add one, as in --image-size 640, or leave it out",
                )
    names = {"image_size": "size", "resize": "way", "quality": "quality"}
    given = {to: common[name] for name, to in names.items() if common.get(name) is not None}
    return Resizing(**given)


def _shares(ratio: Mapping[str, float]) -> dict[str, float]:
    """Check new splits: their names become folders, their shares are all of the images."""
    import re

    for name, share in ratio.items():
        # The Hub's `datasets` takes no dash; the others are words of data.yaml and of VOC's lists.
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name in _NO_SPLITS:
            raise UsageError(
                f"'{name}' is no name for a split",
                remedy="use letters, digits and _, as in train, val and test",
            )
        if name == "val" and "validation" in ratio:
            raise UsageError(
                "val and validation are the same split to some formats", remedy="choose one"
            )
        if not 0 < share <= 1:
            raise UsageError(
                f"a share of {share:g} for split '{name}' makes no sense",
                remedy="give more than 0, as in --split-ratio train=0.8,val=0.1,test=0.1",
            )
    if ratio and abs(sum(ratio.values()) - 1) > 1e-6:  # noqa: PLR2004 - what decimals leave
        raise UsageError(
            f"the shares of the splits make {sum(ratio.values()):g}, not 1",
            remedy="write them so that they do, as in --split-ratio train=0.8,val=0.1,test=0.1",
        )
    return dict(ratio)


def _count(
    summary: ExportSummary, pictures: Pictures, categories: Categories, *, bad: bool
) -> None:
    found = pictures.instances
    summary.categories = len(categories.listed)
    for name in ("boxes", "masks", "joined", "lone_masks", "masks_absent"):
        setattr(summary, name, getattr(found, name))
    summary.missing, summary.damaged = len(pictures.missing), len(pictures.damaged)
    if bad:
        left = {"images": pictures.dropped, "objects": found.dropped}
        summary.dropped = left | {"unmatched": found.unmatched + pictures.strangers}
    summary.left_out = [*pictures.missing, *pictures.damaged][:_MOST_LISTED]
