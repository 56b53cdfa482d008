"""What the catalog says of files, sizes and checksums."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oidkit import catalog
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from oidkit.catalog import File, Label, Release, Split

ROOT = Path(__file__).resolve().parents[1]


def everything() -> list[File]:
    """Every file that any function of the catalog names."""
    found: list[File | None] = [catalog.hierarchy_file()]
    for release in catalog.RELEASES:
        found += [catalog.class_file(release), catalog.all_classes_file(release)]
        found += [catalog.segmentable_file(release), catalog.attributes_file(release)]
        found += [catalog.relationships_file(release), catalog.triplets_file(release)]
        for split in catalog.SPLITS:
            found += [catalog.image_list(release, split)]
            found += [catalog.whole_image_list(release, split)]
            found += [catalog.boxable_image_labels(release, split)]
            found += catalog.mask_zips(split)
            for label in catalog.labels_of(release):
                found += catalog.tables(release, label, split)
    return [each for each in found if each]


def test_every_file_with_published_numbers_is_named_by_the_catalog() -> None:
    """No line of the checksum table is an orphan, so no key there has a typing mistake."""
    text = (ROOT / "src" / "oidkit" / "checksums.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    assert {line["key"] for line in lines} <= {file.key for file in everything()}
    assert len({line["key"] for line in lines}) == len(lines)


def test_keys_are_bucket_first_and_numbers_have_their_form() -> None:
    """Keys begin with a known bucket, MD5s are lower-case hex, sizes and rows are positive."""
    for file in everything():
        assert file.key.split("/")[0] in catalog.OFFICIAL_HOSTS
        assert "{" not in file.key
        assert file.md5 is None or re.fullmatch("[0-9a-f]{32}", file.md5)
        assert file.size is None or file.size > 0
        assert file.rows is None or file.rows > 0


@pytest.mark.parametrize(
    ("split", "total", "smallest", "largest"),
    [
        ("train", 4_472_439_320, 237_901_360, 385_547_550),
        ("validation", 57_563_535, 3_193_857, 4_122_191),
        ("test", 170_561_099, 10_259_526, 11_123_614),
    ],
)
def test_the_mask_zips_sum_up_to_the_published_bytes(
    split: Split, total: int, smallest: int, largest: int
) -> None:
    """Sixteen zips a split, with size and MD5, whose sum and extremes are the published ones."""
    zips = catalog.mask_zips(split)
    sizes = [each.size or 0 for each in zips]
    assert (len(zips), sum(sizes), min(sizes), max(sizes)) == (16, total, smallest, largest)
    assert not [each for each in zips if not each.md5]
    assert len({each.md5 for each in zips}) == 16


@pytest.mark.parametrize(
    ("release", "boxes"),
    [("v4", 15_440_132), ("v5", 15_851_536), ("v6", 15_851_536), ("v7", 15_851_536)],
)
def test_box_rows_sum_up_to_the_headline_of_the_release(release: Release, boxes: int) -> None:
    """The rows of the three box files are the count that the release states."""
    files = [each for split in catalog.SPLITS for each in catalog.tables(release, "boxes", split)]
    assert sum(each.rows or 0 for each in files) == boxes


@pytest.mark.parametrize(
    ("release", "label", "rows"),
    [
        ("v5", "masks", 2_785_498),
        ("v7", "masks", 2_785_498),
        ("v4", "relationships", 391_073),
        ("v6", "relationships", 3_284_280),
    ],
)
def test_mask_and_relationship_rows_sum_up_to_the_headline(
    release: Release, label: Label, rows: int
) -> None:
    """The rows of the label's three files are the count that the release states."""
    files = [each for split in catalog.SPLITS for each in catalog.tables(release, label, split)]
    assert sum(each.rows or 0 for each in files) == rows


def test_the_image_lists_hold_as_many_rows_as_the_bucket_has_images() -> None:
    """Constants for estimates and the published row counts are the same numbers."""
    for split in catalog.SPLITS:
        assert catalog.image_list("v7", split).rows == catalog.SPLIT_IMAGES[split]
        assert catalog.tables("v7", "masks", split)[0].rows == catalog.SPLIT_MASKS[split]


def test_only_train_has_images_beyond_the_bucket() -> None:
    """Each release names its own whole list for train, with the bytes that the bucket states."""
    keys = {release: catalog.whole_image_list(release, "train") for release in catalog.RELEASES}
    sizes = {release: file.size for release, file in keys.items() if file is not None}
    assert sizes == dict.fromkeys(("v4", "v5"), 3_348_497_077) | dict.fromkeys(
        ("v6", "v7"), 2_684_720_962
    )
    for release in catalog.RELEASES:
        assert catalog.whole_image_list(release, "validation") is None
        assert catalog.whole_image_list(release, "test") is None


def test_labels_came_with_the_releases() -> None:
    """Masks since V5, narratives since V6, points since V7."""
    assert catalog.labels_of("v4") == ("boxes", "image-labels", "relationships")
    assert catalog.labels_of("v5") == ("boxes", "masks", "image-labels", "relationships")
    assert set(catalog.labels_of("v6")) == set(catalog.LABELS) - {"points"}
    assert catalog.labels_of("v7") == catalog.LABELS
    assert catalog.releases_with("points") == ("v7",)


def test_a_label_that_the_release_lacks_names_the_releases_that_have_it() -> None:
    """Masks of V4 are refused with exit code 2 and the releases to choose from."""
    with pytest.raises(UsageError, match=r"V4 has no masks; .*: V5, V6, V7$") as caught:
        catalog.tables("v4", "masks", "train")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("release", "label", "split"),
    [("v8", "boxes", "train"), ("v7", "boxen", "train"), ("v7", "boxes", "all")],
)
def test_what_there_is_not_is_refused(release: str, label: str, split: str) -> None:
    """An unknown release, label or split is a usage error that names the choices."""
    with pytest.raises(UsageError, match=r"choose from .*(v7|boxes|train)"):
        catalog.tables(release, label, split)  # type: ignore[arg-type]


def test_v7_calls_the_validation_split_val_in_its_own_files() -> None:
    """Image labels and points of V7 have "val" in their names, files of V5 do not."""
    human, machine = catalog.tables("v7", "image-labels", "validation")
    assert human.key == "openimages/v7/oidv7-val-annotations-human-imagelabels.csv"
    assert machine.key == "openimages/v7/oidv7-val-annotations-machine-imagelabels.csv"
    (points,) = catalog.tables("v7", "points", "validation")
    assert points.key == "openimages/v7/oidv7-val-annotations-point-labels.csv"
    (boxes,) = catalog.tables("v7", "boxes", "validation")
    assert boxes.key == "openimages/v5/validation-annotations-bbox.csv"


def test_the_file_that_is_gone_has_a_substitute_that_is_not() -> None:
    """The machine labels of V6 train answer 403; those of V5 stand in for them."""
    human, machine = catalog.tables("v6", "image-labels", "train")
    assert machine.gone
    assert machine.substitute == "openimages/v5/train-annotations-machine-imagelabels.csv"
    assert catalog.tables("v5", "image-labels", "train")[1].key == machine.substitute
    assert [file.key for file in everything() if file.gone] == [machine.key]
    assert not human.gone


def test_narratives_of_train_come_in_ten_shards() -> None:
    """All ten shards have size and MD5 and sum up to the published bytes."""
    shards = catalog.tables("v6", "narratives", "train")
    assert sum(each.size or 0 for each in shards) == 16_666_435_667
    assert len({each.md5 for each in shards}) == 10
    assert shards[9].key.endswith("-00009-of-00010.jsonl")


def test_images_and_masks_lie_where_their_ids_say() -> None:
    """An image's key is made of split and id; its masks lie in the zip of its first digit."""
    assert catalog.image_key("train", "0001") == "open-images-dataset/train/0001.jpg"
    assert catalog.image_key("challenge2018", "f") == "open-images-dataset/challenge2018/f.jpg"
    assert catalog.shard_of("a0ffee0000000000") == "a"
    assert catalog.mask_zip("test", "a").key == "openimages/v5/test-masks/test-masks-a.zip"
    for wrong in ("", "Affe", "g00", "../x"):
        with pytest.raises(UsageError):
            catalog.shard_of(wrong)
    with pytest.raises(UsageError, match="train, validation, test"):
        catalog.image_key("../secret", "0001")


def test_estimated_directories_are_in_proportion_to_the_masks() -> None:
    """All directories together are about 88 bytes a mask."""
    for split in catalog.SPLITS:
        estimate = 16 * catalog.directory_bytes(split)
        exact = catalog.SPLIT_MASKS[split] * catalog.DIRECTORY_BYTES_PER_MASK
        assert estimate == pytest.approx(exact, rel=0.02)


def test_the_sample_lies_where_the_catalog_says(sample: Path) -> None:
    """Every file of the mirror of real files, but for images, is one that the catalog names."""
    keys = {each.key for each in everything()}
    held = {
        path.relative_to(sample).as_posix()
        for path in (sample / "openimages").rglob("*")
        if path.is_file()
    }
    assert held
    assert held <= keys


@pytest.mark.parametrize("release", catalog.RELEASES)
def test_real_class_files_match_their_published_numbers(sample: Path, release: Release) -> None:
    """Size, MD5 and lines of the real class files are those of the table."""
    for file in (catalog.class_file(release), catalog.hierarchy_file()):
        data = (sample / file.key).read_bytes()
        assert (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()) == (
            file.size,
            file.md5,
        )
    lines = (sample / catalog.class_file(release).key).read_bytes().splitlines()
    assert catalog.class_file(release).rows == len(lines) - (lines[0][:9] == b"LabelName")


def test_the_pure_modules_import_nothing_heavy() -> None:
    """Start-up stays short: neither numpy nor the table engine comes with these modules."""
    code = (
        "import sys, types; package = types.ModuleType('oidkit'); package.__path__ = [sys.argv[1]];"
        "sys.modules['oidkit'] = package;"  # without the package's own imports
        "import oidkit.catalog, oidkit.taxonomy, oidkit.ranges, oidkit.zipindex;"
        "heavy = {'numpy', 'polars', 'PIL', 'rich', 'asyncio'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code, str(ROOT / "src" / "oidkit")], check=True)
