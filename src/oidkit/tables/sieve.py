"""Filters over an exhibit: which images meet them, and what each other choice would leave.

An image meets a sieve when it meets every part of it. The parts that speak of boxes must be met by
one and the same box; a class is met by an annotation of any label type as long as no such part is
set. Every part can be left out, which is how the counts beside a filter come about: those of a
group are taken under all parts but its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oidkit.catalog import BUCKET_SPLITS
from oidkit.schema import FLAGS
from oidkit.tables.exhibit import PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from oidkit.tables.exhibit import Exhibit

    Images = NDArray[np.bool_]

__all__ = ["ANSWERS", "BIN_EDGES", "VERDICTS", "Sieve", "Sifter"]

VERDICTS = ("bad", "good", "none")
ANSWERS = {"yes": 1, "no": 0, "unknown": -1}
BIN_EDGES: Mapping[str, tuple[float, ...]] = {
    "size": (0.0, 0.001, 0.01, 0.05, 0.2, 0.5),
    "boxes": (0, 1, 2, 3, 5, 10, 20, 50),
    "confidence": (0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
}
"""Where bins begin; the last has no end, or ends with 1, which is in it."""
_TOP_CLASSES, _PAIRED, _TOP_PAIRS = 30, 40, 40
_REMEMBERED = 8
_NO_END = float("inf")
Range = tuple[float, float]
"""From and to, half-open; of shares and confidences a `to` of 1 takes in what is 1."""


@dataclass(frozen=True, slots=True)
class Sieve:
    """Filters; what is empty or None is not asked for.

    `any_of`, `all_of`, `none_of` are MIDs; `size` is a share of the image, 0 to 1; `place` is
    column and row of an 8 by 8 grid; `flags` maps a flag to some of yes, no and unknown; `text` is
    words, each of which must occur.
    """

    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    review: tuple[str, ...] = ()
    flags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    size: Range | None = None
    boxes: Range | None = None
    confidence: Range | None = None
    place: tuple[int, int] | None = None
    text: tuple[str, ...] = ()

    @property
    def of_boxes(self) -> bool:
        """Tell whether a part other than the classes speaks of boxes."""
        return bool(self.flags or self.size is not None or self.place is not None)


@dataclass(slots=True, eq=False)
class Sifter:
    """Answers for one exhibit; `reviewed` says of images that have a verdict which they have."""

    exhibit: Exhibit
    reviewed: Mapping[str, NDArray[np.uint32]] = field(default_factory=dict)
    _known: dict[Sieve, NDArray[np.uint32]] = field(default_factory=dict)
    """The last answers: a page asks for the same images again and again."""

    def review(self, reviewed: Mapping[str, NDArray[np.uint32]]) -> None:
        """Take other verdicts: images with a bad, and with a good one."""
        self.reviewed = reviewed
        self._known.clear()

    def chosen(self, sieve: Sieve) -> NDArray[np.uint32]:
        """Give the images that meet a sieve, in their order."""
        if (known := self._known.get(sieve)) is None:
            known = np.flatnonzero(self._images(sieve)).astype(np.uint32)
            if len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)), None)
            self._known[sieve] = known
        return known

    def counts(self, sieve: Sieve) -> dict[str, Any]:
        """Count the images that each choice of each group would leave, under all other groups."""
        whole = len(self.chosen(sieve))
        return {
            "total": whole,
            "classes": self._by_class(replace(sieve, any_of=())),
            "splits": self._by_split(self._images(replace(sieve, split=()))),
            "labels": self._by_label(self._images(replace(sieve, label=()))),
            "flags": {word: self._by_flag(sieve, word) for word in FLAGS},
            "sizes": self._by_size(replace(sieve, size=None)),
            "boxes": self._by_boxes(self._images(replace(sieve, boxes=None))),
            "confidence": self._by_confidence(self._images(replace(sieve, confidence=None))),
            "review": self._by_review(self._images(replace(sieve, review=()))),
        }

    def charts(self, sieve: Sieve) -> dict[str, Any]:
        """Count what the charts show of the images that meet a sieve.

        `classes` and `pairs` count images, `sizes` and `places` the boxes that meet it as well.
        """
        images, numbers = self._images(sieve), self.exhibit.numbers
        boxes = self._boxes(sieve) & images[numbers.at]
        places = np.bincount(numbers.place[boxes], minlength=PLACES * PLACES)
        members = self.exhibit.members
        of_class = np.bincount(members.mid[images[members.at]], minlength=len(self.exhibit.mids))
        top = np.argsort(-of_class, kind="stable")[:_PAIRED]
        top = top[of_class[top] > 0]
        return {
            "classes": [[self.exhibit.mids[at], int(of_class[at])] for at in top[:_TOP_CLASSES]],
            "sizes": binned(numbers.share[boxes], "size"),
            "places": places.reshape(PLACES, PLACES).tolist(),
            "pairs": self._pairs(images, top),
        }

    # -- which images ---------------------------------------------------------------------------

    def _images(self, sieve: Sieve) -> Images:
        exhibit = self.exhibit
        kept = np.ones(len(exhibit), dtype=np.bool_)
        if sieve.split:
            kept &= np.isin(self._splits(), [BUCKET_SPLITS.index(each) for each in sieve.split])
        if sieve.label:
            kept &= np.any([exhibit.labels[each] for each in sieve.label], axis=0)
        if sieve.boxes is not None:
            kept &= within(self._box_counts(), sieve.boxes, whole=True)
        if sieve.confidence is not None:
            numbers = exhibit.numbers
            kept &= self._hit(numbers.label_at[within(numbers.confidence, sieve.confidence)])
        for word in sieve.text:
            kept &= exhibit.images["text"].str.contains(word, literal=True).to_numpy()
        if sieve.review:
            kept &= np.any([self._verdict(each) for each in sieve.review], axis=0)
        return kept & self._of_classes(sieve)

    def _of_classes(self, sieve: Sieve) -> Images:
        """Meet the classes, together with what is asked of their boxes."""
        exhibit = self.exhibit
        kept = np.ones(len(exhibit), dtype=np.bool_)
        numbers, members = exhibit.numbers, exhibit.members
        fit = self._fit(sieve) if sieve.of_boxes else None
        at, mid = (
            (numbers.at[fit], numbers.mid[fit]) if fit is not None else (members.at, members.mid)
        )
        if sieve.any_of or fit is not None:
            wanted = np.isin(mid, self._classes(sieve.any_of)) if sieve.any_of else slice(None)
            kept &= self._hit(at[wanted])
        for each in self._classes(sieve.all_of):
            kept &= self._hit(at[mid == each])
        if sieve.none_of:
            kept &= ~self._hit(members.at[np.isin(members.mid, self._classes(sieve.none_of))])
        return kept

    def _boxes(self, sieve: Sieve) -> Images:
        """Say which boxes meet what is asked of boxes, and are of one of the classes."""
        fit = self._fit(sieve)
        if wanted := (*sieve.any_of, *sieve.all_of):
            fit &= np.isin(self.exhibit.numbers.mid, self._classes(wanted))
        return fit

    def _fit(self, sieve: Sieve) -> Images:
        """Say which boxes meet flags, size and place."""
        numbers = self.exhibit.numbers
        fit = np.ones(len(numbers.at), dtype=np.bool_)
        for word, answers in sieve.flags:
            fit &= np.isin(numbers.flags[word], [ANSWERS[each] for each in answers])
        if sieve.size is not None:
            fit &= within(numbers.share, sieve.size)
        if sieve.place is not None:
            column, row = sieve.place
            fit &= numbers.place == row * PLACES + column
        return fit

    def _classes(self, mids: Sequence[str]) -> list[int]:
        """Give the numbers of classes; one that the dataset lacks has none that occurs."""
        known = self.exhibit.mids
        return [known.index(mid) if mid in known else len(known) for mid in mids]

    def _hit(self, at: NDArray[np.uint32]) -> Images:
        found = np.zeros(len(self.exhibit), dtype=np.bool_)
        found[at] = True
        return found

    def _splits(self) -> NDArray[np.uint8]:
        return self.exhibit.images["split"].to_physical().to_numpy()

    def _box_counts(self) -> NDArray[np.int64]:
        return np.bincount(self.exhibit.numbers.at, minlength=len(self.exhibit))

    def _verdict(self, verdict: str) -> Images:
        empty = np.empty(0, dtype=np.uint32)
        if verdict != "none":
            return self._hit(self.reviewed.get(verdict, empty))
        return ~(self._verdict("bad") | self._verdict("good"))

    # -- how many -------------------------------------------------------------------------------

    def _by_class(self, sieve: Sieve) -> dict[str, int]:
        kept, exhibit = self._images(sieve), self.exhibit
        at, mid = exhibit.members.at, exhibit.members.mid
        if sieve.of_boxes:
            fit = self._fit(sieve) & (exhibit.numbers.mid >= 0)
            at, mid = exhibit.numbers.at[fit], exhibit.numbers.mid[fit]
            fresh = np.ones(len(at), dtype=np.bool_)
            fresh[1:] = (at[1:] != at[:-1]) | (mid[1:] != mid[:-1])
            at, mid = at[fresh], mid[fresh]
        counted = np.bincount(mid[kept[at]], minlength=len(exhibit.mids))
        return dict(zip(exhibit.mids, counted.tolist(), strict=True))

    def _by_split(self, kept: Images) -> dict[str, int]:
        counted = np.bincount(self._splits()[kept], minlength=len(BUCKET_SPLITS)).tolist()
        return dict(zip(BUCKET_SPLITS, counted, strict=True))

    def _by_label(self, kept: Images) -> dict[str, int]:
        labels = self.exhibit.labels.items()
        return {label: int(np.count_nonzero(kept & has)) for label, has in labels}

    def _by_flag(self, sieve: Sieve, word: str) -> dict[str, int]:
        rest = tuple(each for each in sieve.flags if each[0] != word)
        return {
            answer: int(
                np.count_nonzero(self._images(replace(sieve, flags=(*rest, (word, (answer,))))))
            )
            for answer in ANSWERS
        }

    def _by_size(self, sieve: Sieve) -> list[dict[str, Any]]:
        return [
            each | {"count": int(np.count_nonzero(self._images(replace(sieve, size=span))))}
            for each, span in bins("size")
        ]

    def _by_boxes(self, kept: Images) -> list[dict[str, Any]]:
        return binned(self._box_counts()[kept], "boxes")

    def _by_confidence(self, kept: Images) -> list[dict[str, Any]]:
        numbers = self.exhibit.numbers
        return [
            each
            | {
                "count": int(
                    np.count_nonzero(
                        kept & self._hit(numbers.label_at[within(numbers.confidence, span)])
                    )
                )
            }
            for each, span in bins("confidence")
        ]

    def _by_review(self, kept: Images) -> dict[str, int]:
        return {word: int(np.count_nonzero(kept & self._verdict(word))) for word in VERDICTS}

    def _pairs(self, images: Images, top: NDArray[np.int64]) -> list[list[Any]]:
        """Count the images that two of the most frequent classes share."""
        members = self.exhibit.members
        row = np.full(len(self.exhibit.mids) + 1, -1)
        row[top] = np.arange(len(top))
        kept = images[members.at] & (row[members.mid] >= 0)
        table = np.zeros((len(self.exhibit), len(top)), dtype=np.float32)
        table[members.at[kept], row[members.mid[kept]]] = 1
        shared = np.triu(table.T @ table, k=1)
        order = np.argsort(-shared, axis=None, kind="stable")[:_TOP_PAIRS]
        found = [divmod(int(place), len(top)) for place in order if shared.flat[place]]
        mids = [self.exhibit.mids[at] for at in top]
        return [[mids[one], mids[other], int(shared[one, other])] for one, other in found]


def within(values: NDArray[Any], span: Range, *, whole: bool = False) -> Images:
    """Say which values lie in a range; unless they are *whole* numbers 1 lies in one up to it."""
    low, high = span
    last = (values == 1) & (high == 1 and not whole)
    found: Images = (values >= low) & ((values < high) | last)
    return found


def bins(name: str) -> list[tuple[dict[str, Any], Range]]:
    """Give the bins of a filter, each with its range."""
    edges = BIN_EDGES[name]
    ends = (*edges[1:], None if name == "boxes" else 1.0)
    return [
        ({"from": low, "to": high}, (low, _NO_END if high is None else high))
        for low, high in zip(edges, ends, strict=True)
    ]


def binned(values: NDArray[Any], name: str) -> list[dict[str, Any]]:
    """Count values by bins."""
    return [
        each | {"count": int(np.count_nonzero(within(values, span, whole=name == "boxes")))}
        for each, span in bins(name)
    ]
