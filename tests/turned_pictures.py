"""Pictures to be turned, and what their pixels say of it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

WAYS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
BOX = ("XMin", "XMax", "YMin", "YMax")


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Make a smooth picture that looks different from every side."""
    rng = np.random.default_rng(size)
    small = rng.integers(0, 255, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, **options: Any) -> bytes:
    """Encode as JPEG."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **options)
    return out.getvalue()


def pixels(data: bytes) -> npt.NDArray[np.float64]:
    """Decode."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).astype(np.float64)


def loss(data: bytes, made: bytes, degrees: int) -> float:
    """Give the peak signal-to-noise ratio (dB) to what Pillow makes of the decoded picture."""
    with Image.open(io.BytesIO(data)) as image:
        want = np.asarray(image.rotate(degrees, expand=True)).astype(np.float64)
    found = pixels(made)
    assert found.shape == want.shape
    return float(10 * np.log10(255**2 / max(((found - want) ** 2).mean(), 1e-9)))
