"""Image labels, relationships and points of a made release: CSVs derived from its boxes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from oidkit import catalog
from oidkit.testing.blocks import blocks_of, random_of
from oidkit.testing.classes import image_level_classes
from oidkit.testing.coordinates import Fractions
from oidkit.testing.narratives import write_narratives
from oidkit.testing.outside import outside_labels
from oidkit.testing.rows import BlockRows, image_sizes
from oidkit.testing.tables import AnnotationWriter, hex_texts, open_new

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.catalog import Label, Split
    from oidkit.testing.spec import ReleaseSpec

__all__ = ["write_other_labels"]

_STREAM = 6
_RELATIONS = ("at", "on", "holds", "wears", "interacts_with", "inside_of")
_ATTRIBUTES = (
    ("/m/02gy9n", "Transparent"),
    ("/m/05z87", "Plastic"),
    ("/m/0dnr7", "(made of)Textile"),
    ("/m/04lbp", "(made of)Leather"),
    ("/m/083vt", "Wooden"),
)
_IS = "is"
_LABEL_HEADER = "ImageID,Source,LabelName,Confidence"
_RELATIONSHIP_HEADER = (
    "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,"
    "RelationshipLabel"
)
_POINT_HEADER = "ImageId,X,Y,Label,EstimatedYesNo,Source,YesVotes,NoVotes,UnsureVotes,TextLabel"
Frames = Callable[[BlockRows, np.random.Generator], pl.DataFrame]


def write_other_labels(
    root: Path, spec: ReleaseSpec, writer: AnnotationWriter, split: Split
) -> dict[str, int]:
    """Write the files of every asked label but boxes and masks; give key -> rows."""
    tables = _Tables(spec, writer, split)
    wanted: dict[str, tuple[str, Frames]] = {}
    if "image-labels" in spec.labels:
        for release in spec.releases:
            boxable = catalog.boxable_image_labels(release, split).key
            wanted[boxable] = _LABEL_HEADER, tables.boxable_labels
        for key in _keys(spec, "image-labels", split):
            machine = "machine" in key
            made = tables.machine_labels if machine else tables.human_labels
            wanted[key] = _LABEL_HEADER, made
    for key in _keys(spec, "relationships", split):
        wanted[key] = _RELATIONSHIP_HEADER, tables.relationships
    for key in _keys(spec, "points", split):
        wanted[key] = _POINT_HEADER, tables.points
    rows: dict[str, int] = {}
    for key, (header, frames) in wanted.items():
        with open_new(root, key) as file:
            file.write(f"{header}\n".encode())
            rows[key] = 0
            blocks = blocks_of(spec, split)
            outside = tables.outside(key)
            for block in writer.blocks(split):
                frame = frames(block, random_of(spec, split, block.block.number, _STREAM))
                if outside is not None:
                    last = block.block.number == len(blocks) - 1
                    frame, outside = _woven(frame, outside, last=last)
                frame.write_csv(file, include_header=False, quote_style="necessary")
                rows[key] += frame.height
    if _keys(spec, "relationships", split):
        _write_descriptions(root, spec, writer)
    if narratives := _keys(spec, "narratives", split):
        rows |= write_narratives(root, spec, writer=writer, split=split, keys=narratives)
    return rows


def _keys(spec: ReleaseSpec, label: Label, split: Split) -> list[str]:
    """Give the keys of a label in all releases that are still given out, each once."""
    if label not in spec.labels:
        return []
    keys: dict[str, None] = {}
    for release in spec.releases:
        if label in catalog.labels_of(release):
            files = catalog.tables(release, label, split)
            keys |= {file.key: None for file in files if not file.gone}
    return list(keys)


class _Tables:
    """One block's rows of each kind of label, in the published columns, in ImageID order."""

    def __init__(self, spec: ReleaseSpec, writer: AnnotationWriter, split: Split) -> None:
        extra = image_level_classes(spec.image_level_classes)
        every = (*writer.classes, *extra)
        self._boxable = len(writer.classes)
        self._mids = pl.Series([each.mid for each in every])
        self._names = pl.Series([each.v7.lower() for each in every])
        self._attributes = pl.Series([mid for mid, _ in _ATTRIBUTES])
        self._relations = pl.Series([*_RELATIONS, _IS])
        self._fractions = Fractions(size for pair in image_sizes(spec) for size in pair)
        self._spec, self._split = spec, split

    def outside(self, key: str) -> pl.DataFrame | None:
        """Make the labels that a file has of images outside the bucket; None where it has none."""
        kinds = ("human-imagelabels.csv", "machine-imagelabels.csv")
        if self._split != "train" or not self._spec.outside or not key.endswith(kinds):
            return None
        mids = self._mids.to_list()
        return outside_labels(self._spec, self._split, mids, machine="machine" in key)

    def boxable_labels(self, made: BlockRows, rng: np.random.Generator) -> pl.DataFrame:
        """Make verified labels of boxable classes: 1 for those with a box, 0 for some without."""
        return self._verified(made, rng, classes=self._boxable)

    def human_labels(self, made: BlockRows, rng: np.random.Generator) -> pl.DataFrame:
        """Make verified labels of all classes."""
        return self._verified(made, rng, classes=len(self._mids))

    def machine_labels(self, made: BlockRows, rng: np.random.Generator) -> pl.DataFrame:
        """Make labels of a classifier, at 0.5 to 1.0."""
        image = np.repeat(np.arange(made.block.images), self._spec.machine_labels)
        pair = np.unique(image * len(self._mids) + rng.integers(0, len(self._mids), len(image)))
        shares = pl.Series([f"0.{tenth}" for tenth in range(5, 10)] + ["1.0"])
        return self._labels(
            made,
            pair,
            source=pl.Series(["machine"] * len(pair), dtype=pl.String),
            confidence=shares.gather(rng.integers(0, len(shares), len(pair)).astype(np.uint32)),
        )

    def _verified(self, made: BlockRows, rng: np.random.Generator, *, classes: int) -> pl.DataFrame:
        """Mix labels of the first *classes* that are there with a few that are not."""
        every = len(self._mids)
        there = np.unique(made.image.astype(np.int64) * every + made.label)
        image = np.repeat(np.arange(made.block.images), self._spec.absences)
        asked = image * every + rng.integers(0, classes, len(image))
        absent = np.setdiff1d(asked, there)
        pair = np.union1d(there, absent)
        sources = pl.Series(["verification", "crowdsource-verification"])
        return self._labels(
            made,
            pair,
            source=sources.gather((rng.random(len(pair)) < 0.2).astype(np.uint32)),
            confidence=pl.Series(np.isin(pair, there).astype(np.int8)).cast(pl.String),
        )

    def _labels(
        self, made: BlockRows, pair: np.ndarray, *, source: pl.Series, confidence: pl.Series
    ) -> pl.DataFrame:
        image, label = np.divmod(pair, len(self._mids))
        return pl.DataFrame(
            {
                "ImageID": _ids(made).gather(image.astype(np.uint32)),
                "Source": source,
                "LabelName": self._mids.gather(label.astype(np.uint32)),
                "Confidence": confidence,
            }
        )

    def relationships(self, made: BlockRows, rng: np.random.Generator) -> pl.DataFrame:
        """Relate boxes of one image to each other, or to an attribute by `is`."""
        boxes = len(made.image)
        follows = np.zeros(boxes, dtype=np.bool_)
        follows[:-1] = made.image[1:] == made.image[:-1]
        first = np.flatnonzero(follows & (rng.random(boxes) < 0.4))
        attribute = rng.random(len(first)) < 0.3
        second = np.where(attribute, first, first + 1)
        mids = self._mids.gather(made.label[second])
        drawn = rng.integers(0, len(_ATTRIBUTES), len(first)).astype(np.uint32)
        relation = np.where(
            attribute, len(_RELATIONS), rng.integers(0, len(_RELATIONS), len(first))
        )
        columns = {
            "ImageID": _ids(made).gather(made.image[first]),
            "LabelName1": self._mids.gather(made.label[first]),
            "LabelName2": pl.select(
                pl.when(pl.Series(attribute)).then(self._attributes.gather(drawn)).otherwise(mids)
            ).to_series(),
        }
        for nth, at in ((1, first), (2, second)):
            columns |= self._box(made, at, nth)
        columns["RelationshipLabel"] = self._relations.gather(relation.astype(np.uint32))
        return pl.DataFrame(columns)

    def _box(self, made: BlockRows, at: np.ndarray, nth: int) -> dict[str, pl.Series]:
        width, height = made.width[made.image[at]], made.height[made.image[at]]
        texts = self._fractions.texts
        return {
            f"XMin{nth}": texts("short", made.x0[at], width),
            f"XMax{nth}": texts("short", made.x1[at], width),
            f"YMin{nth}": texts("short", made.y0[at], height),
            f"YMax{nth}": texts("short", made.y1[at], height),
        }

    def points(self, made: BlockRows, rng: np.random.Generator) -> pl.DataFrame:
        """Put points in the middle of boxes, with the votes on whether the class is there."""
        at = np.flatnonzero(rng.random(len(made.image)) < 0.5)
        count = len(at)
        image, label = made.image[at], made.label[at]
        votes = rng.integers(0, 4, (3, count))
        verdict = np.where(votes[0] > votes[1], 0, np.where(votes[1] > votes[0], 1, 2))
        sources = pl.Series(["ih", "cc"])
        middle = ((made.x0[at] + made.x1[at]) // 2, (made.y0[at] + made.y1[at]) // 2)
        return pl.DataFrame(
            {
                "ImageId": _ids(made).gather(image),
                "X": self._fractions.texts("short", middle[0], made.width[image]),
                "Y": self._fractions.texts("short", middle[1], made.height[image]),
                "Label": self._mids.gather(label),
                "EstimatedYesNo": pl.Series(["yes", "no", "unsure"]).gather(
                    verdict.astype(np.uint32)
                ),
                "Source": sources.gather((rng.random(count) < 0.5).astype(np.uint32)),
                "YesVotes": pl.Series(votes[0]),
                "NoVotes": pl.Series(votes[1]),
                "UnsureVotes": pl.Series(votes[2]),
                "TextLabel": self._names.gather(label),
            }
        )


def _woven(
    frame: pl.DataFrame, more: pl.DataFrame, *, last: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put in, in ImageID order, those of *more* that belong before the next block; and the rest."""
    end = frame["ImageID"].max() or ""
    now = pl.lit(last) | (pl.col("ImageID") <= end)
    both = pl.concat([frame, more.filter(now)]).sort("ImageID", maintain_order=True)
    return both, more.filter(~now)


def _ids(made: BlockRows) -> pl.Series:
    return pl.Series(hex_texts(made.ids, 16), dtype=pl.String)


def _write_descriptions(root: Path, spec: ReleaseSpec, writer: AnnotationWriter) -> None:
    """Write what relationships and attributes are called, and which triplets there are."""
    mids = [each.mid for each in writer.classes[:8]]
    triplets = [
        f"{one},{two},{name}" for name in _RELATIONS for one, two in itertools.pairwise(mids)
    ]
    triplets += [f"{mids[0]},{mid},{_IS}" for mid, _ in _ATTRIBUTES]
    for release in spec.releases:
        texts = {
            catalog.attributes_file(release).key: [f"{mid},{name}" for mid, name in _ATTRIBUTES],
            catalog.relationships_file(release).key: [f"{each},{each}" for each in _RELATIONS],
            catalog.triplets_file(release).key: [
                "LabelName1,LabelName2,RelationshipLabel",
                *triplets,
            ],
        }
        for key, lines in texts.items():
            with open_new(root, key) as file:
                file.write("".join(f"{line}\n" for line in lines).encode())
