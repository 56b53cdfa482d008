"""`datasets.load_dataset` on what an export wrote, compared with the CSVs of the dataset folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import oidkit
from export_oracle import FLAGS, NAMES, by_split, told

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give the library, which keeps what it makes in a folder of this run and asks no network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        import datasets

        yield datasets


def test_a_parquet_export_loads_with_its_types(
    datasets: Any, dataset: Path, tmp_path: Path
) -> None:
    """The folder alone gives splits, pictures, classes by name, boxes, flags and masks."""
    oidkit.export(dataset, tmp_path / "out", "parquet", shard_megabytes=1)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: list(split["image_id"]) for name, split in loaded.items()} == by_split(dataset)
    masks = 0
    for split in loaded.values():
        label = split.features["objects"].feature["category"]
        assert label.names == NAMES
        for row in split:
            picture = told(dataset)[row["image_id"]]
            assert row["image"].size == picture.size == (row["width"], row["height"])
            boxes = sorted(
                (label.int2str(each["category"]), *each["bbox"], *(each[flag] for flag in FLAGS))
                for each in row["objects"]
            )
            assert [box[0] for box in boxes] == [box[0] for box in picture.boxes]
            assert np.allclose(
                [box[1:] for box in boxes], [box[1:] for box in picture.boxes], atol=1e-3
            )
            for each in row["objects"]:
                if each["mask"] is not None:
                    assert (np.asarray(each["mask"]) == picture.mask(each["box_id"])).all()
                    masks += 1
    assert masks > 0


def test_a_parquet_export_can_be_streamed(datasets: Any, dataset: Path, tmp_path: Path) -> None:
    """Rows come one after the other, without a copy of the files."""
    oidkit.export(dataset, tmp_path / "out", "parquet")
    for split, ids in by_split(dataset).items():
        stream = datasets.load_dataset(str(tmp_path / "out"), split=split, streaming=True)
        assert [row["image_id"] for row in stream] == ids


def test_the_head_of_the_card_is_what_the_files_say(
    datasets: Any, dataset: Path, tmp_path: Path
) -> None:
    """The features in README.md are those in the files, and its sizes are those of the splits."""
    from huggingface_hub import DatasetCard

    oidkit.export(dataset, tmp_path / "out", "parquet")
    card = DatasetCard.load(tmp_path / "out" / "README.md").data.to_dict()
    info = datasets.DatasetInfo._from_yaml_dict(card["dataset_info"])
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "out" / "data" / "*.parquet"),
        cache_dir=str(tmp_path / "cache"),
    )
    assert info.features == loaded["train"].features
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        split: len(ids) for split, ids in by_split(dataset).items()
    }
    assert card["license"] == "cc-by-4.0"


def test_folders_of_one_label_load(datasets: Any, dataset: Path, tmp_path: Path) -> None:
    """An imagefolder export gives each picture with the label that metadata.csv has."""
    oidkit.export(dataset, tmp_path / "out", "imagefolder")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == {
        split: len(ids) for split, ids in by_split(dataset).items()
    }
    for name, split in loaded.items():
        for row, image_id in zip(split, by_split(dataset)[name], strict=True):
            picture = told(dataset)[image_id]
            assert row["image"].size == picture.size
            assert row["label"] in {box[0] for box in picture.boxes}


def test_folders_of_several_labels_load(datasets: Any, dataset: Path, tmp_path: Path) -> None:
    """With --multi-label each picture has the list of its classes."""
    oidkit.export(dataset, tmp_path / "out", "imagefolder", multi_label=True)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    for split in loaded.values():
        for row in split:
            boxes = told(dataset)[row["image_id"]].boxes
            assert {*row["labels"]} == {box[0] for box in boxes}
