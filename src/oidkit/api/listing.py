"""The classes of a release, and how much there is of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.errors import NotAMirrorError
from oidkit.events import Listener, ignore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oidkit.catalog import Split
    from oidkit.schema import Schema

__all__ = ["ClassRow", "class_tree", "classes"]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class, and what it has in the release.

    `counts` gives for each split the number of `images` that have a box of the class, of `boxes`
    and of `masks`; it is empty unless it was asked for.
    """

    mid: str
    name: str
    boxable: bool
    segmentable: bool
    counts: Mapping[Split, Mapping[str, int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Give the class as plain values."""
        plain: dict[str, object] = {
            "mid": self.mid,
            "name": self.name,
            "boxable": self.boxable,
            "segmentable": self.segmentable,
        }
        if self.counts:
            plain["counts"] = {split: dict(count) for split, count in self.counts.items()}
        return plain


def classes(
    pattern: str = "",
    *,
    every: bool = False,
    counts: bool = False,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> list[ClassRow]:
    """List the classes that contain *pattern* in their name, another release's name or MID.

    With *every* the 20,000 classes of image labels are listed as well. With *counts* the tables
    of boxes and masks are built if they are not there.

    Raises:
        UsageError: the source is no mirror, or lacks the list of image-level classes.

    """
    with Session(settings or Settings(), on_event) as session:
        known = session.class_list(aliases=True)
        found = [
            ClassRow(each.mid, each.name, boxable=True, segmentable=each.segmentable)
            for each in known.search(pattern)
        ]
        if every:
            others = session.every_class()
            if others is None:
                file = catalog.all_classes_file(session.settings.release_name)
                raise NotAMirrorError(session.source.name, because=f"it has no {file.key}")
            found += [
                ClassRow(each.mid, each.name, boxable=False, segmentable=False)
                for each in others.search(pattern)
                if each.mid not in known.by_mid
            ]
            found.sort(key=lambda row: (row.name.casefold(), row.mid))
        if counts:
            found = _counted(session, found)
        return found


def class_tree(
    pattern: str = "", *, settings: Settings | None = None, on_event: Listener = ignore
) -> list[tuple[int, str, str, bool]]:
    """Give the hierarchy below the classes that contain *pattern*, line by line.

    Each line is the depth below the match, the MID, the name, and whether it is a part of the
    class above it rather than a subclass. Without a pattern the whole tree is drawn.
    """
    with Session(settings or Settings(), on_event) as session:
        known = session.class_list(aliases=True)
        hierarchy = session.hierarchy()
        tops = [each.mid for each in known.search(pattern)] if pattern else hierarchy.roots
        lines = []
        for top in tops:
            for depth, mid, is_part in hierarchy.lines(top):
                name = known.by_mid[mid].name if mid in known.by_mid else _unnamed(mid)
                lines.append((depth, mid, name, is_part))
        return lines


def _unnamed(mid: str) -> str:
    # The root of the published tree is in no class file; its page calls it Entity.
    return "Entity" if mid == "/m/0bl9f" else mid


def _counted(session: Session, rows: Sequence[ClassRow]) -> list[ClassRow]:
    from oidkit.schema import BOXES, MASKS

    release = session.settings.release_name
    has_masks = "masks" in catalog.labels_of(release)
    boxes = {split: catalog.tables(release, "boxes", split)[0] for split in catalog.SPLITS}
    masks = (
        {split: catalog.tables(release, "masks", split)[0] for split in catalog.SPLITS}
        if has_masks
        else {}
    )
    wanted: list[tuple[catalog.File, Schema]] = [(file, BOXES) for file in boxes.values()]
    wanted += [(file, MASKS) for file in masks.values()]
    tables = session.tables(wanted)
    found = []
    for row in rows:
        counts: dict[Split, dict[str, int]] = {}
        for split, file in boxes.items():
            number, images = tables[file.key].count(row.mid)
            mask_number = tables[masks[split].key].count(row.mid)[0] if has_masks else 0
            counts[split] = {"images": images, "boxes": number, "masks": mask_number}
        found.append(ClassRow(row.mid, row.name, row.boxable, row.segmentable, counts))
    return found
