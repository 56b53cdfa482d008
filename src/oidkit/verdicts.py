"""What people found when they looked: verdicts on images and annotations, in `.oid/review.csv`.

::

    Split,ImageID,Annotation,Verdict,Note,Reviewer,Time
    train,000595fe6fee6369,,bad,twice the same picture,ada,2026-03-01T10:11:12Z
    train,000a1249af2bc5f0,boxes /m/0gxl3 0.0227 0.071 0.9642 0.8005,bad,,ada,2026-03-01T10:12:00Z

An annotation has no id of its own, so it is named by what it is: label type, classes, and the
coordinates, normalised, rounded to 6 decimals. An empty Annotation is the image itself.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from oidkit.catalog import BUCKET_SPLITS
from oidkit.disk import locked, naming, stamp, write_atomically
from oidkit.errors import DiskError, MalformedError
from oidkit.taxonomy import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from oidkit.disk import Stamp
    from oidkit.objectpath import Location

__all__ = [
    "REVIEW",
    "Mark",
    "Merged",
    "Review",
    "Verdict",
    "changed_review",
    "clean",
    "key_of",
    "read_review",
]

Verdict = Literal["bad", "good", ""]
REVIEW = ".oid/review.csv"
"""Where the verdicts of a dataset stand."""
_COLUMNS = ("Split", "ImageID", "Annotation", "Verdict", "Note", "Reviewer", "Time")
_NOTE = 2_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""Of any other time, as a spreadsheet may write it, nobody knows whether it is earlier."""
_MEND = "mend that line, or move the file away to begin anew"
_KEYED: Mapping[str, tuple[str, ...]] = {
    "boxes": ("LabelName", "XMin", "YMin", "XMax", "YMax"),
    "masks": ("MaskPath",),
    "image-labels": ("LabelName", "Source"),
    "relationships": (
        *("LabelName1", "RelationshipLabel", "LabelName2"),
        *("XMin1", "YMin1", "XMax1", "YMax1", "XMin2", "YMin2", "XMax2", "YMax2"),
    ),
    "points": ("Label", "X", "Y"),
}
"""The published columns that tell an annotation from the others of its image."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A verdict on an image, or with an `annotation` on one of it; "" for a note alone.

    `image` is ``split/ImageID``; `time` is UTC as ``2026-03-01T10:11:12Z``.
    """

    image: str
    annotation: str
    verdict: Verdict
    note: str = ""
    reviewer: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to: marks that are new, and those that took or lost against another."""

    added: int
    replaced: int
    kept: int


@dataclass(slots=True)
class Review:
    """The marks of a dataset, one for each image and annotation at most.

    `seen` is the stamp of the file that has them: as long as it is that, nothing is to be read.
    """

    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)
    seen: Stamp | None = field(default=None, compare=False)
    _by_image: dict[str, dict[str, Mark]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the marks."""
        return len(self.marks)

    def of(self, image: str) -> dict[str, Mark]:
        """Give the marks of an image by annotation; that of the image itself has the key ""."""
        return dict(self._by_image.get(image, {}))

    def images(self, verdict: Verdict) -> list[str]:
        """Name the images with a mark of that verdict, on them or an annotation of theirs."""
        return sorted({mark.image for mark in self.marks.values() if mark.verdict == verdict})

    def put(self, mark: Mark) -> None:
        """Set a mark in the place of an earlier one."""
        self.marks[mark.image, mark.annotation] = mark
        self._by_image.setdefault(mark.image, {})[mark.annotation] = mark

    def remove(self, image: str, annotation: str) -> None:
        """Take a mark back."""
        self.marks.pop((image, annotation), None)
        self._by_image.get(image, {}).pop(annotation, None)

    def merge(self, other: Iterable[Mark]) -> Merged:
        """Take the marks of somebody else; of two for one thing the later stays.

        Of two of one time it is the same one, whoever takes in whose.
        """
        added = replaced = kept = 0
        for mark in other:
            before = self.marks.get((mark.image, mark.annotation))
            if before is None:
                added += 1
            elif _rank(before) >= _rank(mark):
                kept += before != mark
                continue
            else:
                replaced += 1
            self.put(mark)
        return Merged(added, replaced, kept)

    def printed(self) -> bytes:
        """Give the file, sorted by image and annotation."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for _, mark in sorted(self.marks.items()):
            rest = (mark.annotation, mark.verdict, mark.note, mark.reviewer, mark.time)
            rows.writerow((*mark.image.split("/"), *rest))
        return out.getvalue().encode()


def _rank(mark: Mark) -> tuple[str, str, str, str]:
    return mark.time, mark.verdict, mark.note, mark.reviewer


def clean(note: str) -> str:
    """Leave of a note what can be printed, and its line ends; at most 2,000 characters."""
    lines = note.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each if each.isprintable() or each == "\n" else " " for each in lines)[:_NOTE]


def key_of(label: str, row: Mapping[str, Any]) -> str:
    """Name an annotation by its published columns; coordinates are rounded to 6 decimals."""
    return " ".join((label, *(_text(row[name]) for name in _KEYED[label])))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)


def read_review(path: Location) -> Review:
    """Read a file of verdicts; one that is not there has none.

    Raises:
        MalformedError: it is not such a file; the line is named.
        DiskError: it cannot be read.

    """
    # Before it is read: what is written meanwhile is seen the next time.
    seen = stamp(path)
    if seen is None:
        return Review()
    if not path.is_file():
        raise _unreadable(path, "it is no file", remedy="remove it")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _malformed(path, 1, "is no text in UTF-8") from error
    except OSError as error:
        raise _unreadable(path, (error.strerror or "the disk does not give it").lower()) from error
    review = Review(seen=seen)
    try:
        review.merge(_marks(path, text))
    except csv.Error as error:
        raise MalformedError(f"{path} cannot be read: {error}", remedy=_MEND) from error
    return review


@contextlib.contextmanager
def changed_review(root: Path) -> Iterator[Review]:
    """Hold the verdicts of a dataset for a change, which is written when the block ends well.

    The file is read anew under a lock: two explorers lose nothing of each other.

    Raises:
        MalformedError: the file that is there is no such file.
        DiskError: it cannot be written.

    """
    path = root / REVIEW
    with locked(path.with_name("review.lock")):
        review = read_review(path)
        yield review
        with naming(path):
            write_atomically(path, review.printed())
        review.seen = stamp(path)


def _marks(path: Location, text: str) -> Iterator[Mark]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise _malformed(path, 1, f"has no column {missing[0]}")
    for row in rows:
        line, image_id = rows.line_num, row["ImageID"] or ""
        if row["Split"] not in BUCKET_SPLITS or not IMAGE_ID_PATTERN.fullmatch(image_id):
            raise _malformed(path, line, "names no image: it needs a split and 16 hex digits")
        verdict = row["Verdict"]
        if verdict not in get_args(Verdict):
            raise _malformed(path, line, f"has the verdict '{verdict}', which is not bad or good")
        if not verdict and not row["Note"]:
            raise _malformed(path, line, "has neither a verdict nor a note")
        yield Mark(
            image=f"{row['Split']}/{image_id}",
            annotation=row["Annotation"] or "",
            verdict=verdict,  # type: ignore[arg-type]
            note=clean(row["Note"] or ""),
            reviewer=clean(row["Reviewer"] or ""),
            time=row["Time"] if _TIME.fullmatch(row["Time"] or "") else "",
        )


def _unreadable(path: Location, because: str, *, remedy: str = "") -> DiskError:
    return DiskError(path, because=because, remedy=remedy, cause=f"cannot read {path}: {because}")


def _malformed(path: Location, line: int, fault: str) -> MalformedError:
    return MalformedError(
        f"{path} cannot be read: line {line} {fault}",
        remedy=_MEND,
    )
