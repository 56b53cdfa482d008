"""The kinds of objects that a download reads, and one of each that a fault may befall."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.testing import Fault, RequestInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.runs import Folder

__all__ = [
    "BOXES",
    "CLASSES",
    "KINDS",
    "UNCHECKED",
    "ZIP",
    "always",
    "asked",
    "first_image",
    "lacking",
    "places_of",
]

CLASSES = catalog.class_file("v7").key
BOXES = "openimages/v6/oidv6-train-annotations-bbox.csv"
ZIP = "openimages/v5/train-masks/train-masks-5.zip"
KINDS = ("class list", "boxes", "zip directory", "mask span", "image")
UNCHECKED = {"ETag": "", "x-goog-hash": "", "Last-Modified": ""}
"""Headers of a fault that leave nothing to tell an object, or its content, by."""

Answer = Fault | None


def first_image(folder: Folder) -> str:
    """Give the key of one image, as it is in the bucket."""
    path = next(path for path in folder.undisturbed.tree if path.endswith(".jpg"))
    return f"open-images-dataset/{path.split('/')[1]}/{path.rpartition('/')[2]}"


def places_of(folder: Folder, key: str) -> set[str]:
    """Name every place of an image in the folder."""
    name = key.rpartition("/")[2]
    return {path for path in folder.undisturbed.tree if path.endswith(f"/{name}")}


def lacking(folder: Folder, kind: str, status: str) -> dict[str, str]:
    """Map the places of what is lost, where one object of a kind cannot be had, to *status*."""
    if kind == "image":
        return dict.fromkeys(places_of(folder, first_image(folder)), status)
    start = f"masks/train/{ZIP[-5]}"
    return {path: status for path in folder.undisturbed.tree if path.startswith(start)}


def _is(folder: Folder, kind: str, request: RequestInfo) -> bool:
    directory = (request.range or "").startswith("bytes=-")
    wanted = {
        "class list": (CLASSES, False),
        "boxes": (BOXES, False),
        "zip directory": (ZIP, True),
        "mask span": (ZIP, False),
        "image": (first_image(folder), False),
    }
    return (request.path, directory) == wanted[kind]


def always(
    folder: Folder,
    kind: str,
    fault: Fault | Callable[[RequestInfo], Answer],
    *,
    times: int | None = None,
) -> None:
    """Let the server answer one object of a kind with a fault, or the first *times* of it."""
    count = itertools.count(1)

    def hook(request: RequestInfo) -> Answer:
        if not _is(folder, kind, request) or (times is not None and next(count) > times):
            return None
        return fault(request) if callable(fault) else fault

    folder.undisturbed.server.hook = hook


def asked(folder: Folder, kind: str) -> int:
    """Count the requests for the object of a kind since the last run began."""
    log = folder.undisturbed.server.log
    return sum(
        _is(folder, kind, RequestInfo(each.method, each.path, each.range, 0, 0, each.headers))
        for each in log
    )
