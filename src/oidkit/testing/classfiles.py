"""The class lists and the hierarchy, in the form of each release.

V4 has no header and LF. V5 has no header and CRLF, but LF on its last line. V6 lists the classes of
image labels too, has a header and LF, and names that occur twice. V7 has a header and CRLF, is
sorted by display name and quotes names with a comma. (Measured on the published files.)
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from oidkit import catalog
from oidkit.testing.classes import MadeClass, image_level_classes, made_classes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oidkit.testing.spec import ReleaseSpec

__all__ = ["class_files"]

_HEADER = ("LabelName", "DisplayName")
_ROOT = "/m/0bl9f"
# in the real hierarchy too these are parts, and stand at the top as well
_PARTS = {
    "Human body": ("Human face", "Human hand", "Human foot", "Beard"),
    "Person": ("Human body",),
    "Land vehicle": ("Auto part",),
    "Building": ("Window",),
}


def class_files(spec: ReleaseSpec) -> dict[str, bytes]:
    """Give key -> content of every class list, the list of classes with masks, the hierarchy."""
    classes = made_classes(spec.classes)
    every = (*classes, *image_level_classes(spec.image_level_classes))
    files = {catalog.hierarchy_file().key: _hierarchy(classes)}
    for release in spec.releases:
        boxable = catalog.class_file(release)
        files[boxable.key] = _class_list(release, classes)
        files[catalog.all_classes_file(release).key] = _full_list(release, every)
        segmentable = catalog.segmentable_file(release)
        if segmentable is not None:
            mids = sorted(each.mid for each in classes if each.segmentable)
            files[segmentable.key] = "".join(f"{mid}\n" for mid in mids).encode()
    return files


def _class_list(release: catalog.Release, classes: Sequence[MadeClass]) -> bytes:
    if release == "v7":
        return _full_list(release, classes)
    rows = sorted((each.mid, each.name(release)) for each in classes)
    if release == "v4":
        return _written(rows, "\n")
    return _written(rows[:-1], "\r\n") + _written(rows[-1:], "\n")


def _full_list(release: catalog.Release, classes: Sequence[MadeClass]) -> bytes:
    rows = sorted((each.mid, each.name(release)) for each in classes)
    if release == "v4":
        return _written(rows, "\n")
    if release == "v7":
        by_name = sorted(rows, key=lambda row: row[1])
        return _written([_HEADER, *by_name], "\r\n")
    return _written([_HEADER, *rows], "\n")


def _written(rows: Iterable[Sequence[str]], line_end: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end).writerows(rows)
    return text.getvalue().encode("utf-8")


def _hierarchy(classes: Sequence[MadeClass]) -> bytes:
    mids = {each.v7: each.mid for each in classes}
    below: dict[str, list[MadeClass]] = {}
    tops: list[MadeClass] = []
    for each in classes:
        known = [parent for parent in each.parents if parent in mids]
        for parent in known:
            below.setdefault(parent, []).append(each)
        if not known:
            tops.append(each)

    def node(made: MadeClass) -> dict[str, Any]:
        written: dict[str, Any] = {"LabelName": made.mid}
        if children := below.get(made.v7):
            written["Subcategory"] = [node(child) for child in children]
        if parts := [name for name in _PARTS.get(made.v7, ()) if name in mids]:
            written["Part"] = [{"LabelName": mids[name]} for name in parts]
        return written

    root = {"LabelName": _ROOT, "Subcategory": [node(each) for each in tops]}
    return json.dumps(root, indent=4).encode() + b"\n"
