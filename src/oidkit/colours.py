"""The colour of a class: the same wherever it is drawn, whatever else is in the dataset."""

from __future__ import annotations

import colorsys
import hashlib

__all__ = ["colour_of", "rgb_of"]

_LIGHTNESS = (0.45, 0.55, 0.65)
_SATURATION = (0.75, 0.95)


def rgb_of(mid: str) -> tuple[int, int, int]:
    """Give the colour of a class by its MID: red, green and blue, 0 to 255 each.

    It depends on the MID alone. 360 hues, three lightnesses and two saturations: with ten classes
    chance gives two of them the same one in 2 % of the cases.
    """
    seed = hashlib.md5(mid.encode(), usedforsecurity=False).digest()
    hue = int.from_bytes(seed[:4], "big") % 360 / 360
    lightness = _LIGHTNESS[seed[4] % len(_LIGHTNESS)]
    saturation = _SATURATION[seed[5] % len(_SATURATION)]
    red, green, blue = (
        round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, saturation)
    )
    return red, green, blue


def colour_of(mid: str) -> str:
    """Give the colour of a class as pages take it: ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*rgb_of(mid))
