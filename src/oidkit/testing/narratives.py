"""Localized narratives of a made release: a spoken description of an image, as JSON lines."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from oidkit import catalog
from oidkit.testing.blocks import random_of
from oidkit.testing.tables import AnnotationWriter, hex_texts, open_new

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oidkit.catalog import Split
    from oidkit.testing.rows import BlockRows
    from oidkit.testing.spec import ReleaseSpec

__all__ = ["write_narratives"]

_STREAM = 7
# of the boxable train images, 507,444 of 1,743,042 have one; nearly all of the other splits do
_TRAIN_SHARE = 0.29
_POINTS = 12


def write_narratives(
    root: Path,
    spec: ReleaseSpec,
    *,
    writer: AnnotationWriter,
    split: Split,
    keys: Sequence[str],
) -> dict[str, int]:
    """Deal the split's narratives out to its files, their text to one more; give key -> lines."""
    release = next(each for each in spec.releases if "narratives" in catalog.labels_of(each))
    captions = catalog.captions_file(release, split).key
    rows = dict.fromkeys((*keys, captions), 0)
    with ExitStack() as stack:
        files = [stack.enter_context(open_new(root, key)) for key in keys]
        texts = stack.enter_context(open_new(root, captions))
        for made in writer.blocks(split):
            rng = random_of(spec, split, made.block.number, _STREAM)
            ids = hex_texts(made.ids, 16)
            told = rng.random(made.block.images) < (_TRAIN_SHARE if split == "train" else 1.0)
            for at in np.flatnonzero(told).tolist():
                narrative = _narrative(made, at, writer, rng)
                whole = {"dataset_id": f"open_images_{split}", "image_id": ids[at]} | narrative
                line = json.dumps(whole)
                # What it is about and the text are the first four fields.
                text = json.dumps(dict(list(whole.items())[:4]))
                texts.write(text.encode() + b"\n")
                rows[captions] += 1
                nth = (made.block.first + at) % len(keys)
                files[nth].write(line.encode() + b"\n")
                rows[keys[nth]] += 1
    return rows


def _narrative(
    made: BlockRows, at: int, writer: AnnotationWriter, rng: np.random.Generator
) -> dict[str, Any]:
    start, stop = np.searchsorted(made.image, [at, at + 1]).tolist()
    names = [writer.classes[label].v7.lower() for label in made.label[start:stop].tolist()]
    words = ["In", "this", "image", "there", "is", *", a ".join(names or ["nothing"]).split()]
    caption = " ".join(words) + "."
    times = np.round(np.cumsum(rng.uniform(0.1, 0.5, len(words))), 2).tolist()
    # the mouse may leave the image: coordinates below 0 and above 1 occur
    trace = np.round(rng.uniform(-0.05, 1.05, (_POINTS, 2)), 4).tolist()
    return {
        "annotator_id": int(rng.integers(200)),
        "caption": caption,
        "timed_caption": [
            {"utterance": word, "start_time": begun, "end_time": ended}
            for word, begun, ended in zip(words, [0.0, *times], times, strict=False)
        ],
        "traces": [
            [{"x": x, "y": y, "t": round(0.05 * nth, 2)} for nth, (x, y) in enumerate(trace)]
        ],
        "voice_recording": f"open_images_{made.block.split}/{made.block.first + at}.ogg",
    }
