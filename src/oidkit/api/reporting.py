"""A dataset folder as one page to be read, kept and sent."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from oidkit.api.contact import contact_sheet
from oidkit.api.counting import counted
from oidkit.api.exporting import read_folder
from oidkit.api.opening import class_names, opened, whole_dataset
from oidkit.disk import naming, write_atomically
from oidkit.errors import UsageError
from oidkit.events import Listener, PhaseEnded, PhaseStarted, ignore
from oidkit.pages import GENERATOR, Told, page
from oidkit.recipe import Recipe
from oidkit.selection import Selection
from oidkit.shelf import folder_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oidkit.description import Description

__all__ = ["REPORT", "report"]

REPORT = "report.html"
"""The file in a dataset folder that `report` writes where no other is named."""

_HEAD = 4096
_WITHIN = ("images", "masks", "csv", ".oid")
_PASSWORD = re.compile(r"(?<=//)[^/@]*@")


def report(root: Path | str, out: Path | str | None = None, *, on_event: Listener = ignore) -> Path:
    """Write what the dataset folder *root* is as one HTML file, and give its path.

    It has what was asked for and what came, the numbers of `oidkit.stats` with charts, a contact
    sheet of at most 60 images with their boxes and masks, licences and authors, and the recipe. It
    needs no network and no other file, and is smaller than 5 MB. The same folder gives the same
    bytes, with the same version of Pillow.

    *out* is ``report.html`` in the folder where it is None. It is replaced as a whole, and only
    where it is an earlier report.

    Raises:
        UsageError: there is no dataset, or *out* is something else, or lies among its files.
        IntegrityError: a file of the dataset is not what a download writes.
        DiskError: the report could not be written; the path is named.

    """
    folder = folder_of(root, what="a report")
    place = folder / REPORT if out is None else folder_of(out, what="a report")
    _, description = opened(folder)
    dataset = whole_dataset(folder)
    _check(place, folder)
    on_event(PhaseStarted("reading"))
    numbers = counted(dataset, description.release, top=0).as_dict()
    pictures, _ = read_folder(folder)
    on_event(PhaseEnded("reading"))
    names = class_names(folder)
    shown, left_out = contact_sheet(pictures, names, on_event=on_event)
    told = _told(folder, description, names)
    text = page(replace(told, numbers=numbers, shown=shown, left_out=left_out))
    with naming(place):
        write_atomically(place, text.encode())
    return place


def _told(folder: Path, description: Description, names: Mapping[str, str]) -> Told:
    """Gather what the folder says of itself."""
    selections = tuple(map(Selection.from_dict, description.selections))
    return Told(
        name=folder.resolve().name or "dataset",
        release=description.release,
        source=_PASSWORD.sub("", description.source),
        selections=[each.as_rows(names) for each in selections],
        recipe=Recipe(selections, description.release).to_toml() if selections else "",
        names=names,
        has_attribution=(folder / "attribution.csv").is_file(),
    )


def _check(place: Path, folder: Path) -> None:
    """Refuse a place that is a folder, another file, or among the files of the dataset."""
    if place.is_dir():
        raise UsageError(f"{place} is a folder", remedy="name a file, such as --out report.html")
    if not place.parent.is_dir():
        raise UsageError(f"there is no folder {place.parent}", remedy="make it, or name another")
    inside = place.parent.resolve()
    if any(inside.is_relative_to((folder / name).resolve()) for name in _WITHIN):
        raise UsageError(
            f"{place} lies among the files of the dataset", remedy="choose another --out"
        )
    if not place.exists():
        return
    with naming(place), place.open("rb") as file:
        head = file.read(_HEAD)
    if head and f'content="{GENERATOR}"'.encode() not in head:
        raise UsageError(
            f"{place} is not a report of oidkit and would be lost",
            remedy="choose another --out, or remove it",
        )
