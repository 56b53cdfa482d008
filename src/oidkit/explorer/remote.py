"""The pixels of images that were not fetched, for the explorer of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oidkit.api.previewing import Previews
    from oidkit.explorer.thumbnails import Thumbnails
    from oidkit.tables.exhibit import Exhibit

__all__ = ["Remote"]


@dataclass(frozen=True, slots=True)
class Remote:
    """What a source has of the images of a plan; fulfils `oidkit.explorer.viewer.Pictures`.

    An image is asked for when it is on the screen, once: its small picture is kept.
    """

    previews: Previews
    exhibit: Exhibit
    thumbnails: Thumbnails

    def image(self, split: str, image_id: str) -> bytes | None:
        known = self.exhibit.find(split, image_id) is not None
        return self.previews.image(split, image_id) if known else None

    def thumbnail(self, split: str, image_id: str) -> bytes | None:
        if self.exhibit.find(split, image_id) is None:
            return None
        name = f"{self.previews.source.cache_name} {split}/{image_id}"
        return self.thumbnails.of(name, lambda: self.previews.small(split, image_id))

    def stop(self) -> None:
        self.previews.stop()

    def mask(self, split: str, name: str) -> bytes | None:
        del split, name
        return None
