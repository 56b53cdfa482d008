"""Pictures that are turned upright on their way out, with their boxes and masks.

The turned files lie in a folder of the export while it is made, and formats link or read them there
as they do with those of the dataset.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oidkit.formats.resizing import DamagedImageError
from oidkit.rotation import degrees_of
from oidkit.upright import CannotTurnError, turned_jpeg, turned_mask

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.formats.model import Picture
    from oidkit.objectpath import Location

__all__ = ["TURNED", "turned", "write_turned"]

TURNED = ".turned"
"""The folder of turned pictures and masks below that of the export; it does not stay."""
_HALF = 180


def turned(picture: Picture, out: Path) -> Picture:
    """Give a picture as it is when it stands upright; one of unknown rotation stays as it is.

    Paths are those of the turned files. Degrees are counter-clockwise: by a quarter turn a point
    (x, y) comes to (y, 1 - x).
    """
    degrees = degrees_of(picture.metadata.get("Rotation")) or 0
    if not degrees:
        return picture
    folder = out / TURNED
    sides = (picture.width, picture.height)
    width, height = sides if degrees == _HALF else sides[::-1]
    things = tuple(
        replace(
            thing,
            box=_box(thing.box, degrees) if thing.box else None,
            mask=folder / thing.mask.name if thing.mask else None,
        )
        for thing in picture.things
    )
    path = folder / picture.path.name
    # The picture that is written stands as it should.
    known = dict(picture.metadata) | {"Rotation": "0.0"}
    return replace(picture, path=path, width=width, height=height, things=things, metadata=known)


def write_turned(picture: Picture, out: Path) -> None:
    """Write the files that the turned picture names.

    Raises:
        DamagedImageError: the picture cannot be decoded.

    """
    degrees = degrees_of(picture.metadata.get("Rotation")) or 0
    if not degrees:
        return
    folder = out / TURNED
    folder.mkdir(exist_ok=True)
    try:
        made = {picture.path.name: turned_jpeg(picture.path.read_bytes(), degrees)}
    except CannotTurnError as error:
        raise DamagedImageError(str(error)) from error
    for thing in picture.things:
        if thing.mask is not None:
            made[thing.mask.name] = _turned_mask(thing.mask, degrees)
    for name, data in made.items():
        (folder / name).write_bytes(data)


def _turned_mask(mask: Location, degrees: int) -> bytes:
    try:
        return turned_mask(mask.read_bytes(), degrees)
    except CannotTurnError:
        # No PNG either, so that the format leaves it out as it does with any damaged mask.
        return b""


def _box(box: tuple[float, float, float, float], degrees: int) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    if degrees == _HALF:
        return 1 - x1, 1 - y1, 1 - x0, 1 - y0
    return (y0, 1 - x1, y1, 1 - x0) if degrees < _HALF else (1 - y1, x0, 1 - y0, x1)
