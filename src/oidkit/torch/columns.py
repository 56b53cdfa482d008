"""What a dataset knows of its pictures, as tensors that the workers of a loader share.

Lists of objects would be copied into each worker, page by page, as their reference counts change.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oidkit.formats.model import Picture

__all__ = ["Columns", "Texts"]


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts, one behind the other in one tensor of bytes, and where each begins."""

    letters: Any
    starts: Any

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Lay out some texts."""
        # File names are bytes where they are no UTF-8.
        parts = [text.encode("utf-8", "surrogateescape") for text in texts]
        letters = np.frombuffer(b"".join(parts), dtype=np.uint8).copy()
        return cls(_shared(letters), _shared(_starts([len(part) for part in parts])))

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.starts) - 1

    def __getitem__(self, at: int) -> str:
        """Give the text at a place from 0."""
        first, stop = self.starts[at : at + 2].tolist()
        return bytes(self.letters[first:stop].numpy()).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Columns:
    """Pictures and their objects: those of picture i are ``starts[i]`` to ``starts[i + 1]``.

    `boxes` is float64 [M, 4], xmin, ymin, xmax, ymax as shares of the picture, NaN for a mask
    without a box. `labels` is int64 [M] from 1, `crowd` bool [M]. `masks` are paths, or empty.
    """

    ids: Texts
    paths: Texts
    starts: Any
    boxes: Any
    labels: Any
    crowd: Any
    masks: Texts

    @classmethod
    def of(cls, pictures: Iterable[Picture]) -> Self:
        """Lay out some pictures."""
        ids, paths, counts = [], [], []
        boxes, labels, crowd, masks = [], [], [], []
        nowhere = (np.nan,) * 4
        for picture in pictures:
            ids.append(picture.image_id)
            paths.append(str(Path(str(picture.path)).absolute()))
            counts.append(len(picture.things))
            for thing in picture.things:
                boxes.append(thing.box or nowhere)
                labels.append(thing.category + 1)
                crowd.append(thing.flags.group_of == 1)
                masks.append("" if thing.mask is None else str(Path(str(thing.mask)).absolute()))
        return cls(
            Texts.of(ids),
            Texts.of(paths),
            _shared(_starts(counts)),
            _shared(np.array(boxes, dtype=np.float64).reshape(-1, 4)),
            _shared(np.array(labels, dtype=np.int64)),
            _shared(np.array(crowd, dtype=np.bool_)),
            Texts.of(masks),
        )


def _starts(counts: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.concatenate(([0], np.cumsum(np.array(counts, dtype=np.int64))))


def _shared(values: np.ndarray[Any, Any]) -> Any:
    return torch.from_numpy(np.ascontiguousarray(values)).share_memory_()
