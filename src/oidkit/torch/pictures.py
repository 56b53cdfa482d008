"""A dataset folder as a map-style dataset of PyTorch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from oidkit.api.exporting import read_folder
from oidkit.api.numbering import Naming
from oidkit.decoding import UndecodableError, opened
from oidkit.errors import MalformedError, OidError
from oidkit.formats.masks import Runs, runs
from oidkit.formats.model import Frame, Picture
from oidkit.torch.columns import Columns
from oidkit.torch.targets import Objects, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image

__all__ = ["OpenImagesDataset"]


class OpenImagesDataset:
    """The images of a split of a dataset folder as (image, target), in the order of ImageID.

    The image is a PIL picture in RGB. The target is as torchvision's detection models take it:
    ``boxes`` float32 [N, 4] (xmin, ymin, xmax, ymax in pixels), ``labels`` int64 [N] from 1,
    ``masks`` uint8 [N, H, W] in the image's own pixels and ``has_mask`` bool [N] where *masks* are
    wanted, ``area``, ``iscrowd`` (1 for a box around a group), ``image_id`` (the index) and
    ``open_images_id``. Images without an object have tensors of length 0. *transforms* takes and
    gives (image, target), as torchvision's ``transforms.v2`` do.

    *class_map* and *class_order* are those of `oidkit.export`. `classes` are the names by label;
    the first is the background.

    What it knows lies in shared tensors, and no file is open between two calls: workers of a
    `DataLoader` share it, and it can be pickled.

    Raises:
        UsageError: there is no dataset, no such split, or PyTorch is not installed.
        IntegrityError: an annotation file of the dataset is not what a download writes.

    """

    def __init__(
        self,
        root: Path | str,
        split: str = "train",
        transforms: Callable[[Any, dict[str, Any]], tuple[Any, Any]] | None = None,
        *,
        masks: bool = True,
        class_map: str | Mapping[str, str] | None = None,
        class_order: Path | str | None = None,
    ) -> None:
        self._transforms, self._masks = transforms, masks
        pictures, categories = read_folder(
            Path(root), splits=(split,), naming=Naming(None, class_map, class_order)
        )
        self.classes = ["__background__", *(each.name for each in categories)]
        self._columns = Columns.of(each for batch in pictures.batches() for each in batch)

    def __len__(self) -> int:
        """Count the images."""
        return len(self._columns.ids)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Give an image and its target.

        Raises:
            IndexError: there is no such image.
            OidError: its file is gone, or cannot be decoded.

        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no image {index} of {len(self)}")
        at = index % len(self)
        path = Path(self._columns.paths[at])
        try:
            with opened(path.read_bytes()) as picture:
                image = picture.convert("RGB")
        except (OSError, UndecodableError) as error:
            raise OidError(
                f"cannot read {path}: {error}", remedy="bring it back with: oid verify DIR --repair"
            ) from error
        objects = self._objects(at, image)
        name = self._columns.ids[at]
        target = target_of(image, objects, image_id=at, name=name)
        return (image, target) if self._transforms is None else self._transforms(image, target)

    def _objects(self, at: int, image: Image.Image) -> Objects:
        columns = self._columns
        first, stop = columns.starts[at : at + 2].tolist()
        boxes = columns.boxes[first:stop].numpy() * np.array([image.width, image.height] * 2)
        masks = [self._mask(number, image) for number in range(first, stop)]
        for number in np.flatnonzero(np.isnan(boxes[:, 0])).tolist():
            # A mask without a box has that of its pixels; without a mask nothing is left.
            mask = masks[number]
            x, y, width, height = mask.box if mask is not None else (0, 0, 0, 0)
            boxes[number] = (x, y, x + width, y + height)
        return Objects(
            boxes.astype(np.float32),
            columns.labels[first:stop].numpy(),
            columns.crowd[first:stop].numpy(),
            [mask.pixels if mask is not None else None for mask in masks] if self._masks else None,
        )

    def _mask(self, number: int, image: Image.Image) -> Runs | None:
        path = self._columns.masks[number]
        alone = bool(torch.isnan(self._columns.boxes[number, 0]))
        if not path or not (self._masks or alone):
            return None
        picture = Picture("", "", Path(), image.width, image.height)
        try:
            mask = runs(Path(path), picture, Frame(image.width, image.height))
        except MalformedError:
            # As exports do: one damaged file does not end an epoch.
            text = f"{path} cannot be read and is left out (see: oid verify DIR)"
            warnings.warn(text, stacklevel=2)
            return None
        return mask if mask.area else None
