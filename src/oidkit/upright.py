"""Pictures and masks that are turned: a JPEG without loss where that can be done.

With the library `jpeglib` (the extra ``oidkit[upright]``) the coefficients of a JPEG are moved and
nothing is rounded, as ``jpegtran -perfect`` does it. That takes whole blocks of 8 or 16 pixels
along the side that is mirrored. Else the picture is encoded again with its own tables.

A turned file says so inside itself, a JPEG in a comment and a mask in a text chunk: so a later run
knows one that no record knows.
"""

from __future__ import annotations

import importlib.util
import io
import re
import struct
import tempfile
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oidkit.decoding import LARGEST_MASK, UndecodableError, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.JpegImagePlugin import JpegImageFile

__all__ = [
    "CannotTurnError",
    "is_lossless",
    "is_turned_mask",
    "turned_by",
    "turned_jpeg",
    "turned_mask",
]

_NOTE = "turned by {} degrees counter-clockwise by oidkit"
_NOTED = re.compile(rb"turned by (90|180|270) degrees counter-clockwise by oidkit")
_CHUNK = "Comment"
_PNG = b"\x89PNG\r\n\x1a\n"
_SCAN, _COMMENT, _JFIF, _ADOBE, _EXIF = 0xDA, 0xFE, 0xE0, 0xEE, 0xE1
_APPLICATION = range(0xE0, 0xF0)
_ORIENTATION = 0x0112
_QUARTER = (90, 270)
# jpeglib keeps what it reads in variables of its own library.
_ONE_AT_A_TIME = threading.Lock()


class CannotTurnError(ValueError):
    """The bytes cannot be decoded, though they look like a whole file."""


def is_lossless() -> bool:
    """Tell whether the library for turning without loss is there."""
    return importlib.util.find_spec("jpeglib") is not None


def turned_jpeg(data: bytes, degrees: int) -> bytes:
    """Turn a JPEG by 90, 180 or 270 degrees counter-clockwise, and note it in a comment.

    Comments, EXIF and colour profile stay; an orientation in the EXIF becomes 1, as it would turn
    the picture once more. A progressive JPEG becomes a sequential one.

    Raises:
        CannotTurnError: it cannot be decoded.

    """
    try:
        with opened(data, formats=("JPEG",)) as picture:
            picture.load()
            made = _moved(data, picture, degrees) or _encoded(picture, degrees)  # type: ignore[arg-type]
    except UndecodableError as error:
        raise CannotTurnError(f"it cannot be turned: {error}") from error
    note = _segment(_COMMENT, _NOTE.format(degrees).encode())
    kept = [_plain(kind, body) for kind, body in _segments(data) if _is_kept(kind)]
    own = [_segment(kind, body) for kind, body in _segments(made) if kind in (_JFIF, _ADOBE)]
    pixels = [_segment(kind, body) for kind, body in _segments(made) if not _is_extra(kind)]
    head = b"".join([b"\xff\xd8", *own, *kept, note, *pixels])
    return head + made[_scan_of(made) :]


def turned_by(data: bytes) -> int:
    """Say by how many degrees the comment of a JPEG says that it was turned; 0 for none."""
    try:
        notes = [_NOTED.fullmatch(body) for kind, body in _segments(data) if kind == _COMMENT]
    except ValueError:
        return 0
    found = [int(note[1]) for note in notes if note]
    # The last one is ours, whatever the author's comment says.
    return found[-1] if found else 0


def turned_mask(png: bytes, degrees: int) -> bytes:
    """Turn a mask, and give it as a 1-bit PNG with a note; any value but 0 is the object.

    Raises:
        CannotTurnError: it cannot be decoded.

    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    try:
        with opened(png, formats=("PNG",), most=LARGEST_MASK) as mask:
            bits = mask if mask.mode == "1" else mask.convert("L").point(lambda v: 255 * bool(v))
            turned = bits.convert("1", dither=Image.Dither.NONE).transpose(_way(degrees))
    except UndecodableError as error:
        raise CannotTurnError(f"it cannot be turned: {error}") from error
    note = PngInfo()
    note.add_text(_CHUNK, _mask_note(degrees, zlib.crc32(png)))
    turned.info = {}
    out = io.BytesIO()
    turned.save(out, "PNG", pnginfo=note)
    return out.getvalue()


def is_turned_mask(png: bytes, degrees: int, *, crc32: int) -> bool:
    """Tell whether this is, as a whole, the mask with that CRC-32, turned by `turned_mask`."""
    note = _CHUNK.encode() + b"\0" + _mask_note(degrees, crc32).encode()
    place, noted = len(_PNG), False
    if not png.startswith(_PNG):
        return False
    # Every chunk has a checksum of its own (PNG, section 5.3), so that nothing need be decoded.
    while place + 12 <= len(png):
        stop = place + 12 + int.from_bytes(png[place : place + 4], "big")
        kind, body = png[place + 4 : place + 8], png[place + 8 : stop - 4]
        if png[stop - 4 : stop] != zlib.crc32(kind + body).to_bytes(4, "big"):
            return False
        noted = noted or (kind == b"tEXt" and body == note)
        if kind == b"IEND":
            return noted and stop == len(png)
        place = stop
    return False


def _mask_note(degrees: int, crc32: int) -> str:
    return f"{_NOTE.format(degrees)} from crc32:{crc32:08x}"


def _way(degrees: int) -> Any:
    from PIL import Image

    ways = {90: "ROTATE_90", 180: "ROTATE_180", 270: "ROTATE_270"}
    return Image.Transpose[ways[degrees]]


# -- with loss -----------------------------------------------------------------------------------


def _encoded(picture: JpegImageFile, degrees: int) -> bytes:
    """Encode the turned picture with the tables that it had."""
    from PIL.JpegImagePlugin import get_sampling

    across = degrees in _QUARTER
    tables = {
        at: [table[(place % 8) * 8 + place // 8] if across else value for place, value in each]
        for at, table in picture.quantization.items()
        for each in [list(enumerate(table))]
    }
    sampling = get_sampling(picture)
    # Half the colours across (1) would be half of them down, which Pillow cannot write: keep all.
    if sampling < 0 or (sampling == 1 and across):
        sampling = 0
    turned = picture.transpose(_way(degrees))
    turned.info = {}
    out = io.BytesIO()
    turned.save(out, "JPEG", qtables=tables, subsampling=sampling, optimize=True)
    return out.getvalue()


# -- without loss --------------------------------------------------------------------------------


def _moved(data: bytes, picture: JpegImageFile, degrees: int) -> bytes | None:
    """Turn the coefficients, or give None where that cannot be done."""
    if not is_lossless() or picture.mode not in ("L", "RGB"):
        return None
    layers = [(across, down) for _, across, down, _ in picture.layer]
    wide, high = (max(side) if len(layers) > 1 else 1 for side in zip(*layers, strict=True))
    width, height = picture.size
    if (degrees != 270 and width % (8 * wide)) or (degrees != 90 and height % (8 * high)):  # noqa: PLR2004
        return None
    if any(kind == _ADOBE and body[-1:] == b"\0" for kind, body in _segments(data)):
        return None  # RGB as it is, which the library does not tell from YCbCr
    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.jpg", Path(folder) / "target.jpg"
        source.write_bytes(data)
        try:
            _move(source, target, degrees)
        except (OSError, ValueError):
            return None  # a kind of JPEG that the library does not write
        return target.read_bytes()


def _move(source: Path, target: Path, degrees: int) -> None:
    import jpeglib

    jpeg = jpeglib.read_dct(str(source))
    for name in ("Y", "Cb", "Cr"):
        if (blocks := getattr(jpeg, name)) is not None:
            setattr(jpeg, name, _turned_blocks(blocks, degrees))
    if degrees in _QUARTER:
        jpeg.qt = jpeg.qt.swapaxes(1, 2)
        jpeg.samp_factor = jpeg.samp_factor[:, ::-1].copy()
        jpeg.block_dims = jpeg.block_dims[:, ::-1].copy()
        jpeg.height, jpeg.width = jpeg.width, jpeg.height
    jpeg.markers = []
    # Else the library would take arrays of the sizes of the source.
    jpeg.content = None
    jpeg.write_dct(str(target), flags=["+OPTIMIZE_CODING"])


def _turned_blocks(blocks: Any, degrees: int) -> Any:
    """Turn coefficients (down, across, frequency down, frequency across).

    To mirror a cosine is to change the sign of the odd frequencies.
    """
    import numpy as np

    signs = np.where(np.arange(8) % 2, -1, 1).astype(blocks.dtype)
    if degrees in _QUARTER:
        blocks = blocks.transpose(1, 0, 3, 2)
    if degrees in (90, 180):
        blocks = blocks[::-1] * signs[:, None]
    if degrees in (180, 270):
        blocks = blocks[:, ::-1] * signs
    return np.ascontiguousarray(blocks)


# -- segments of a JPEG (ITU-T T.81, annex B) ------------------------------------------------------


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give marker and content of each segment before the first scan."""
    for kind, start, stop in _places(data):
        if kind != _SCAN:
            yield kind, data[start + 4 : stop]


def _scan_of(data: bytes) -> int:
    return next(start for kind, start, _ in _places(data) if kind == _SCAN)


def _places(data: bytes) -> Iterator[tuple[int, int, int]]:
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:  # noqa: PLR2004 - the byte before every marker
            raise ValueError("no marker where one should be")
        kind = data[place + 1]
        if kind == 0xFF:  # noqa: PLR2004 - filling
            place += 1
            continue
        stop = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield kind, place, stop
        if kind == _SCAN:
            return
        place = stop


def _segment(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def _is_extra(kind: int) -> bool:
    return kind == _COMMENT or kind in _APPLICATION


def _is_kept(kind: int) -> bool:
    return _is_extra(kind) and kind not in (_JFIF, _ADOBE)


def _plain(kind: int, body: bytes) -> bytes:
    """Give a segment of the source as it is, but for the orientation that its EXIF asks for."""
    if kind == _EXIF and body.startswith(b"Exif\0\0"):
        body = body[:6] + _unoriented(body[6:])
    return _segment(kind, body)


def _unoriented(tiff: bytes) -> bytes:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        if order is None:
            return tiff
        first = struct.unpack_from(order + "I", tiff, 4)[0]
        count = struct.unpack_from(order + "H", tiff, first)[0]
        for entry in range(first + 2, first + 2 + 12 * count, 12):
            if struct.unpack_from(order + "H", tiff, entry)[0] == _ORIENTATION:
                upright = struct.pack(order + "HH", 1, 0)
                return tiff[: entry + 8] + upright + tiff[entry + 12 :]
    except struct.error:
        pass
    return tiff
