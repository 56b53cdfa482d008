"""Which images are taken: pure decisions on columns of image ids.

An image id is 16 hex digits, so it is a 64-bit number here; a set of images is a sorted array of
them, 8 bytes each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from oidkit.imageids import distinct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["LISTED", "Choice", "Match", "allotted", "choose", "negative", "union"]

Match = Literal["any", "all"]
_Key = TypeVar("_Key", bound=str)

LISTED = ""
"""Stands for a MID where images are listed by their ids."""
_NOT = "not "
_NONE = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The images of one split: those picked for each class (by MID), and all of them together.

    Under `negative` of a MID are images that were verified not to show the class. Every array is
    sorted and has each image once.
    """

    by_class: Mapping[str, NDArray[np.uint64]]
    images: NDArray[np.uint64]


def negative(mid: str) -> str:
    """Name the images that do not show a class, where a MID names those that do."""
    return f"{_NOT}{mid}"


def choose(
    candidates: Mapping[str, NDArray[np.uint64]],
    *,
    match: Match = "any",
    limit: int | None = None,
    total: int | None = None,
    seed: int = 0,
    without: NDArray[np.uint64] = _NONE,
) -> Choice:
    """Choose among the images that have each class, but for those *without* which it has to be.

    Under `LISTED` are images that are wanted without any class: no match or limit is for them.
    Under `negative` of a MID are those that do not show it: limits are for them, no match is.

    With *match* "all" only images that have every class stay. *limit* keeps at most so many images
    for each class: the first ones in an order that depends on the seed and the image alone. So a
    larger limit keeps all that a smaller one chose, whatever the order of the classes, on any
    machine; and classes that share images tend to pick the same ones.

    *total* then keeps at most so many images altogether: the first of each class, then the second
    of each, and so on, in the same order within a class; an image counts where it comes first. A
    larger total, too, keeps all that a smaller one chose, and so does a larger limit with it.
    """
    having = dict(candidates)
    if match == "all":
        shown = {mid: ids for mid, ids in having.items() if _is_mid(mid)}
        having |= dict.fromkeys(shown, _common(list(shown.values())))
    if len(without):
        having = {
            mid: np.setdiff1d(ids, without, assume_unique=True) for mid, ids in having.items()
        }
    picked = {
        mid: ids if mid == LISTED else _first(ids, limit, seed) for mid, ids in having.items()
    }
    if total is not None:
        picked = _first_of_all(picked, total, seed)
    return Choice(picked, union(picked))


def allotted(
    images: NDArray[np.uint64], shares: Sequence[float], *, seed: int = 0
) -> NDArray[np.int32]:
    """Allot images to groups, each of about its share of them; gives the group's number of each.

    The group of an image depends on the seed and its id alone, so that it stays where it is
    whatever images come to the others, on any machine. The price is that groups are not exactly
    of their shares: of N images a share p gets p * N, give or take about sqrt(N * p * (1 - p)).
    """
    # 53 bits are what a float can tell apart.
    drawn = (_rank(images, seed) >> np.uint64(11)) / float(1 << 53)
    edges = np.cumsum(np.array(shares, dtype=np.float64)) / sum(shares)
    return np.searchsorted(edges[:-1], drawn, side="right").astype(np.int32)


def union(sets: Mapping[_Key, NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Give the images that are in any of the sets."""
    return distinct(list(sets.values()))


def _is_mid(key: str) -> bool:
    return key != LISTED and not key.startswith(_NOT)


def _common(sets: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    common, *others = sets or [_NONE]
    for other in others:
        common = np.intersect1d(common, other, assume_unique=True)
    return common


def _first(ids: NDArray[np.uint64], limit: int | None, seed: int) -> NDArray[np.uint64]:
    if limit is None or len(ids) <= limit:
        return ids
    return np.sort(ids[np.argsort(_rank(ids, seed), kind="stable")[:limit]])


def _first_of_all(
    picked: Mapping[str, NDArray[np.uint64]], total: int, seed: int
) -> dict[str, NDArray[np.uint64]]:
    """Take images from the classes in turn; which of a turn come first is left to the rank."""
    images = union(picked)
    if len(images) > total:
        turn = np.full(len(images), len(images))
        for ids in picked.values():
            ranked = ids[np.argsort(_rank(ids, seed), kind="stable")]
            at = np.searchsorted(images, ranked)
            turn[at] = np.minimum(turn[at], np.arange(len(ranked)))
        images = np.sort(images[np.lexsort((_rank(images, seed), turn))[:total]])
    return {mid: np.intersect1d(ids, images, assume_unique=True) for mid, ids in picked.items()}


def _rank(ids: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Mix id and seed into a number that looks random (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        start = _mixed(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
        return _mixed(ids ^ start)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
