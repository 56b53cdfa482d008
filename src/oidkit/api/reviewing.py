"""The verdicts on a dataset folder, counted, and those of others merged in."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit.api.opening import whole_dataset
from oidkit.errors import UsageError
from oidkit.shelf import folder_of
from oidkit.verdicts import REVIEW, Merged, Review, changed_review, read_review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oidkit.objectpath import Location

__all__ = ["MergedFile", "ReviewCounts", "bad_marks", "review"]


@dataclass(frozen=True, slots=True)
class MergedFile:
    """What came of a file that was merged: marks `added`, `replaced`, and `kept` against it."""

    file: str
    added: int
    replaced: int
    kept: int


@dataclass(frozen=True, slots=True)
class ReviewCounts:
    """The verdicts of a dataset: on `images`, on `annotations`, and how many are `bad` or `good`.

    Notes without a verdict are `noted`.

    `path` is the file that they stand in, to be handed to a colleague.
    """

    path: str
    images: int
    annotations: int
    bad: int
    good: int
    noted: int
    merged: tuple[MergedFile, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Give the counts as plain values."""
        return asdict(self)


def review(root: Path | str, *, merge: Sequence[Path | str] = ()) -> ReviewCounts:
    """Count the verdicts of a dataset folder, after those of the files *merge* were taken in.

    Of two verdicts on one thing the later one stays. All files are read before anything is
    written.

    Raises:
        UsageError: there is no dataset in the folder, or no such file.
        MalformedError: a file is none of verdicts; the line is named.
        DiskError: the verdicts cannot be written.

    """
    folder = folder_of(root, what="a review")
    whole_dataset(folder)
    others = [(path, _read(path)) for path in map(Path, merge)]
    merged = []
    if others:
        with changed_review(folder) as ours:
            for path, theirs in others:
                came = ours.merge(theirs.marks.values())
                merged.append(_named(path, came))
    found = read_review(folder / REVIEW)
    marks = found.marks.values()
    images = sum(not mark.annotation for mark in marks)
    counts = Counter(mark.verdict for mark in marks)
    return ReviewCounts(
        path=str(folder / REVIEW),
        images=images,
        annotations=len(found) - images,
        bad=counts["bad"],
        good=counts["good"],
        noted=counts[""],
        merged=tuple(merged),
    )


def _read(path: Path) -> Review:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", remedy="give the review.csv of a dataset")
    return read_review(path)


def _named(path: Path, came: Merged) -> MergedFile:
    return MergedFile(str(path), came.added, came.replaced, came.kept)


def bad_marks(folder: Location, dropped: str | None) -> tuple[tuple[str, str], ...]:
    """Give the images and annotations that a review found bad, if they are to be left out."""
    if dropped is None:
        return ()
    if dropped != "bad":
        raise UsageError(
            f"'{dropped}' cannot be dropped from a review", remedy="give --drop-reviewed bad"
        )
    marks = read_review(folder / REVIEW).marks.values()
    return tuple((mark.image, mark.annotation) for mark in marks if mark.verdict == "bad")
