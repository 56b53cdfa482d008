"""Some pictures of a dataset, small and with their annotations drawn: a contact sheet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from oidkit.api.drawings import drawn
from oidkit.errors import OidError
from oidkit.events import Fetched, Listener, PhaseEnded, PhaseStarted, ignore
from oidkit.pages import Shown, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from oidkit.api.pictures import Pictures
    from oidkit.formats.model import Picture

__all__ = ["contact_sheet"]

_MOST_SHOWN = 60
_LONGEST_SIDE = 320
# 60 of these are 3.6 MB in a page: a report stays below 5 MB whatever is on its pictures.
_LARGEST_JPEG = 45_000
_QUALITIES = (80, 65, 45, 25, 10)


def contact_sheet(
    pictures: Pictures,
    names: Mapping[str, str],
    *,
    most: int = _MOST_SHOWN,
    on_event: Listener = ignore,
) -> tuple[list[Shown], int]:
    """Draw at most *most* pictures, up to 60, and count those that cannot be decoded.

    They are spread over classes and splits, and the same ones every time. *names* are those of
    MIDs.
    """
    chosen = spread(_groups(pictures), most)
    on_event(PhaseStarted("drawing", len(chosen)))
    shown = []
    for at in chosen:
        picture = pictures.some(at, at + 1)[0]
        try:
            image = drawn(picture, names, size=_LONGEST_SIDE)
        except OidError:
            continue
        made = _shown(picture, image)
        shown.append(made)
        on_event(Fetched(f"{made.split}/{made.image_id}", len(made.jpeg)))
    on_event(PhaseEnded("drawing"))
    return shown, len(chosen) - len(shown)


def _groups(pictures: Pictures) -> dict[tuple[int, int], list[int]]:
    """Sort the pictures by class and split: the class of most pictures has the first rank.

    Those without an object come behind all classes. Of each group as many are given as there is
    room for, in an order that has nothing to do with their ids.
    """
    at, category = pictures.instances.columns()
    alone = np.setdiff1d(np.arange(len(pictures), dtype=at.dtype), at)
    places = np.concatenate([at, alone]).astype(np.int64)
    kinds = np.concatenate([category, np.full(len(alone), -1, category.dtype)])
    pairs = np.unique(np.stack([kinds.astype(np.int64), places], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    order = sorted(
        zip(found.tolist(), counts.tolist(), strict=True),
        key=lambda each: (each[0] < 0, -each[1], each[0]),
    )
    # Ids are drawn at random already; the last digits have nothing to do with the folder's order.
    mixed = pictures.ids[pairs[:, 1]] * np.uint64(0x9E3779B97F4A7C15)
    groups: dict[tuple[int, int], list[int]] = {}
    for rank, (kind, _) in enumerate(order):
        ours = pairs[:, 0] == kind
        for split in range(len(pictures.splits)):
            rows = np.flatnonzero(ours & (pictures.split[pairs[:, 1]] == split))
            if len(rows):
                first = rows[np.argsort(mixed[rows], kind="stable")][:_MOST_SHOWN]
                groups[rank, split] = pairs[first, 1].tolist()
    return groups


def _shown(picture: Picture, image: Image) -> Shown:
    objects: dict[str, int] = {}
    for thing in picture.things:
        objects[thing.mid] = objects.get(thing.mid, 0) + 1
    return Shown(
        split=picture.published_split,
        image_id=picture.image_id,
        size=image.size,
        jpeg=_jpeg(image),
        objects=objects,
        credit=picture.metadata,
    )


def _jpeg(image: Image) -> bytes:
    """Encode a picture, as well as its size in bytes allows."""
    data = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True)
        data = file.getvalue()
        if len(data) <= _LARGEST_JPEG:
            break
    return data
