"""Images outside the bucket, end to end: from their lists and originals into a dataset folder."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import oidkit
from oidkit import catalog
from oidkit.cli import main
from oidkit.testing import (
    Fault,
    MadeRelease,
    MirrorServer,
    PerSplit,
    ReleaseSpec,
    RequestInfo,
    make_release,
    original_faults,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WHOLE = "openimages/v6/oidv6-train-images-with-labels-with-rotation.csv"


class Made(NamedTuple):
    """A release behind a server that has the originals too, and a cache for its tables."""

    server: MirrorServer
    release: MadeRelease
    cache: Path

    def with_fate(self, *fates: str) -> list[str]:
        """Name the images outside the bucket whose originals have these fates."""
        return [each for each, fate in self.release.originals.items() if fate in fates]

    def listed(self, key: str = WHOLE) -> dict[str, dict[str, str]]:
        """Read an image list by the csv module."""
        with (self.release.root / key).open(encoding="utf-8", newline="") as file:
            return {row["ImageID"]: row for row in csv.DictReader(file)}

    def original(self, image: str) -> bytes:
        """Read what the server has as the original of an image."""
        return (self.release.root / "originals" / f"{image}_o.jpg").read_bytes()

    @property
    def settings(self) -> oidkit.Settings:
        """Settings that read from the server."""
        return oidkit.Settings(source=self.server.url, cache=str(self.cache))

    def asked_originals(self) -> list[str]:
        """Name the originals that were asked for, in their order."""
        paths = [request.path for request in self.server.log]
        return [each.removeprefix("originals/") for each in paths if each.startswith("originals/")]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Make the release once: 12 images in the list of train, 3 not in the bucket, 30 outside."""
    base = tmp_path_factory.mktemp("outside")
    root = base / "mirror"
    root.mkdir()
    with MirrorServer(root) as server:
        spec = replace(
            ReleaseSpec.tiny(),
            releases=("v4", "v7"),
            labels=("boxes", "image-labels"),
            images=PerSplit(12, 3, 3),
            jpegs=9,
            outside=30,
            originals_root=f"{server.url}/originals",
        )
        yield Made(server, make_release(root, spec), base / "cache")


@pytest.fixture
def made(shared: Made) -> Made:
    """Give the release with its server as new."""
    shared.server.hook = original_faults(shared.release.originals)
    shared.server.delay = 0.0
    shared.server.reset()
    return shared


def selection(
    images: Sequence[str], *, original: bool = True, metadata: bool = True
) -> oidkit.Selection:
    """Choose listed images of train."""
    return oidkit.Selection(
        (),
        splits=("train",),
        labels=("boxes",),
        image_ids=tuple(images),
        original=original,
        metadata=metadata,
    )


def manifest(out: Path) -> dict[str, dict[str, str]]:
    """Read the rows of the images in a manifest, by ``train/<id>``."""
    with (out / ".oid" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "image"]
    return {f"train/{Path(row['path']).stem}": row for row in rows}


def faulty(made: Made, fault: Fault, image: str) -> Callable[[RequestInfo], Fault | None]:
    """Let the original of one image have a fault."""
    usual = original_faults(made.release.originals)
    return lambda request: fault if f"{image}_o" in request.path else usual(request)


def test_every_original_ends_as_its_fate_has_it(made: Made, tmp_path: Path) -> None:
    """Whole and busy ones come as they are; every loss is in the manifest with its reason."""
    images = sorted(made.release.originals)
    summary = oidkit.download(selection(images), tmp_path / "out", settings=made.settings)
    rows = manifest(tmp_path / "out")
    assert sorted(rows) == images
    there = made.with_fate("whole", "busy")
    for image in there:
        content = (tmp_path / "out" / "images" / f"{image}.jpg").read_bytes()
        row = made.listed()[image.removeprefix("train/")]
        fingerprint = hashlib.md5(content, usedforsecurity=False)
        assert content == made.original(image)
        assert base64.b64encode(fingerprint.digest()).decode() == row["OriginalMD5"]
        assert rows[image]["status"] == "ok"
        assert rows[image]["key"] == row["OriginalURL"]
        assert rows[image]["check"] == f"md5:{fingerprint.hexdigest()}"
    reasons = {
        "gone": ("missing", "(404)"),
        "placeholder": ("missing", "removed by its author"),
        "png": ("missing", "no JPEG but PNG"),
        "changed": ("damaged", "OriginalSize"),
    }
    for fate, (status, reason) in reasons.items():
        for image in made.with_fate(fate):
            assert rows[image]["status"] == status
            assert reason in rows[image]["reason"]
            assert not (tmp_path / "out" / "images" / f"{image}.jpg").exists()
    lost = made.with_fate("gone", "placeholder", "png")
    assert sorted(summary.missing) == sorted(lost)
    assert summary.images.fetched == len(there)
    assert summary.images.failed == len(made.with_fate("changed"))
    assert summary.exit_code == 6
    # One request for each, and one more for those that asked for patience; none to the bucket.
    assert len(made.asked_originals()) == len(images) + len(made.with_fate("busy"))
    assert not [each for each in made.server.log if each.path.startswith("open-images-dataset/")]


def test_only_missing_ones_end_with_exit_code_3(made: Made, tmp_path: Path) -> None:
    """Photos that are gone for good are a loss that no rerun mends."""
    summary = oidkit.download(
        selection(made.with_fate("whole", "gone")), tmp_path / "out", settings=made.settings
    )
    assert summary.exit_code == 3


def test_without_the_flag_nothing_is_asked_but_the_bucket(made: Made, tmp_path: Path) -> None:
    """One request an image, 404 is missing, and no list is read that nobody needs."""
    images = made.with_fate("whole")[:3]
    wanted = selection(images, original=False, metadata=False)
    cache = tmp_path / "cache"
    settings = oidkit.Settings(source=made.server.url, cache=str(cache))
    summary = oidkit.download(wanted, tmp_path / "out", settings=settings)
    assert summary.exit_code == 3
    paths = [request.path for request in made.server.log]
    assert sorted(path for path in paths if path.endswith(".jpg")) == sorted(
        f"open-images-dataset/{image}.jpg" for image in images
    )
    assert not [path for path in paths if "with-rotation" in path]


def test_the_whole_list_is_read_only_for_images_that_the_other_lacks(
    made: Made, tmp_path: Path
) -> None:
    """With images of the bucket alone, the flag and the metadata cost no whole list."""
    key = catalog.image_list("v7", "train").key
    images = [f"train/{each}" for each in made.listed(key)]
    settings = oidkit.Settings(source=made.server.url, cache=str(tmp_path / "cache"))
    oidkit.download(selection(images), tmp_path / "out", settings=settings)
    assert WHOLE not in [request.path for request in made.server.log]


@pytest.mark.parametrize("original", [True, False])
def test_attribution_is_complete_for_images_outside(
    made: Made, tmp_path: Path, *, original: bool
) -> None:
    """Both metadata files have the rows of the whole list, beside those of the bucket's."""
    inside = [f"train/{each}" for each in made.listed(catalog.image_list("v7", "train").key)][:2]
    images = made.with_fate("gone", "placeholder") + inside
    warned: list[object] = []
    oidkit.download(
        selection(images, original=original),
        tmp_path / "out",
        settings=made.settings,
        on_event=warned.append,
    )
    listed = made.listed()
    wanted = {each.removeprefix("train/") for each in images}
    for name in ("csv/images_train.csv", "attribution.csv"):
        with (tmp_path / "out" / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["ImageID"] for row in rows] == sorted(wanted)
        for row in rows:
            assert row == {column: listed[row["ImageID"]][column] for column in row}
    assert not [each for each in warned if isinstance(each, oidkit.events.Warned)]


def test_the_page_says_which_images_are_not_rescaled(made: Made, tmp_path: Path) -> None:
    """Originals are marked as unscaled in ATTRIBUTION.md; a rerun and a repair say the same."""
    inside = [f"train/{each}" for each in made.listed(catalog.image_list("v7", "train").key)][:2]
    there = made.with_fate("whole", "busy")
    out, page = tmp_path / "out", tmp_path / "out" / "ATTRIBUTION.md"
    wanted = selection(inside + there)
    oidkit.download(wanted, out, settings=made.settings)
    text = page.read_text(encoding="utf-8")
    rows = manifest(out)
    for image in inside + there:
        line = next(each for each in text.splitlines() if each.startswith(f"- {image[6:]}: "))
        elsewhere = "://" in rows[image]["key"]
        assert elsewhere or image in inside
        assert line.endswith("; unscaled" if elsewhere else "; rescaled")
    assert "marked as unscaled" in text
    oidkit.download(wanted, out, settings=made.settings)
    assert page.read_text(encoding="utf-8") == text
    page.unlink()
    oidkit.verify(out, repair=True, settings=made.settings)
    assert page.read_text(encoding="utf-8") == text
    oidkit.download(selection(inside, original=False), tmp_path / "in", settings=made.settings)
    assert "unscaled" not in (tmp_path / "in" / "ATTRIBUTION.md").read_text(encoding="utf-8")


def test_bare_ids_outside_the_bucket_are_looked_up_in_the_whole_list(
    made: Made, tmp_path: Path
) -> None:
    """With `--original` an id alone may be that of an image outside, and is chosen as any other."""
    images = made.with_fate("whole")
    bare = [each.removeprefix("train/") for each in images]
    wanted = replace(selection(bare), splits=("train", "validation"))
    summary = oidkit.download(wanted, tmp_path / "out", settings=made.settings)
    assert summary.images.fetched == len(images)
    assert sorted(manifest(tmp_path / "out")) == sorted(images)
    nobody = replace(wanted, image_ids=(*bare, "0123456789abcdef"))
    with pytest.raises(oidkit.errors.UsageError, match="1 image id is in no image list"):
        oidkit.download(nobody, tmp_path / "other", settings=made.settings)


def test_a_mirror_without_the_whole_list_says_what_is_not_known(made: Made, tmp_path: Path) -> None:
    """A warning about licences, and a manifest that says why no address is known."""
    image, *_ = made.with_fate("whole")
    made.server.hook = lambda request: Fault.answer(404) if request.path == WHOLE else None
    settings = oidkit.Settings(source=made.server.url, cache=str(tmp_path / "cache"))
    warned: list[object] = []
    summary = oidkit.download(
        selection([image]), tmp_path / "out", settings=settings, on_event=warned.append
    )
    told = [str(each) for each in warned if isinstance(each, oidkit.events.Warned)]
    assert len(told) == 1
    assert "1 of 1 chosen train images are in no image list" in told[0]
    assert summary.missing == [image]
    assert "no list of images gives an address" in manifest(tmp_path / "out")[image]["reason"]


@pytest.mark.parametrize("status", [404, 403])
def test_listed_images_come_from_the_bucket_first(made: Made, tmp_path: Path, status: int) -> None:
    """The bucket is asked once for each; what it does not give out comes from its original."""
    usual = made.server.hook
    folder = made.release.root / "open-images-dataset" / "train"

    def hook(request: RequestInfo) -> Fault | None:
        absent = request.path.endswith(".jpg") and not (made.release.root / request.path).exists()
        if absent and request.path.startswith("open-images-dataset/"):
            return Fault.answer(status)
        return usual(request) if usual else None

    made.server.hook = hook
    images = [f"train/{each}" for each in made.listed(catalog.image_list("v7", "train").key)]
    summary = oidkit.download(selection(images), tmp_path / "out", settings=made.settings)
    assert summary.exit_code == 0
    there = {f"train/{path.stem}" for path in folder.iterdir()}
    assert len(there) == 9
    rows = manifest(tmp_path / "out")
    for image in images:
        content = (tmp_path / "out" / "images" / f"{image}.jpg").read_bytes()
        inside = image in there
        bucket = f"open-images-dataset/{image}.jpg"
        assert rows[image]["key"] == (
            bucket if inside else f"{made.server.url}/originals/{image}_o.jpg"
        )
        assert content == (
            (made.release.root / bucket).read_bytes() if inside else made.original(image)
        )
    asked = [each.path for each in made.server.log if each.path.endswith(".jpg")]
    assert len(asked) == len(images) + len(images) - len(there)
    assert summary.images.fetched == len(images)


def test_a_second_run_asks_once_more_for_what_was_lost_alone(made: Made, tmp_path: Path) -> None:
    """What is there needs no request; what was missing may have come back."""
    images = made.with_fate("whole", "gone")
    oidkit.download(selection(images), tmp_path / "out", settings=made.settings)
    made.server.reset()
    again = oidkit.download(selection(images), tmp_path / "out", settings=made.settings)
    assert made.asked_originals() == [f"{each}_o.jpg" for each in made.with_fate("gone")]
    assert again.images.present == len(made.with_fate("whole"))


def test_repair_brings_an_original_again(made: Made, tmp_path: Path) -> None:
    """A damaged and a removed file come from their addresses, and nothing else is asked for."""
    out = tmp_path / "out"
    images = made.with_fate("whole")[:4]
    inside = "train/" + min(
        path.stem for path in (made.release.root / "open-images-dataset" / "train").iterdir()
    )
    oidkit.download(selection([*images, inside]), out, settings=made.settings)
    (out / "images" / f"{images[0]}.jpg").write_bytes(b"damaged")
    (out / "images" / f"{images[1]}.jpg").unlink()
    (out / "images" / f"{inside}.jpg").unlink()
    assert oidkit.verify(out).exit_code == 6
    made.server.reset()
    report = oidkit.verify(out, repair=True, settings=made.settings)
    assert (report.exit_code, report.repaired) == (0, 3)
    assert sorted(made.asked_originals()) == sorted(f"{each}_o.jpg" for each in images[:2])
    for image in images:
        assert (out / "images" / f"{image}.jpg").read_bytes() == made.original(image)


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (Fault(status=200, body=b"\x89PNG\r\n\x1a\n" + b"p" * 4000), "missing", "a PNG stands"),
        (Fault(status=200, body=b"GIF89a"), "missing", "a GIF stands"),
        (Fault.html(), "damaged", "web page"),
        (Fault(flip=600), "damaged", "OriginalMD5"),
        (Fault.redirect("file:///etc/passwd"), "failed", "'file'"),
        (Fault.answer(410), "missing", "(410)"),
        (
            Fault(status=200, body=b"\xff\xd8" + b"x" * 5_000_000, no_length=True),
            "damaged",
            "OriginalSize",
        ),
    ],
    ids=["png", "gif", "page", "flipped", "redirected", "gone", "endless"],
)
def test_what_is_not_the_photo_is_no_photo(
    made: Made, tmp_path: Path, fault: Fault, status: str, reason: str
) -> None:
    """Each thing that a host may answer in place of a photo has its status and its reason."""
    image, other, *_ = made.with_fate("whole")
    made.server.hook = faulty(made, fault, image)
    summary = oidkit.download(selection([image, other]), tmp_path / "out", settings=made.settings)
    row = manifest(tmp_path / "out")[image]
    assert row["status"] == status
    assert reason in row["reason"]
    assert not (tmp_path / "out" / "images" / f"{image}.jpg").exists()
    assert (tmp_path / "out" / "images" / f"{other}.jpg").exists()
    # Of a body without an end no more comes than what was under way.
    assert summary.received_bytes < 20_000_000
    # Only a flipped bit may be mended by asking again.
    asked = made.asked_originals().count(f"{image}_o.jpg")
    assert asked == (3 if reason == "OriginalMD5" else 1)


def test_originals_are_fetched_a_few_at_a_time(made: Made, tmp_path: Path) -> None:
    """Never more than four are in flight, though thirty are wanted."""
    made.server.delay = 0.03
    images = made.with_fate("whole", "gone", "png")
    settings = made.settings
    oidkit.plan(selection(images), tmp_path / "out", settings=settings)
    made.server.reset()
    oidkit.download(selection(images), tmp_path / "out", settings=settings)
    assert len(made.asked_originals()) == len(images)
    assert made.server.peak == 4


def test_a_list_in_a_folder_cannot_point_at_this_machine(made: Made, tmp_path: Path) -> None:
    """Not a single request goes to the address, and the reason is in the manifest."""
    image, *_ = made.with_fate("whole")
    settings = oidkit.Settings(source=str(made.release.root), cache=str(tmp_path / "cache"))
    summary = oidkit.download(selection([image]), tmp_path / "out", settings=settings)
    assert made.server.connections == 0
    assert summary.exit_code == 4
    assert "private network" in manifest(tmp_path / "out")[image]["reason"]


def test_the_plan_counts_the_published_bytes(made: Made, tmp_path: Path) -> None:
    """Images outside count with their OriginalSize, the others with the mean of the bucket."""
    outside = made.with_fate("whole", "gone")
    inside = [f"train/{each}" for each in made.listed(catalog.image_list("v7", "train").key)][:3]
    planned = oidkit.plan(selection(outside + inside), tmp_path / "out", settings=made.settings)
    listed = made.listed()
    sizes = [int(listed[each.removeprefix("train/")]["OriginalSize"]) for each in outside]
    assert planned.from_originals == len(outside)
    assert planned.bytes_to_receive == sum(sizes) + 3 * catalog.IMAGE_BYTES
    plain = planned.as_dict()["images"]
    assert plain == {
        "asked": len(outside) + 3,
        "present": 0,
        "to_fetch": len(outside) + 3,
        "from_originals": len(outside),
    }
    assert not made.asked_originals()


def test_an_image_of_another_split_is_not_fetched_as_one_of_train(
    made: Made, tmp_path: Path
) -> None:
    """The list of V4 holds every split; its column Subset decides."""
    strange, *_ = made.listed(catalog.image_list("v4", "test").key)
    image, *_ = made.with_fate("whole")
    settings = replace(made.settings, release="v4")
    wanted = selection([image, f"train/{strange}"])
    summary = oidkit.download(wanted, tmp_path / "out", settings=settings)
    assert summary.missing == [f"train/{strange}"]
    assert "no list of images" in manifest(tmp_path / "out")[f"train/{strange}"]["reason"]
    assert made.asked_originals() == [f"{image}_o.jpg"]
    assert manifest(tmp_path / "out")[image]["status"] == "ok"


def test_the_command_and_its_recipe_ask_for_originals(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--original` reaches the recipe that is written, and that recipe brings the same files."""
    images = made.with_fate("whole")
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(images), encoding="utf-8")
    common = ["--source", made.server.url, "--cache", str(made.cache), "--quiet"]
    flags = ["--image-ids", str(ids), "--split", "train", "--labels", "boxes", "--original"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(["download", *flags, "--out", str(one), "--dry-run", *common]) == 0
    assert f"{len(images)} of them from outside the bucket" in capsys.readouterr().out
    assert main(["download", *flags, "--out", str(one), "--json", *common]) == 0
    assert json.loads(capsys.readouterr().out)["images"]["fetched"] == len(images)
    recipe = one / ".oid" / "recipe.toml"
    assert "original = true" in recipe.read_text(encoding="utf-8")
    assert main(["download", "--recipe", str(recipe), "--out", str(two), *common]) == 0
    assert manifest(one) == manifest(two)
    shutil.rmtree(one)


def test_made_images_outside_have_labels_and_lines_but_no_boxes(made: Made) -> None:
    """They are in the human labels and the whole lists, and in nothing that is of the bucket."""
    ids = {each.removeprefix("train/") for each in made.release.originals}
    assert len(ids) == 30
    human, machine = catalog.tables("v7", "image-labels", "train")
    for file in (human, machine):
        with (made.release.root / file.key).open(encoding="utf-8", newline="") as lines:
            found = [row["ImageID"] for row in csv.DictReader(lines)]
        assert ids < set(found)
        assert found == sorted(found)
    for key in (
        catalog.tables("v7", "boxes", "train")[0].key,
        catalog.image_list("v7", "train").key,
    ):
        text = (made.release.root / key).read_text(encoding="utf-8")
        assert not [each for each in ids if each in text]
    train = set(made.listed(catalog.image_list("v7", "train").key))
    assert set(made.listed()) == ids | train
    every = catalog.whole_image_list("v4", "train")
    assert every is not None
    assert {row["Subset"] for row in made.listed(every.key).values()} == set(catalog.SPLITS)
    assert len(made.listed(every.key)) == made.release.rows[every.key] == 30 + 12 + 3 + 3
