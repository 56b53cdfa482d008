"""Whether bytes are a whole JPEG, told from their structure alone."""

from __future__ import annotations

__all__ = ["jpeg_fault"]

_START, _END = b"\xff\xd8", b"\xff\xd9"
_MARK, _SCAN = 0xFF, 0xDA
# Markers that stand alone, without a length: TEM and the restarts (ITU-T T.81, table B.1).
_BARE = {0x01, *range(0xD0, 0xD8)}


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
    place = 2
    while True:
        if place + 4 > len(data):
            return "the JPEG is cut short"
        if data[place] != _MARK:
            return "the JPEG is damaged"
        marker = data[place + 1]
        if marker == _MARK or marker in _BARE:
            place += 1 if marker == _MARK else 2
            continue
        if marker == _SCAN:
            break
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None if data.find(_END, place) >= 0 else "the JPEG is cut short"
