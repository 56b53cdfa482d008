"""Which release the tests of the main job read, and how they compare what came of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec
from oracle import SPLITS, Asked, Expected, Mirror, differences, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.api.summary import Summary

SPEC = dataclasses.replace(
    ReleaseSpec.tiny(), images=PerSplit(50, 20, 30), jpegs=0.9, long_side=96, jpeg_quality=50
)
"""Small pictures, of which a tenth is missing; classes that share most of their images."""
PERSON, HANDGUN, CHOPSTICKS = "/m/01g317", "/m/0gxl3", "/m/01_5g"
# Two frequent classes, a rare one with `_` in its MID, and one that has no masks.
CLASSES = ("Person", "Handgun", "Chopsticks", "Human face")


def agree(out: Path, summary: Summary, want: Expected) -> None:
    """Compare the folder and the summary of a first run with what the oracle expects."""
    assert differences(tree_of(out), want.tree) == []
    assert summary.annotations == want.rows
    images, masks = summary.images, summary.masks
    assert (images.asked, images.missing) == (len(want.images), len(want.missing))
    assert (images.fetched, images.present) == (len(want.images - want.missing), 0)
    assert images.bytes == want.image_bytes
    assert (masks.asked, masks.fetched, masks.present) == (want.masks, want.masks, 0)
    assert (images.failed, masks.failed, masks.missing) == (0, 0, 0)
    assert set(summary.missing) == set(sorted(want.missing)[:100]) or len(want.missing) > 100
    assert summary.exit_code == (3 if want.missing else 0)


def manifest(out: Path) -> bytes:
    """Read the manifest."""
    return (out / ".oid" / "manifest.csv").read_bytes()


def fetched(server: MirrorServer) -> list[str]:
    """List what was asked of images and mask zips, in order of path."""
    paths = (each.path for each in server.log)
    return sorted(path for path in paths if path.startswith("open-images") or "-masks/" in path)


def shared_images(mirror: Mirror) -> set[str]:
    """Name the images that both classes have and the bucket too, as `split/id`."""
    return {
        f"{split}/{each}"
        for split in SPLITS
        for each in set.intersection(*Asked((PERSON, HANDGUN)).chosen(mirror, split).values())
        if mirror.image(split, each) is not None
    }


def places(out: Path, image: str) -> list[Path]:
    """Find the files of an image."""
    split, image_id = image.split("/")
    return sorted((out / "images" / split).rglob(f"{image_id}.jpg"))
