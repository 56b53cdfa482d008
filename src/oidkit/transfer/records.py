"""What the manifest says of an image or a mask that has come, or is lost; and its event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from oidkit.disk import Record, Status
from oidkit.errors import IntegrityError, MissingObjectError, SourceError
from oidkit.events import Failed, Fetched, Missing
from oidkit.imagefile import jpeg_size, png_size

if TYPE_CHECKING:
    from oidkit.errors import OidError

__all__ = ["drop_record", "event_of", "image_record", "lost_record", "mask_record"]


def image_record(path: str, key: str, jpeg: bytes, *, check: str) -> Record:
    """Give the record of an image."""
    width, height = jpeg_size(jpeg)
    return Record(path, "image", key, "ok", len(jpeg), check, width=width, height=height)


def mask_record(path: str, key: str, png: bytes, *, check: str) -> Record:
    """Give the record of a mask out of the zip at *key*."""
    width, height = png_size(png)
    return Record(path, "mask", key, "ok", len(png), check, width=width, height=height)


def lost_record(path: str, key: str, error: OidError, *, kind: Literal["image", "mask"]) -> Record:
    """Give the record of an image or a mask that could not be had."""
    status: Status = "damaged" if isinstance(error, IntegrityError) else "failed"
    if isinstance(error, MissingObjectError):
        status = "missing"
    return Record(path, kind, key, status, reason=error.cause)


def event_of(record: Record) -> Fetched | Missing | Failed:
    """Say as an event what a record says."""
    if record.status == "ok":
        return Fetched(record.path, record.bytes)
    if record.status == "missing":
        return Missing(record.path)
    kind = IntegrityError if record.status == "damaged" else SourceError
    return Failed(record.path, record.reason, kind.exit_code)


def drop_record(record: Record) -> None:
    """Take a record and do nothing with it."""
