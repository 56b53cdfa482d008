"""Targets as torchvision's detection models take them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["Objects", "collate", "target_of"]


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a picture: `boxes` float [N, 4] in pixels, `labels` int [N] from 1.

    `masks` has a bool array [H, W] or None for each, or is None where masks are not wanted.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    masks: Sequence[NDArray[np.bool_] | None] | None = None


def target_of(image: Image, objects: Objects, *, image_id: int, name: str) -> dict[str, Any]:
    """Make a target of torchvision's detection models.

    Objects without an extent are left out: the models refuse such boxes. The keys are

    - ``boxes`` float32 [N, 4], xmin, ymin, xmax, ymax in pixels, cut off at the picture's edge
    - ``labels`` int64 [N], from 1; 0 is the background
    - ``masks`` uint8 [N, H, W] of 0 and 1, and ``has_mask`` bool [N]: the mask of an object that
      has none is empty; both only where masks are wanted
    - ``area`` float32 [N] in pixels: of the mask, else of the box
    - ``iscrowd`` int64 [N]: 1 for a box around a group
    - ``image_id`` int, and ``open_images_id``, the 16 digits

    Where torchvision is installed, boxes and masks are its `tv_tensors`, which its transforms
    (``torchvision.transforms.v2``) move along with the picture; these are tensors as well.
    """
    limits = np.array([image.width, image.height] * 2, dtype=np.float32)
    boxes = np.clip(objects.boxes.reshape(-1, 4), 0, limits)
    kept = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    boxes = boxes[kept]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    target: dict[str, Any] = {
        "boxes": _boxes(torch.from_numpy(boxes), image),
        "labels": torch.from_numpy(objects.labels[kept]),
        "image_id": image_id,
        "open_images_id": name,
        "iscrowd": torch.from_numpy(objects.crowd[kept].astype(np.int64)),
    }
    if objects.masks is not None:
        masks = np.zeros((len(kept), image.height, image.width), dtype=np.uint8)
        there = np.zeros(len(kept), dtype=np.bool_)
        for at, number in enumerate(kept.tolist()):
            mask = objects.masks[number]
            if mask is not None:
                masks[at], there[at], area[at] = mask, True, np.count_nonzero(mask)
        target["masks"] = _masks(torch.from_numpy(masks))
        target["has_mask"] = torch.from_numpy(there)
    target["area"] = torch.from_numpy(area.astype(np.float32))
    return target


def collate(batch: Sequence[tuple[Any, Any]]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Give images and targets of a batch as two tuples: pictures differ in size, and in objects.

    For the `collate_fn` of a `DataLoader`, as torchvision's detection models take batches.
    """
    images, targets = zip(*batch, strict=True)
    return images, targets


@cache
def _tv_tensors() -> Any:
    """Give torchvision's tensors, or None where it is not there or does not load."""
    try:
        from torchvision import tv_tensors
    except (ImportError, OSError, RuntimeError):
        # A build of torchvision for another build of torch fails with any of these.
        return None
    return tv_tensors


def _boxes(boxes: Any, image: Image) -> Any:
    kinds = _tv_tensors()
    if kinds is None:
        return boxes
    return kinds.BoundingBoxes(boxes, format="XYXY", canvas_size=(image.height, image.width))


def _masks(masks: Any) -> Any:
    kinds = _tv_tensors()
    return masks if kinds is None else kinds.Mask(masks)
