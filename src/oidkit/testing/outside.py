"""Images of a made release that the bucket lacks: their list, their labels, and their originals."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from PIL import Image, ImageDraw

from oidkit import catalog
from oidkit.testing.blocks import random_of
from oidkit.testing.classes import HANDGUN
from oidkit.testing.faults import Fault
from oidkit.testing.tables import hex_texts, open_new

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from oidkit.catalog import Split
    from oidkit.testing.faults import Hook, RequestInfo
    from oidkit.testing.spec import ReleaseSpec

__all__ = [
    "FOLDER",
    "Fate",
    "fates_of",
    "original_faults",
    "outside_ids",
    "outside_labels",
    "with_originals",
    "write_whole_lists",
]

FOLDER = "originals"
"""The folder beside the buckets in which the originals lie."""

Fate = Literal["whole", "gone", "placeholder", "changed", "busy", "png"]
_FATES: tuple[Fate, ...] = (
    "whole",
    "gone",
    "busy",
    "placeholder",
    "whole",
    "changed",
    "whole",
    "png",
    "whole",
    "whole",
)
_PLACEHOLDER = "photo_unavailable.png"
_STREAM = 7
_OURS = 3
_HANDGUN_EVERY = 3
_HEADER_LINES = 1


def outside_ids(spec: ReleaseSpec, split: Split) -> npt.NDArray[np.uint64]:
    """Give the images of a split that the bucket lacks, ascending; none has the id of another."""
    if split != "train" or not spec.outside:
        return np.empty(0, dtype=np.uint64)
    drawn = random_of(spec, split, 0, _STREAM).integers(0, 1 << 62, spec.outside, dtype=np.uint64)
    # The last two bits of all other ids say their split, 0 to 2.
    return np.unique(drawn << np.uint64(2) | np.uint64(_OURS))


def fates_of(spec: ReleaseSpec, split: Split) -> dict[str, Fate]:
    """Give what becomes of the original of each such image: the fates in turn, by id."""
    ids = hex_texts(outside_ids(spec, split), 16)
    return {each: _FATES[at % len(_FATES)] for at, each in enumerate(ids)}


def with_originals(
    frame: pl.DataFrame, spec: ReleaseSpec, root: Path, fates: Mapping[str, Fate]
) -> pl.DataFrame:
    """Let an image list name the originals below `originals_root`, and write those of *fates*.

    Their OriginalSize and OriginalMD5 become true. Without a root nothing changes.
    """
    if spec.originals_root is None:
        return frame
    front = f"{spec.originals_root.rstrip('/')}/"
    url = front + frame["Subset"] + "/" + frame["ImageID"] + "_o.jpg"
    made = {
        image_id: _written(root, f"{FOLDER}/{split}/{image_id}_o.jpg", image_id, fates[image_id])
        for split, image_id in frame.select("Subset", "ImageID").iter_rows()
        if image_id in fates
    }
    sizes = [made[each][0] if each in made else None for each in frame["ImageID"]]
    md5s = [made[each][1] if each in made else None for each in frame["ImageID"]]
    return frame.with_columns(
        OriginalURL=url,
        OriginalSize=pl.Series(sizes, dtype=pl.Int64).fill_null(frame["OriginalSize"]),
        OriginalMD5=pl.Series(md5s, dtype=pl.String).fill_null(frame["OriginalMD5"]),
    )


def _written(root: Path, key: str, image_id: str, fate: Fate) -> tuple[int, str]:
    """Write one original as its fate has it; give the size and the MD5 that are published."""
    content = _picture(image_id, "PNG" if fate == "png" else "JPEG")
    served = _picture(image_id, "JPEG", quality=40) if fate == "changed" else content
    if fate not in ("gone", "placeholder"):
        with open_new(root, key) as file:
            file.write(served)
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    return len(content), base64.b64encode(digest).decode("ascii")


def _picture(image_id: str, form: str, *, quality: int = 90) -> bytes:
    number = int(image_id, 16)
    size = (600 + number % 97, 450 + number % 89)
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    colour = (number >> 8 & 255, number >> 16 & 255, number >> 24 & 255)
    ImageDraw.Draw(picture).ellipse((60, 40, 400, 380), fill=colour)
    out = io.BytesIO()
    picture.save(out, form, quality=quality, comment=image_id.encode())
    return out.getvalue()


def write_whole_lists(
    spec: ReleaseSpec, root: Path, frame: pl.DataFrame, fates: Mapping[str, Fate]
) -> dict[str, int]:
    """Write the lists that also have the images outside the bucket; give key -> rows.

    *frame* has a row for each of those. The others are those of the lists that are there already:
    of train, and in the list of V4 and V5 of every split.
    """
    frame = with_originals(frame, spec, root, fates)
    rows: dict[str, int] = {}
    for release in spec.releases:
        whole = catalog.whole_image_list(release, "train")
        if whole is None or whole.key in rows:
            continue
        splits: Sequence[Split] = catalog.SPLITS if release in ("v4", "v5") else ("train",)
        lists = [(root / catalog.image_list(release, each).key).read_bytes() for each in splits]
        with open_new(root, whole.key) as file:
            file.write(lists[0].split(b"\n", 1)[0] + b"\n")
            frame.write_csv(file, include_header=False, quote_style="necessary")
            file.writelines(each.split(b"\n", 1)[1] for each in lists)
        listed = sum(each.count(b"\n") - _HEADER_LINES for each in lists)
        rows[whole.key] = listed + frame.height
    if spec.originals_root is not None:
        with open_new(root, f"{FOLDER}/{_PLACEHOLDER}") as file:
            file.write(_picture("0" * 16, "PNG"))
    return rows


def outside_labels(
    spec: ReleaseSpec, split: Split, mids: Sequence[str], *, machine: bool
) -> pl.DataFrame:
    """Give the image labels of the images outside the bucket, in ImageID order.

    Each has one label that is there, every third a Handgun, and one that was verified to be absent.
    """
    ids = hex_texts(outside_ids(spec, split), 16)
    rng = random_of(spec, split, 1, _STREAM)
    others = [each for each in mids if each != HANDGUN]
    drawn = rng.integers(0, len(others) // 2, (len(ids), 2)).tolist()
    rows = []
    for at, (image_id, (one, two)) in enumerate(zip(ids, drawn, strict=True)):
        there = HANDGUN if at % _HANDGUN_EVERY == 0 else others[2 * one]
        if machine:
            rows.append((image_id, "machine", there, "0.8"))
        else:
            rows.append((image_id, "verification", there, "1"))
            rows.append((image_id, "verification", others[2 * two + 1], "0"))
    columns = ("ImageID", "Source", "LabelName", "Confidence")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def original_faults(originals: Mapping[str, Fate]) -> Hook:
    """Give a hook for `MirrorServer` that lets the originals have their fates.

    *originals* are those of `MadeRelease`, by ``train/<ImageID>``: one with a placeholder answers
    302 to it, and a busy one 429 at first. What is gone or was changed needs no hook.
    """

    def hook(request: RequestInfo) -> Fault | None:
        folder, _, rest = request.path.partition("/")
        fate = originals.get(rest.removesuffix("_o.jpg")) if folder == FOLDER else None
        if fate == "placeholder":
            return Fault.redirect(f"/{FOLDER}/{_PLACEHOLDER}")
        if fate == "busy" and request.attempt == 1:
            return Fault.answer(429, retry_after="1")
        return None

    return hook
