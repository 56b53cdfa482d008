"""A list of images into one flat folder, as the official ``downloader.py`` does it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oidkit import catalog
from oidkit.api.images import carry_images
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.api.summary import Summary, take_down
from oidkit.api.turning import Turning
from oidkit.dataset import Dataset, open_dataset
from oidkit.errors import UsageError
from oidkit.events import Listener, ignore
from oidkit.planning import ImagePlan, plan_images
from oidkit.shelf import folder_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fetch", "read_list"]

_LINE = re.compile(r"(train|validation|test|challenge2018)/([0-9a-f]{16})(?:\.jpg)?")


def fetch(
    ids_file: Path | str,
    folder: Path | str = ".",
    *,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> Summary:
    """Fetch the images of a list, a ``train/<ImageID>`` a line, flat into *folder*.

    Images that stand there whole are left alone.

    Raises:
        UsageError: the list cannot be read, or a line of it is no image.
        DiskError: something could not be written; the path is named.
        InterruptedRunError: the user stopped the run; what was finished stays.

    """
    begun = time.monotonic()
    wanted = read_list(Path(ids_file))
    root = folder_of(folder, what="a list of images")
    summary = Summary(out=str(root))
    with Session(settings or Settings(), on_event) as session:
        _ = session.source

        with open_dataset(root, release=None, on_event=on_event) as dataset:
            plans = [_planned(dataset, split, ids) for split, ids in wanted.items()]
            carry_images(session, dataset, plans, summary=summary)
        take_down(summary, session.traffic, begun=begun)
        return summary


def _planned(dataset: Dataset, split: str, ids: NDArray[np.uint64]) -> ImagePlan:
    listed = set(ids.tolist())

    def key(image_id: str) -> str | None:
        # One folder holds every split, and may hold images of other lists.
        return catalog.image_key(split, image_id) if int(image_id, 16) in listed else None

    there = dataset.images_there("", key=key, fits=Turning().fits)
    return plan_images(split, {"": ids}, there=lambda _: there)


def read_list(path: Path) -> dict[str, NDArray[np.uint64]]:
    """Read a list of images: by split, as sorted numbers, each once.

    Raises:
        UsageError: the file cannot be read, or a line of it is no image.

    """
    found: dict[str, set[int]] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                text = line.strip()
                if not text:
                    continue
                if (image := _LINE.fullmatch(text)) is None:
                    raise UsageError(
                        f"line {number} of {path} is no image: '{text[:60]}'",
                        remedy="write one <split>/<ImageID> a line, such as train/0001eeaf4aed83f9",
                    )
                found.setdefault(image[1], set()).add(int(image[2], 16))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"cannot read {path}: {reason}", remedy="check the path") from error
    return {split: np.array(sorted(ids), dtype=np.uint64) for split, ids in found.items()}
