"""What the explorer says about a dataset: plain values for its page, out of an exhibit."""

from __future__ import annotations

import getpass
import math
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from oidkit.catalog import BUCKET_SPLITS
from oidkit.colours import colour_of
from oidkit.disk import stamp
from oidkit.errors import UsageError
from oidkit.schema import FLAGS
from oidkit.tables.sieve import Sifter
from oidkit.verdicts import (
    REVIEW,
    Mark,
    Review,
    changed_review,
    clean,
    key_of,
    read_review,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oidkit.tables.exhibit import Exhibit
    from oidkit.tables.sieve import Sieve
    from oidkit.verdicts import Verdict

__all__ = ["Pictures", "Viewer"]

_CORNERS = ("XMin", "YMin", "XMax", "YMax")
_MOST_IMAGES = 500
_DRAWN = ("boxes", "masks", "points", "relationships")


class Pictures(Protocol):
    """Where the pixels come from: files of a dataset, or a source that has them."""

    def image(self, split: str, image_id: str) -> bytes | None:
        """Give the JPEG of an image, or None where it is not to be had."""
        ...

    def thumbnail(self, split: str, image_id: str) -> bytes | None:
        """Give a small JPEG of it, at most 320 pixels on its longer side, or None."""
        ...

    def mask(self, split: str, name: str) -> bytes | None:
        """Give a mask as a PNG in the colour of its class, or None."""
        ...

    def stop(self) -> None:
        """Give up what is waited for: nobody will look at it."""
        ...


@dataclass(slots=True)
class Viewer:
    """Answers for one dataset. *root* is None where there is nothing to review: a plan."""

    exhibit: Exhibit
    pictures: Pictures
    name: str
    release: str
    names: Mapping[str, str]
    root: Path | None = None
    _sifter: Sifter = field(init=False)
    _review: Review = field(default_factory=Review)
    _busy: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Read what was reviewed before."""
        self._sifter = Sifter(self.exhibit)
        if self.root is not None:
            self._look_again()

    def about(self) -> dict[str, Any]:
        """Say what this is."""
        exhibit = self.exhibit
        splits = exhibit.images["split"].cast(str).unique().to_list()
        # Classes of verified absence and attributes have names and colours as well.
        others = {mid for label in exhibit.rows for mid in self._mids(label)} - {*exhibit.mids}
        return {
            "name": self.name,
            "release": self.release,
            "mode": "plan" if self.root is None else "dataset",
            "review": self.root is not None,
            "images": len(exhibit),
            "classes": [
                {"mid": mid, "name": self.names.get(mid, mid), "colour": colour_of(mid)}
                for mid in (*exhibit.mids, *sorted(others))
            ],
            "splits": [split for split in BUCKET_SPLITS if split in splits],
            "labels": [label for label, has in exhibit.labels.items() if has.any()],
        }

    def images(self, sieve: Sieve, *, first: int, count: int) -> dict[str, Any]:
        """Give some of the images that meet a sieve, with what is drawn over them."""
        with self._busy:
            self._look_again()
            chosen = self._sifter.chosen(sieve)
            some = chosen[first : first + min(count, _MOST_IMAGES)].tolist()
            return {
                "total": len(chosen),
                "first": first,
                "images": [self._image(at) for at in some],
            }

    def counts(self, sieve: Sieve) -> dict[str, Any]:
        """Give what each filter would leave."""
        with self._busy:
            self._look_again()
            return self._sifter.counts(sieve)

    def charts(self, sieve: Sieve) -> dict[str, Any]:
        """Give the numbers of the charts."""
        with self._busy:
            return self._sifter.charts(sieve)

    def image(self, split: str, image_id: str, sieve: Sieve) -> dict[str, Any] | None:
        """Give everything about an image, or None where there is none."""
        at = self.exhibit.find(split, image_id)
        if at is None:
            return None
        with self._busy:
            self._look_again()
            chosen = self._sifter.chosen(sieve)
        place = int(np.searchsorted(chosen, at))
        here = place < len(chosen) and int(chosen[place]) == at
        following = place + here
        whole = self._image(at)
        return {
            **whole,
            "labels": [self._label(row) for row in self.exhibit.of("image-labels", at)],
            "narratives": [
                {"caption": row["caption"], "annotator": row["annotator_id"]}
                for row in self.exhibit.of("narratives", at)
                if row["caption"]
            ],
            "metadata": self.exhibit.metadata_of(at),
            "missing": "" if whole["there"] else "this image is not in the folder",
            "place": place if here else None,
            "total": len(chosen),
            "previous": self.exhibit.name(int(chosen[place - 1])) if place else None,
            "next": self.exhibit.name(int(chosen[following])) if following < len(chosen) else None,
        }

    def review(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Take a verdict, write it down, and give those of its image.

        Raises:
            UsageError: it is none, or there is no such image or annotation.
            DiskError: it cannot be written.

        """
        if self.root is None:
            raise UsageError("a plan cannot be reviewed", remedy="download it first")
        values = {name: given.get(name, "") for name in ("image", "annotation", "verdict", "note")}
        if wrong := [name for name, value in values.items() if not isinstance(value, str)]:
            raise UsageError(f"{wrong[0]} is no text", remedy="give a string")
        image, annotation, verdict = values["image"], values["annotation"], values["verdict"]
        at = self.exhibit.find(*_pair(image))
        if at is None or (annotation and annotation not in self._keys(at)):
            raise UsageError("there is no such image or annotation", remedy="load the page again")
        if verdict not in ("bad", "good", ""):
            raise UsageError(f"'{verdict[:40]}' is no verdict", remedy="give bad, good or nothing")
        note = clean(values["note"])
        with self._busy:
            with changed_review(self.root) as review:
                if verdict or note:
                    review.put(self._mark(image, annotation, verdict, note))
                else:
                    review.remove(image, annotation)
            # Only now it is written.
            self._take(review)
        return {"review": self._marks(image)}

    def _look_again(self) -> None:
        """Read the verdicts where somebody else has written them since."""
        if self.root is None:
            return
        path = self.root / REVIEW
        if stamp(path) != self._review.seen:
            self._take(read_review(path))

    # -- parts ----------------------------------------------------------------------------------

    def _take(self, review: Review) -> None:
        self._review = review
        places = {
            verdict: [
                at
                for image in review.images(verdict)
                if (at := self.exhibit.find(*_pair(image))) is not None
            ]
            for verdict in ("bad", "good")
        }
        self._sifter.review(
            {verdict: np.array(found, dtype=np.uint32) for verdict, found in places.items()}
        )

    def _mark(self, image: str, annotation: str, verdict: Verdict, note: str) -> Mark:
        now = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Mark(image, annotation, verdict, note, _reviewer(), now)

    def _marks(self, image: str) -> dict[str, Any]:
        marks = self._review.of(image).items()
        return {key: {"verdict": mark.verdict, "note": mark.note} for key, mark in marks}

    def _keys(self, at: int) -> set[str]:
        labels = (*_DRAWN, "image-labels")
        return {key_of(label, row) for label in labels for row in self.exhibit.of(label, at)}

    def _mids(self, label: str) -> set[str]:
        frame = self.exhibit.rows[label]
        columns = [name for name in frame.columns if name.startswith("Label")]
        return {mid for name in columns for mid in frame[name].unique().to_list() if mid}

    def _image(self, at: int) -> dict[str, Any]:
        split, _, width, height, path, _ = self.exhibit.images.row(at)
        name = self.exhibit.name(at)
        of = self.exhibit.of
        return {
            "image": name,
            "width": width,
            "height": height,
            "there": self.root is None or path is not None,
            "boxes": [_box(row) for row in of("boxes", at)],
            "masks": [self._mask(row, split) for row in of("masks", at)],
            "points": [_point(row) for row in of("points", at)],
            "relationships": [_relationship(row) for row in of("relationships", at)],
            "review": self._marks(name),
        }

    def _mask(self, row: Mapping[str, Any], split: str) -> dict[str, Any]:
        name = row["MaskPath"]
        there = name in self.exhibit.masks_there.get(split, ())
        return {
            "key": key_of("masks", row),
            "mid": row["LabelName"],
            "box": _numbers(row, (f"Box{side}" for side in _CORNERS)),
            "url": f"mask/{split}/{name}" if there else None,
        }

    def _label(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "key": key_of("image-labels", row),
            "mid": row["LabelName"],
            "confidence": row["Confidence"],
            "source": row["Source"],
        }


def _box(row: Mapping[str, Any]) -> dict[str, Any]:
    clicks = [_numbers(row, (f"XClick{nth}X", f"XClick{nth}Y")) for nth in range(1, 5)]
    # A click that is not known has -1.
    known = [click for click in clicks if click is not None and min(click) >= 0]
    return {
        "key": key_of("boxes", row),
        "mid": row["LabelName"],
        "box": _numbers(row, _CORNERS),
        "flags": {word: row[name] if row[name] is not None else -1 for word, name in FLAGS.items()},
        "clicks": known or None,
        "source": row["Source"],
        "confidence": row["Confidence"],
    }


def _point(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": key_of("points", row),
        "mid": row["Label"],
        "x": _number(row["X"]),
        "y": _number(row["Y"]),
        "answer": row["EstimatedYesNo"],
    }


def _relationship(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": key_of("relationships", row),
        "mid1": row["LabelName1"],
        "mid2": row["LabelName2"],
        "kind": row["RelationshipLabel"],
        "box1": _numbers(row, (f"{side}1" for side in _CORNERS)),
        "box2": _numbers(row, (f"{side}2" for side in _CORNERS)),
    }


def _numbers(row: Mapping[str, Any], names: Any) -> list[float] | None:
    """Give some columns as numbers, or None where one of them is none."""
    found = [_number(row[name]) for name in names]
    return None if None in found else found  # type: ignore[return-value]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _pair(image: str) -> tuple[str, str]:
    split, _, image_id = image.partition("/")
    return split, image_id


def _reviewer() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
