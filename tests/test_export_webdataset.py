"""Tar shards: what is in them, and that the webdataset library reads them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import oidkit
from export_oracle import FLAGS, NAMES, attribution, by_split, told

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 7


@pytest.fixture(scope="module")
def shards(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the dataset into shards of `SIZE` samples."""
    out = tmp_path_factory.mktemp("shards") / "out"
    oidkit.export(dataset, out, "webdataset", shard_size=SIZE)
    return out


def samples(shards: Path) -> dict[str, dict[str, bytes]]:
    """Read every shard with tarfile: members by ImageID and by what follows it."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                key, _, kind = info.name.partition(".")
                file = tar.extractfile(info)
                assert file is not None
                found.setdefault(key, {})[kind] = file.read()
    return found


def test_every_picture_is_a_sample_with_its_own_bytes(dataset: Path, shards: Path) -> None:
    """Shards have the published JPEGs, byte for byte, and no other sample."""
    expected = {key: each.path.read_bytes() for key, each in told(dataset).items()}
    assert {key: members["jpg"] for key, members in samples(shards).items()} == expected


def test_boxes_are_those_of_the_files_in_pixels(dataset: Path, shards: Path) -> None:
    """Each sample's JSON has the boxes and flags that the CSVs have, and the picture's size."""
    for key, members in samples(shards).items():
        about, picture = json.loads(members["json"]), told(dataset)[key]
        boxes = sorted(
            (each["class"], *each["bbox"], *(each[flag] for flag in FLAGS))
            for each in about["objects"]
        )
        assert [box[0] for box in boxes] == [box[0] for box in picture.boxes]
        assert np.allclose([box[1:] for box in boxes], [box[1:] for box in picture.boxes])
        assert (about["width"], about["height"]) == picture.size
        assert [NAMES[each["category"]] for each in about["objects"]] == [
            each["class"] for each in about["objects"]
        ]
        known = {name: value for name, value in attribution(dataset)[key].items() if value}
        assert {"ImageID": key, **about["metadata"]} == known


def test_masks_are_in_the_pixels_of_their_picture(dataset: Path, shards: Path) -> None:
    """Each mask is a PNG of the picture's size, and pixel for pixel what Pillow makes of it."""
    seen = 0
    for key, members in samples(shards).items():
        picture = told(dataset)[key]
        objects = json.loads(members["json"])["objects"]
        masked = {each["box_id"]: each for each in objects if each["mask"]}
        assert {*masked} == {*picture.masks}
        for box_id, each in masked.items():
            with Image.open(io.BytesIO(members[each["mask"]])) as opened:
                pixels = np.asarray(opened)
            assert (pixels == picture.mask(box_id)).all()
            assert each["area"] == pixels.sum()
            seen += 1
    assert seen > 0


def test_shards_are_of_the_asked_size_and_listed(dataset: Path, shards: Path) -> None:
    """Every shard but the last of a split has `SIZE` samples; shards.json counts them."""
    listed = json.loads((shards / "shards.json").read_text(encoding="utf-8"))
    assert listed["classes"] == NAMES
    for split, ids in by_split(dataset).items():
        counts = [each["samples"] for each in listed["splits"][split]]
        assert counts == [SIZE] * (len(ids) // SIZE) + [len(ids) % SIZE] * bool(len(ids) % SIZE)
        files = [each["file"] for each in listed["splits"][split]]
        assert files == [f"{split}-{at:06d}.tar" for at in range(len(counts))]
    every = {each["file"] for split in listed["splits"].values() for each in split}
    assert {path.name for path in shards.glob("*.tar")} == every


def test_a_second_export_has_the_same_bytes(dataset: Path, shards: Path, tmp_path: Path) -> None:
    """With two processes as with one: no time, owner or order of this run is in a shard."""
    oidkit.export(dataset, tmp_path / "out", "webdataset", shard_size=SIZE, workers=2)

    def digests(folder: Path) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.glob("*.tar")
        }

    assert digests(tmp_path / "out") == digests(shards)
    with tarfile.open(next(shards.glob("*.tar"))) as tar:
        assert not [
            info for info in tar if (info.mtime, info.uid, info.gid, info.uname) != (0, 0, 0, "")
        ]


def test_a_resized_picture_takes_its_boxes_and_masks_along(dataset: Path, tmp_path: Path) -> None:
    """In a letterbox the JSON's size, the boxes and the masks are those of the written picture."""
    oidkit.export(
        dataset, tmp_path / "out", "webdataset", image_size=64, resize="letterbox", splits=["train"]
    )
    found = samples(tmp_path / "out")
    assert found
    for members in found.values():
        with Image.open(io.BytesIO(members["jpg"])) as opened:
            assert opened.size == (64, 64)
        about = json.loads(members["json"])
        assert (about["width"], about["height"]) == (64, 64)
        for each in about["objects"]:
            assert 0 <= each["bbox"][0] <= each["bbox"][2] <= 64.001
            if each["mask"]:
                with Image.open(io.BytesIO(members[each["mask"]])) as opened:
                    assert opened.size == (64, 64)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # it closes none itself
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_webdataset_library_reads_the_shards(dataset: Path, shards: Path) -> None:
    """Its own loader gives every sample, with decoded pictures, boxes and masks."""
    webdataset: Any = pytest.importorskip("webdataset")
    picture = told(dataset)
    for split, ids in by_split(dataset).items():
        urls = [str(path) for path in sorted(shards.glob(f"{split}-*.tar"))]
        loaded = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
        assert [each["__key__"] for each in loaded] == ids
        for each in loaded:
            key = each["__key__"]
            assert each["jpg"].shape == (*picture[key].size[::-1], 3)
            assert len(each["json"]["objects"]) == len(picture[key].boxes)
            for thing in each["json"]["objects"]:
                if thing["mask"]:
                    mask = each[thing["mask"]][..., 0] > 0
                    assert (mask == picture[key].mask(thing["box_id"])).all()


def test_a_shard_of_nothing_is_refused(dataset: Path, tmp_path: Path) -> None:
    """A size of 0 is a usage error, and nothing is written."""
    with pytest.raises(oidkit.OidError, match="a shard of 0 samples"):
        oidkit.export(dataset, tmp_path / "out", "webdataset", shard_size=0)
    assert not (tmp_path / "out").exists()
