"""What becomes of images and masks: written down, counted in the summary, and told of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from oidkit.events import Failed, Fetched, Missing
from oidkit.transfer.records import event_of

if TYPE_CHECKING:
    from oidkit.api.summary import Summary
    from oidkit.dataset import Dataset
    from oidkit.disk import Record
    from oidkit.events import Event, Listener

__all__ = ["Recording"]


class Recording:
    """Writes records into the manifest; each image or mask is counted once, and told of once.

    The records of one image come together, one for each place where it stands, and so do their
    events.
    """

    def __init__(self, dataset: Dataset, summary: Summary, on_event: Listener) -> None:
        self._dataset, self._summary, self._on_event = dataset, summary, on_event
        self._counted = self._told = ""

    def record(self, record: Record) -> None:
        """Write a record down, and count it."""
        self._dataset.manifest.add(record)
        self.count(record)

    def count(self, record: Record) -> None:
        """Count a mask or an image, unless it is another place of the same one."""
        if record.kind == "mask":
            self._summary.count(record, name=record.path.removeprefix("masks/"))
        elif (name := _image_name(record)) != self._counted:
            self._counted = name
            self._summary.count(record, name=name)

    def hear(self, event: Event) -> None:
        """Pass an event on, unless it is of another place of the same image."""
        if isinstance(event, Fetched | Missing | Failed):
            name = event.name.rpartition("/")[2]
            if name == self._told:
                return
            self._told = name
        self._on_event(event)

    def tell(self, record: Record) -> None:
        """Write down, count and tell of what comes from no request."""
        self.record(record)
        self.hear(event_of(record))

    def adopt(self, record: Record) -> None:
        """Write down a mask that stood there whole, though no record said so."""
        self._dataset.manifest.add(record)
        self._summary.masks.present += 1


def _image_name(record: Record) -> str:
    """Name an image by its split and id; the address of one from elsewhere says neither."""
    if "://" in record.key:
        _, split, *_ = PurePosixPath(record.path).parts
        return f"{split}/{PurePosixPath(record.path).stem}"
    _, split, name = record.key.rsplit("/", 2)
    return f"{split}/{name.removesuffix('.jpg')}"
