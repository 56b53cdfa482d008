"""Pictures and objects made by hand, and a format run over them as an export does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from oidkit.formats.frames import Resizing
from oidkit.formats.making import Making
from oidkit.formats.model import Category, Flags, Picture, Thing
from oidkit.formats.registry import with_categories

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from oidkit.formats.model import Format

    Mask = npt.NDArray[np.bool_]

CATEGORIES = (
    Category(0, "Dog", ("/m/0bt9lr",), "Carnivore"),
    Category(1, 'Tool: "a & b" <c>', ("/m/07k1x", "/m/0gxl3"), "Tool"),
    Category(2, "Computer keyboard", ("/m/01m2v",)),
)
WIDTH, HEIGHT = 120, 80


def blank(width: int = WIDTH, height: int = HEIGHT) -> Mask:
    """Give a mask of which nothing is set."""
    return np.zeros((height, width), np.bool_)


def ring() -> Mask:
    """Give a mask with a hole, and a second part beside it."""
    mask = blank()
    mask[10:60, 20:70] = True
    mask[25:45, 35:55] = False
    mask[65:75, 90:110] = True
    return mask


def saved(mask: Mask, path: Path) -> Path:
    """Save a mask as the published ones are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path, "PNG")
    return path


def thing(
    category: int = 0,
    box: tuple[float, float, float, float] | None = (0.1, 0.2, 0.6, 0.9),
    *,
    mask: Path | None = None,
    flags: Flags | None = None,
    number: int = 0,
) -> Thing:
    """Make an object, of which most tests need but a part."""
    mid = CATEGORIES[category].mids[0]
    return Thing(category, mid, box, mask, flags or Flags(0, 0, 0, 0, 0), number)


def picture(
    folder: Path, image_id: str, *things: Thing, split: str = "train", **more: object
) -> Picture:
    """Make a picture with a JPEG of its own."""
    path = folder / "made" / split / f"{image_id}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 150)).save(path)
    about = {"things": things, "published_split": split, **more}
    return Picture(split, image_id, path, WIDTH, HEIGHT, **about)  # type: ignore[arg-type]


def exported(
    made: Format, out: Path, pictures: Sequence[Picture], size: int | None = None
) -> list[str]:
    """Write pictures into a folder, and give what the user is told."""
    out.mkdir(parents=True, exist_ok=True)
    made = with_categories(made, CATEGORIES)
    making = Making(made, Resizing(size), out)
    writer = made.writer(out, CATEGORIES)
    for each, done in zip(pictures, making.make(pictures), strict=True):
        assert done.fault is None
        writer.add(each, done.entry)
    return list(writer.finish())
