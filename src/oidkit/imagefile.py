"""What the headers of an image file tell: whether a JPEG is whole, how large a picture is."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LARGEST_PICTURE", "bomb_fault", "jpeg_fault", "jpeg_size", "png_size"]

LARGEST_PICTURE = 1 << 26
"""Pixels of the largest picture that is decoded: more than any camera of the published ones had."""
# A progressive JPEG has some ten scans, each of which goes over all of its pixels; a colour profile
# takes up to 255 segments.
_MOST_SCANS, _MOST_SEGMENTS = 200, 4096
_PACKED_TEXT, _MOST_TEXTS = (b"zTXt", b"iTXt"), 64

_START, _END, _SCANS = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
_MARK, _SCAN, _NO_MARKER = 0xFF, 0xDA, -1
# Markers that stand alone, without a length: TEM and the restarts (ITU-T T.81, table B.1).
_BARE = {0x01, *range(0xD0, 0xD8)}
# Start of frame, of every process; C4, C8 and CC are other things. DHP comes before the frames of
# a hierarchical JPEG and has the size of the whole image, where a frame may be smaller (B.3.2).
_FRAMES = {*range(0xC0, 0xD0), 0xDE} - {0xC4, 0xC8, 0xCC}
# Where a frame leaves its height open, DNL tells it after the first scan (B.2.5).
_LINES = b"\xff\xdc\x00\x04"
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def jpeg_fault(data: bytes) -> str | None:
    """Say why *data* is not a whole JPEG, or None where it is one.

    The segments are walked up to the first scan (ITU-T T.81, annex B), after which the end marker
    must follow. Pixels are not decoded: a flipped bit within the scan goes unseen.
    """
    if not data:
        return "it is empty"
    if not data.startswith(_START):
        text = data[:64].lstrip().lower()
        page = text.startswith((b"<!doctype", b"<html", b"<?xml"))
        return "it is a web page, not a JPEG" if page else "it is not a JPEG"
    for marker, place in _segments(data):
        if marker == _NO_MARKER:
            return "the JPEG is damaged"
        if marker == _SCAN and data.find(_END, place) >= 0:
            return None
    return "the JPEG is cut short"


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Give the width and height in pixels that a JPEG's frame header tells (ITU-T T.81, B.2.2).

    They are those of the pixels as they are stored: an orientation in EXIF is not applied. The
    beginning of a file does, up to its frame header. (0, 0) stands for bytes that do not tell.
    """
    if not data.startswith(_START):
        return 0, 0
    width = height = 0
    for marker, place in _segments(data):
        if marker in _FRAMES and place + 9 <= len(data) and not width:
            height = int.from_bytes(data[place + 5 : place + 7], "big")
            width = int.from_bytes(data[place + 7 : place + 9], "big")
            if height:
                break
        elif marker == _SCAN and width and (found := data.find(_LINES, place)) >= 0:
            height = int.from_bytes(data[found + 4 : found + 6], "big")
    return (width, height) if width and height else (0, 0)


def png_size(data: bytes) -> tuple[int, int]:
    """Give the width and height in pixels that a PNG's first chunk tells, or (0, 0)."""
    if not data.startswith(_PNG):
        return 0, 0
    place = len(_PNG)
    width = int.from_bytes(data[place : place + 4], "big")
    height = int.from_bytes(data[place + 4 : place + 8], "big")
    return (width, height) if width and height else (0, 0)


def bomb_fault(data: bytes, *, most: int = LARGEST_PICTURE) -> str | None:
    """Say why a JPEG or PNG would take too much memory or time to decode, or None.

    It has more than *most* pixels, or more scans, segments or packed comments than any honest
    writer makes.
    """
    width, height = jpeg_size(data) if data.startswith(_START) else png_size(data)
    if width * height > most:
        return f"it has {width:,} by {height:,} pixels, which are too many"
    if sum(map(data.count, _PACKED_TEXT)) > _MOST_TEXTS and data.startswith(_PNG):
        return f"it has more than {_MOST_TEXTS} packed comments"
    if not data.startswith(_START):
        return None
    # Between pixels no other byte but 0 follows FF, so that these two are always a scan's.
    if data.count(_SCANS) > _MOST_SCANS:
        return f"it has more than {_MOST_SCANS} scans"
    if next(itertools.islice(_segments(data), _MOST_SEGMENTS, None), None) is not None:
        return f"it has more than {_MOST_SEGMENTS} segments"
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Give the segments up to the first scan, or as far as the bytes go: marker and place.

    Where there should be a marker and is none, the last is `_NO_MARKER`.
    """
    place = 2
    while place + 4 <= len(data):
        marker = data[place + 1] if data[place] == _MARK else _NO_MARKER
        if marker == _MARK or marker in _BARE:
            place += 1 if marker == _MARK else 2
            continue
        yield marker, place
        if marker in (_SCAN, _NO_MARKER):
            return
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
