"""Which images of a selection have to be turned, and the turning of what belongs to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.api.outside import ImageLists
from oidkit.errors import IntegrityError
from oidkit.events import Noted, Warned
from oidkit.rotation import degrees_of
from oidkit.tables import turned
from oidkit.upright import (
    CannotTurnError,
    is_lossless,
    is_turned_mask,
    turned_by,
    turned_jpeg,
    turned_mask,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.api.choosing import Choosing
    from oidkit.api.session import Session
    from oidkit.catalog import Split
    from oidkit.choice import Choice
    from oidkit.disk import Record
    from oidkit.tables import Rows
    from oidkit.zipindex import Member

__all__ = ["Turning"]

_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Turning:
    """By how many degrees counter-clockwise each image is turned; those not named stay."""

    degrees: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, choosing: Choosing, choices: Mapping[Split, Choice]) -> Turning:
        """Look up the chosen images in the image list, if the selection wants them upright.

        How many have no known rotation is told, as those stay as they are.
        """
        if not choosing.wanted.upright:
            return cls()
        degrees: dict[str, int] = {}
        for split, choice in choices.items():
            rows = choosing.image_rows(split, choice.images)
            known = _degrees(rows)
            if lacking := len(choice.images) - len(known):
                text = f"{lacking:,} of {len(choice.images):,} chosen {split} images"
                why = "have no known rotation: they stay as they are"
                choosing.session.on_event(Warned(f"{text} {why}"))
            degrees |= {image_id: by for image_id, by in known.items() if by}
        if degrees and choosing.wanted.images and not is_lossless():
            text = f"{len(degrees):,} images are turned by encoding them again"
            choosing.session.on_event(Noted(f"{text}; oidkit[upright] does it without loss"))
        return cls(degrees)

    @classmethod
    def again(cls, session: Session, records: Sequence[Record]) -> Turning:
        """Look up the images, and those of the masks, of some records of an upright folder."""
        ids: dict[Split, set[str]] = {}
        for record in records:
            path = PurePosixPath(record.path)
            for split in catalog.SPLITS:
                if record.kind in ("image", "mask") and path.parts[1] == split:
                    ids.setdefault(split, set()).add(path.name[:_ID_DIGITS])
        lists = ImageLists(session)
        degrees: dict[str, int] = {}
        for split, names in ids.items():
            numbers = np.array(sorted(int(name, 16) for name in names), dtype=np.uint64)
            degrees |= _turned(lists.rows(split, numbers))
        return cls(degrees)

    def also(self, choosing: Choosing, split: Split, images: NDArray[np.uint64]) -> Turning:
        """Look up further images, if the selection wants them upright."""
        if not choosing.wanted.upright or not len(images):
            return self
        return Turning({**self.degrees, **_turned(choosing.image_rows(split, images))})

    def by(self, path: str) -> int:
        """Say by how many degrees the image or mask at *path*, or of that key, is turned."""
        return self.degrees.get(PurePosixPath(path).name[:_ID_DIGITS], 0)

    def jpeg(self, key: str, data: bytes) -> bytes:
        """Turn a JPEG as its image has to be.

        Raises:
            IntegrityError: it cannot be decoded.

        """
        return self._by(turned_jpeg, key, data)

    def mask(self, path: str, png: bytes) -> bytes:
        """Turn a mask as its image has to be.

        Raises:
            IntegrityError: it cannot be decoded.

        """
        return self._by(turned_mask, path, png)

    def _by(self, turn: Callable[[bytes, int], bytes], path: str, data: bytes) -> bytes:
        degrees = self.by(path)
        try:
            return turn(data, degrees) if degrees else data
        except CannotTurnError as error:
            raise IntegrityError(f"{path}: {error}", remedy="check the copy at --source") from error

    def fits(self, image_id: str, data: bytes) -> bool:
        """Tell whether a JPEG that no record knows is turned as its image has to be."""
        return turned_by(data) == self.by(image_id)

    def fits_mask(self, path: str, png: bytes, member: Member) -> bool:
        """Tell whether a mask that no record knows was turned from that member of its zip."""
        by = self.by(path)
        return bool(by) and is_turned_mask(png, by, crc32=member.crc32)

    def rows(self, rows: Rows) -> Rows:
        """Turn the coordinates in rows of annotations."""
        return turned(rows, self.degrees)


def _turned(rows: Rows) -> dict[str, int]:
    return {image_id: by for image_id, by in _degrees(rows).items() if by}


def _degrees(rows: Rows) -> dict[str, int]:
    """Give the rotation of each image that has a known one."""
    if "Rotation" not in rows.columns:
        return {}
    pairs: Iterable[tuple[str, str]] = rows.select("ImageID", "Rotation").iter_rows()
    read = ((image_id, degrees_of(text)) for image_id, text in pairs)
    return {image_id: by for image_id, by in read if by is not None}
