"""The colour of a class."""

from __future__ import annotations

import re
import subprocess
import sys

from oidkit.colours import colour_of, rgb_of

HANDGUN, PERSON = "/m/0gxl3", "/m/01g317"


def test_a_colour_is_what_pages_and_pictures_take() -> None:
    """Both forms are the same colour."""
    assert re.fullmatch("#[0-9a-f]{6}", colour_of(HANDGUN))
    assert bytes.fromhex(colour_of(HANDGUN)[1:]) == bytes(rgb_of(HANDGUN))


def test_another_process_gives_the_same_colour() -> None:
    """It hangs on the MID alone, not on a seed of the process."""
    program = f"from oidkit.colours import colour_of; print(colour_of({HANDGUN!r}))"
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == colour_of(HANDGUN)
    assert colour_of(PERSON) != colour_of(HANDGUN)


def test_colours_are_no_greys() -> None:
    """They stand out on both themes and on photos, and are spread over many."""
    found = {rgb_of(f"/m/0{number:05x}") for number in range(600)}
    assert len(found) > 400
    assert all(max(colour) - min(colour) > 120 for colour in found)
