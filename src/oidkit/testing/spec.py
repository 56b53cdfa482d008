"""How large a made release is, and what is in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from oidkit.catalog import LABELS, RELEASES, SHARDS, SPLITS, Label, Release, Split
from oidkit.errors import UsageError

__all__ = ["PRESETS", "PerSplit", "Preset", "ReleaseSpec", "preset"]

Preset = Literal["tiny", "small", "demo", "full", "labels"]
PRESETS: tuple[Preset, ...] = ("tiny", "small", "demo", "full", "labels")

_FEWEST_CLASSES, _MOST_CLASSES = 30, 601
_DRAWN_MASKS = 6_000
_DRAWN_JPEGS = 2_000


class PerSplit(NamedTuple):
    """A number for each split."""

    train: int
    validation: int
    test: int

    def of(self, split: Split) -> int:
        """Give the number of one split."""
        return int(getattr(self, split))


_FEW_IMAGES = PerSplit(60, 20, 30)


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """What to make; the same spec gives the same bytes (with the same Pillow and zlib).

    Raises `UsageError` where the numbers cannot be met together.
    """

    seed: int = 0
    releases: tuple[Release, ...] = RELEASES
    labels: tuple[Label, ...] = LABELS
    image_lists: bool = True
    images: PerSplit = _FEW_IMAGES
    boxes: PerSplit | None = None
    """Exact rows of the box files from V5 on; None for `boxes_per_image`."""
    boxes_per_image: float = 8.4
    masks: PerSplit | None = None
    """Exact rows of the mask files; None for 3 in 10 of the boxes, or for `members_per_zip`."""
    members_per_zip: PerSplit | None = None
    """Exact members of each of the split's 16 zips."""
    classes: int = 60
    """Boxable classes, 30 to 601; the first 87 are real ones."""
    image_level_classes: int = 200
    """Further classes, of which there are image labels alone."""
    machine_labels: int = 3
    """Image labels by machine for each image, but for those of a class that came twice."""
    absences: int = 3
    """Classes for each image that a human was asked for; a few of them are there."""
    jpegs: Literal["all"] | int | float = "all"
    """Images that the bucket has: all, at most so many a split (first those with a Handgun), or a
    share from 0.0 to 1.0 (a float). The rest answer 404."""
    jpeg_bytes: int | None = None
    """Exact size of every JPEG, filled up by comments; None for what the encoder gives."""
    jpeg_quality: int = 80
    jpeg_pool: int | None = None
    """Draw so many pictures and use them again and again (boxes then fit a picture of the pool
    only); None draws each image's own, up to 2,000 images, and a pool of 64 beyond."""
    mask_pool: int | None = None
    """The same for masks: None draws each mask's own shape, up to 6,000 masks, and 256 beyond."""
    mask_bytes: int | None = None
    """Least size of every mask's PNG, filled up by a chunk that readers pass over; None for what
    the encoder gives."""
    sorted_zips: bool = False
    """Whether the members of a mask zip are in the order of their names; else they are in the order
    of their rows in the CSV."""
    long_side: int = 1024
    """Long side in pixels of most images."""
    outside: int = 0
    """Further images of train, of which there are image labels and a line in the whole image list,
    but no box and no JPEG in the bucket."""
    originals_root: str | None = None
    """URL below which OriginalURL lies, such as that of a server of the same folder and
    `/originals`: the originals of the images that the bucket lacks are then made."""

    def __post_init__(self) -> None:
        if not _FEWEST_CLASSES <= self.classes <= _MOST_CLASSES:
            _refuse(f"{self.classes} classes", f"ask for {_FEWEST_CLASSES} to {_MOST_CLASSES}")
        if self.masks is not None and self.members_per_zip is not None:
            _refuse("masks and members_per_zip together", "give one of them")
        if self.outside < 0:
            _refuse(f"{self.outside} images outside the bucket", "give 0 or more")
        if not self.releases or not self.long_side >= 64 or not 1 <= self.jpeg_quality <= 100:
            _refuse("such a release", "give releases, a long side of 64 or more, a quality 1-100")
        for split in SPLITS:
            self._check_split(split)

    def _check_split(self, split: Split) -> None:
        images, boxes, masks = (
            self.images.of(split),
            self.boxes_of(split),
            self.masks_of(split),
        )
        if min(images, boxes, masks) < 0:
            _refuse(f"a negative number in {split}", "give 0 or more")
        if boxes and not images:
            _refuse(f"{boxes} boxes on no image in {split}", "give it images")
        if masks > boxes:
            _refuse(f"{masks} masks for {boxes} boxes in {split}", "give it more boxes")
        if self.members_per_zip and self.members_per_zip.of(split) and images < len(SHARDS):
            _refuse(f"{images} images for 16 zips in {split}", "give it 16 images or more")

    def boxes_of(self, split: Split) -> int:
        """Give the box rows of a split, from V5 on."""
        if self.boxes is not None:
            return self.boxes.of(split)
        usual = round(self.images.of(split) * self.boxes_per_image)
        members = self.members_per_zip.of(split) * len(SHARDS) if self.members_per_zip else 0
        asked = self.masks.of(split) if self.masks else 0
        return max(usual, members * 3 // 2, asked * 3 // 2)

    def masks_of(self, split: Split) -> int:
        """Give the mask rows of a split, which is the members of its zips together."""
        if "masks" not in self.labels:
            return 0
        if self.members_per_zip is not None:
            return self.members_per_zip.of(split) * len(SHARDS)
        return self.masks.of(split) if self.masks else self.boxes_of(split) * 3 // 10

    def jpegs_of(self, split: Split) -> int:
        """Give how many of the split's images the bucket has."""
        images = self.images.of(split)
        if self.jpegs == "all":
            return images
        if isinstance(self.jpegs, float):
            return round(images * self.jpegs)
        return min(images, int(self.jpegs))

    @property
    def shapes_drawn(self) -> int | None:
        """Size of the pool of masks, or None where each mask is drawn for its own box."""
        few = sum(self.masks_of(split) for split in SPLITS) <= _DRAWN_MASKS
        return self.mask_pool or (None if few else 256)

    @property
    def pictures_drawn(self) -> int | None:
        """Size of the pool of pictures, or None where each image is drawn by itself."""
        few = sum(self.jpegs_of(split) for split in SPLITS) <= _DRAWN_JPEGS
        return self.jpeg_pool or (None if few else 64)

    @classmethod
    def tiny(cls) -> ReleaseSpec:
        """Give the spec of a handful of images, made in a fraction of a second."""
        return cls(images=PerSplit(12, 5, 6), image_level_classes=40, long_side=160)

    @classmethod
    def small(cls) -> ReleaseSpec:
        """Give the spec of a few hundred images, a tenth of which the bucket does not have."""
        return cls(images=PerSplit(240, 60, 90), jpegs=0.9, long_side=192)

    @classmethod
    def demo(cls) -> ReleaseSpec:
        """Give a spec worth looking at: few objects an image, full-size pictures."""
        return cls(images=PerSplit(72, 24, 36), boxes_per_image=4.0, jpegs=0.97)

    @classmethod
    def full(cls) -> ReleaseSpec:
        """Give the size of the real V7: 14,610,229 train boxes, 16 zips of 168,000 masks."""
        return cls(
            releases=("v7",),
            labels=("boxes", "masks"),
            images=PerSplit(1_743_042, 41_620, 125_436),
            boxes=PerSplit(14_610_229, 303_980, 937_327),
            members_per_zip=PerSplit(168_000, 1_545, 4_631),
            classes=601,
            image_level_classes=20_330,
            jpegs=200,
            mask_bytes=1_500,
        )

    @classmethod
    def every_label(cls) -> ReleaseSpec:
        """Give the size of the image labels of V7: some 165 and 60 million rows of train."""
        return cls(
            releases=("v7",),
            labels=("image-labels", "relationships", "points"),
            image_lists=False,
            images=PerSplit(1_743_042, 41_620, 125_436),
            boxes=PerSplit(14_610_229, 303_980, 937_327),
            classes=601,
            image_level_classes=20_330,
            machine_labels=95,
            absences=29,
            jpegs=0,
        )


def preset(name: Preset, *, seed: int = 0) -> ReleaseSpec:
    """Give one of the ready specs by name, with another seed."""
    makers = {
        "tiny": ReleaseSpec.tiny,
        "small": ReleaseSpec.small,
        "demo": ReleaseSpec.demo,
        "full": ReleaseSpec.full,
        "labels": ReleaseSpec.every_label,
    }
    return replace(makers[name](), seed=seed)


def _refuse(asked: str, remedy: str) -> None:
    raise UsageError(f"a release cannot have {asked}", remedy=remedy)
