"""`oidkit.torch` under the real PyTorch, compared with the CSVs of the dataset folder."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import oidkit
from export_oracle import NAMES, by_split, told
from mirrors import environment

if TYPE_CHECKING:
    from pathlib import Path

torch: Any = pytest.importorskip("torch", reason="PyTorch is not there (TORCH= of the Makefile)")

from oidkit.torch import OpenImagesDataset, OpenImagesShards, collate, targets  # noqa: E402


def check_target(target: dict[str, Any], dataset: Path, size: tuple[int, int]) -> int:
    """Compare a target with the files of the folder, and count its masks."""
    picture = told(dataset)[target["open_images_id"]]
    assert size == picture.size
    limits = [*picture.size, *picture.size]
    expected = sorted(
        (NAMES.index(box[0]) + 1, *np.clip(box[1:5], 0, limits), int(box[7] == 1))
        for box in picture.boxes
        if box[3] > box[1] and box[4] > box[2]
    )
    parts = (target["labels"], *target["boxes"].T, target["iscrowd"])
    assert np.allclose(sorted(zip(*(p.tolist() for p in parts), strict=True)), expected, atol=1e-2)
    assert target["boxes"].dtype == target["area"].dtype == torch.float32
    assert target["labels"].dtype == target["iscrowd"].dtype == torch.int64
    assert target["masks"].shape == (len(expected), *picture.size[::-1])
    assert target["masks"].dtype == torch.uint8
    wanted = sorted(int(picture.mask(box_id).sum()) for box_id in picture.masks)
    found = target["masks"].sum(dim=(1, 2))[target["has_mask"]]
    assert sorted(found.tolist()) == wanted
    assert sorted(target["area"][target["has_mask"]].tolist()) == wanted
    for mask in target["masks"][target["has_mask"]]:
        assert any(
            (np.asarray(mask, dtype=bool) == picture.mask(box_id)).all() for box_id in picture.masks
        )
    return len(wanted)


def test_targets_are_those_of_the_files(dataset: Path) -> None:
    """Boxes, labels, crowds, areas and masks of every picture, in torchvision's conventions."""
    masks = 0
    for split, ids in by_split(dataset).items():
        pictures = OpenImagesDataset(dataset, split)
        assert pictures.classes == ["__background__", *NAMES]
        assert len(pictures) == len(ids)
        for at in range(len(pictures)):
            image, target = pictures[at]
            assert (target["image_id"], target["open_images_id"]) == (at, ids[at])
            assert image.mode == "RGB"
            masks += check_target(target, dataset, image.size)
    assert masks > 0


def test_a_split_of_no_images_is_an_empty_dataset(dataset: Path, tmp_path: Path) -> None:
    """It has length 0, can be loaded from and pickled, and has no image -1."""
    empty = tmp_path / "empty"
    shutil.copytree(dataset, empty)
    shutil.rmtree(empty / "images" / "train")
    pictures = OpenImagesDataset(empty, "train")
    assert len(pictures) == len(pickle.loads(pickle.dumps(pictures))) == 0  # noqa: S301 - ours
    assert list(torch.utils.data.DataLoader(pictures, collate_fn=collate)) == []
    with pytest.raises(IndexError):
        pictures[-1]


def test_an_image_that_cannot_be_decoded_is_named(dataset: Path, tmp_path: Path) -> None:
    """The error has the path and the remedy, in this process and out of a worker."""
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    path = next((copy / "images" / "train").rglob("*.jpg"))
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2])
    pictures = OpenImagesDataset(copy, "train")
    at = by_split(dataset)["train"].index(path.stem)
    with pytest.raises(oidkit.OidError, match=f"{path.name}.*oid verify"):
        pictures[at]
    loader = torch.utils.data.DataLoader(
        pictures, num_workers=1, collate_fn=collate, multiprocessing_context="fork"
    )
    with pytest.raises(oidkit.OidError, match=path.name):
        list(loader)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_loader_give_the_same(dataset: Path, start: str) -> None:
    """Two workers give every picture once and in order, however they are started."""
    pictures = OpenImagesDataset(dataset, "validation")
    loader = torch.utils.data.DataLoader(
        pictures,
        batch_size=4,
        num_workers=2,
        collate_fn=collate,
        multiprocessing_context=start,
    )
    ids = []
    for batch in loader:
        for image, target in zip(*batch, strict=True):
            ids.append(target["open_images_id"])
            check_target(target, dataset, image.size)
    assert ids == by_split(dataset)["validation"]


def test_a_dataset_can_be_pickled(dataset: Path) -> None:
    """A copy gives the same as the original."""
    pictures = OpenImagesDataset(dataset, "train")
    copy = pickle.loads(pickle.dumps(pictures))  # noqa: S301 - made on the line itself
    for one, other in zip((pictures[0], pictures[-1]), (copy[0], copy[-1]), strict=True):
        assert one[1].keys() == other[1].keys()
        assert all(torch.equal(one[1][key], other[1][key]) for key in ("boxes", "labels", "masks"))


def test_a_mask_that_cannot_be_read_is_left_out(dataset: Path, tmp_path: Path) -> None:
    """A warning names it, its object keeps the box, and no other mask goes with it."""
    copied = tmp_path / "copied"
    shutil.copytree(dataset, copied)
    whole = OpenImagesDataset(copied)
    at = next(at for at in range(len(whole)) if whole[at][1]["has_mask"].any())
    before = whole[at][1]
    name = before["open_images_id"]
    for path in (copied / "masks/train").glob(f"{name}_*.png"):
        path.unlink()
        path.write_bytes(b"no PNG")
    with pytest.warns(UserWarning, match=f"{name}.*cannot be read"):
        after = OpenImagesDataset(copied)[at][1]
    assert not after["has_mask"].any()
    assert not after["masks"].any()
    boxed = len(told(copied)[name].boxes)
    assert len(after["boxes"]) == min(boxed, len(before["boxes"]))


def test_without_masks_no_mask_is_read(dataset: Path) -> None:
    """`masks=False` leaves their keys out; areas are those of the boxes."""
    _, target = OpenImagesDataset(dataset, "train", masks=False)[0]
    assert not {"masks", "has_mask"} & {*target}
    boxes = target["boxes"]
    expected = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert torch.allclose(target["area"], torch.as_tensor(expected))


def test_transforms_take_and_give_both(dataset: Path) -> None:
    """What a transform gives is what comes out."""
    pictures = OpenImagesDataset(
        dataset, "train", transforms=lambda image, target: (image.size, len(target["labels"]))
    )
    size, objects = pictures[0]
    first = told(dataset)[by_split(dataset)["train"][0]]
    assert (size, objects) == (first.size, len(first.boxes))


def test_torchvisions_transforms_move_boxes_and_masks(dataset: Path) -> None:
    """Mirrored by `transforms.v2`, boxes and masks are mirrored with the picture."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    for at in range(len(by_split(dataset)["train"])):
        image, plain = OpenImagesDataset(dataset, "train")[at]
        mirrored = OpenImagesDataset(dataset, "train", v2.RandomHorizontalFlip(1.0))[at][1]
        flipped = plain["boxes"].clone().as_subclass(torch.Tensor)
        flipped[:, [0, 2]] = image.width - flipped[:, [2, 0]]
        assert torch.allclose(mirrored["boxes"].as_subclass(torch.Tensor), flipped)
        assert torch.equal(
            mirrored["masks"].as_subclass(torch.Tensor),
            plain["masks"].as_subclass(torch.Tensor).flip(-1),
        )


def test_without_torchvision_they_are_plain_tensors(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes and masks are torchvision's tensors where it is there, else PyTorch's own."""
    pytest.importorskip("torchvision")
    pictures = OpenImagesDataset(dataset, "train")
    shown = pictures[0][1]
    assert type(shown["boxes"]).__name__ == "BoundingBoxes"
    assert type(shown["masks"]).__name__ == "Mask"
    monkeypatch.setattr(targets, "_tv_tensors", lambda: None)
    plain = pictures[0][1]
    assert type(plain["boxes"]) is type(plain["masks"]) is torch.Tensor
    assert torch.equal(plain["boxes"], shown["boxes"].as_subclass(torch.Tensor))


def test_shards_give_the_same_targets(dataset: Path, tmp_path: Path) -> None:
    """Every sample of the shards has the target that the folder has."""
    oidkit.export(dataset, tmp_path / "out", "webdataset", shard_size=5)
    for split, ids in by_split(dataset).items():
        shards = OpenImagesShards(tmp_path / "out", split)
        assert shards.samples == len(ids)
        found = []
        for image, target in shards:
            found.append(target["open_images_id"])
            check_target(target, dataset, image.size)
        assert found == ids


def test_workers_and_shuffling_give_each_sample_once(dataset: Path, tmp_path: Path) -> None:
    """Workers share out the shards; shuffled epochs differ, and the same one is the same again."""
    oidkit.export(dataset, tmp_path / "out", "webdataset", shard_size=5)
    shards = OpenImagesShards(tmp_path / "out", "validation", masks=False, shuffle=8, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        shards.set_epoch(epoch)
        loader = torch.utils.data.DataLoader(
            shards, batch_size=None, num_workers=2, multiprocessing_context="fork"
        )
        orders.append([target["open_images_id"] for _, target in loader])
        assert sorted(orders[-1]) == by_split(dataset)["validation"]
    assert orders[0] == orders[2] != orders[1]


def test_ranks_share_out_the_shards(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks together have every sample, and none twice."""
    oidkit.export(dataset, tmp_path / "out", "webdataset", shard_size=5)
    distributed = torch.distributed
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        shards = OpenImagesShards(tmp_path / "out", "validation", masks=False)
        parts.append([target["open_images_id"] for _, target in shards])
    assert all(parts)
    assert sorted(parts[0] + parts[1]) == by_split(dataset)["validation"]


def test_importing_the_module_does_not_import_torch() -> None:
    """PyTorch comes with the first name that is used."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, oidkit.torch; sys.exit('torch' in sys.modules)"],
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
