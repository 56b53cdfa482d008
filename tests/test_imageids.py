"""Lists of images, as people give them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidkit.errors import UsageError
from oidkit.imageids import ImageList
from oidkit.selection import Selection

IDS = st.integers(0, 2**64 - 1).map("{:016x}".format)
ENTRIES = st.lists(st.builds(str.__add__, st.sampled_from(["", "train/", "test/"]), IDS))


@given(ENTRIES)
def test_a_list_is_parted_by_split(entries: list[str]) -> None:
    """Each split has its own images, as numbers in order, and those that name none are apart."""
    found = ImageList.of(entries)
    every = []
    for split in ("", "train", "validation", "test"):
        ids = sorted({each[-16:] for each in entries if each[:-16].rstrip("/") == split})
        assert [f"{each:016x}" for each in found.of_split(split).tolist()] == ids
        every += [f"{split}/{each}".lstrip("/") for each in ids]
    assert list(found) == every
    assert found == every
    assert found != [*every, "train/0123456789abcdef"]
    assert [found[at] for at in range(len(found))] == found[:] == every
    assert found[-1:] == every[-1:]


def test_a_selection_says_the_same_with_either() -> None:
    """A tuple of texts and a list of images are one selection, as a recipe has it too."""
    entries = ("0123456789abcdef", "train/0123456789abcdef")
    one = Selection((), image_ids=entries)
    other = Selection((), image_ids=ImageList.of(reversed(entries)))
    assert one == other
    assert hash(one) == hash(other)
    assert Selection.from_dict(other.as_dict()) == one


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "train/", "1", "0123456789ABCDEF", "0123456789abcdef0", "Train/0123456789abcdef"),
        *("train\\0123456789abcdef", "test/train/0123456789abcdef", "0123456789abcde\n"),
        *("0123456789abcdef\n", "0123456789abcdef\n0123456789abcdef", "\u0660123456789abcdef"),
    ],
)
def test_what_is_no_image_is_named(wrong: str) -> None:
    """Wherever it stands in a list of any length."""
    rng = random.Random(5)
    entries = [f"train/{rng.getrandbits(64):016x}" for _ in range(100_500)]
    entries[rng.choice([0, 99_999, 100_000, 100_499])] = wrong
    with pytest.raises(UsageError, match="is not the id of an image"):
        ImageList.of(entries)
