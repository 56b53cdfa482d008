"""Which files each label type asks for, what stands in for one that is gone, and class names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from label_oracle import (
    ATTRIBUTES,
    FULL_LISTS,
    GONE,
    HAVING,
    Asked,
    Published,
    expected,
    files_of,
    kinds_of,
)
from oidkit import catalog
from oidkit.api import Settings, download, plan
from oidkit.errors import AmbiguousClassError, UsageError
from oidkit.events import Warned
from oidkit.selection import Selection
from oidkit.testing import MirrorServer
from oidkit.testing.faults import Fault, RequestInfo
from oracle import differences, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from oidkit.events import Event

pytest_plugins = ["bad_fixtures", "label_fixtures"]
PERSON = "/m/01g317"
CLASS_FILES = {
    "v4": "openimages/2018_04/class-descriptions-boxable.csv",
    "v5": "openimages/v5/class-descriptions-boxable.csv",
    "v6": "openimages/v5/class-descriptions-boxable.csv",
    "v7": "openimages/v7/oidv7-class-descriptions-boxable.csv",
}
SEGMENTABLE = "openimages/v5/classes-segmentation.txt"
LISTS = {
    "train": "openimages/2018_04/train/train-images-boxable-with-rotation.csv",
    "validation": "openimages/2018_04/validation/validation-images-with-rotation.csv",
    "test": "openimages/2018_04/test/test-images-with-rotation.csv",
}


@pytest.fixture
def server(releases: dict[str, Published]) -> Iterator[MirrorServer]:
    """Serve all four releases."""
    with MirrorServer(releases["v7"].root) as running:
        yield running


def asked_of(
    server: MirrorServer, folder: Path, release: str, **fields: Any
) -> tuple[set[str], list[Event]]:
    """Download with an empty cache, and give the keys asked for but images and mask zips."""
    settings = Settings(server.url, folder / "cache", release)
    events: list[Event] = []
    server.reset()
    usual: dict[str, Any] = {"classes": (PERSON,), "images": False, "metadata": False}
    download(Selection(**usual | fields), folder / "out", settings=settings, on_event=events.append)
    keys = {request.path for request in server.log}
    return {key for key in keys if not key.endswith((".jpg", ".zip"))}, events


def lists_of(release: str, *labels: str) -> set[str]:
    """Name the small files that label types need."""
    found = {CLASS_FILES[release]} | ({SEGMENTABLE} if release != "v4" else set())
    if {"image-labels", "points"} & set(labels):
        found.add(FULL_LISTS[release])
    if "relationships" in labels:
        found.add(f"{ATTRIBUTES[release]}.csv")
    return found


TYPES = [(release, label) for release in HAVING for label in HAVING[release]]


@pytest.mark.parametrize(("release", "label"), TYPES)
def test_each_type_asks_for_its_own_files(
    server: MirrorServer, tmp_path: Path, release: str, label: str
) -> None:
    """Every release reads the files that the pages list for a label type, and no others."""
    found, _ = asked_of(server, tmp_path, release, labels=(label,))
    kinds = kinds_of(label) + (("boxes",) if label == "narratives" else ())
    wanted = {key for kind in kinds for split in LISTS for key in files_of(release, kind, split)}
    gone = {GONE} if (release, label) == ("v6", "image-labels") else set()
    assert found == wanted | gone | lists_of(release, label)


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"labels": ("image-labels",), "label_source": "human"}, ["human"]),
        (
            {"labels": ("image-labels",), "label_source": "human", "negatives": True},
            ["human"],
        ),
        ({"labels": ("image-labels",), "label_source": "machine"}, ["machine"]),
        (
            {"labels": ("boxes", "narratives"), "captions": True},
            ["boxes", "captions"],
        ),
        ({"labels": ("narratives",), "captions": True}, ["boxes", "captions"]),
        ({"labels": ("points", "narratives")}, ["points", "narratives"]),
        ({"labels": ("boxes",), "occluded": "yes", "min_area": 0.1}, ["boxes"]),
        ({"labels": ("points",), "annotations": "all", "exclude": ("/m/0gxl3",)}, ["points"]),
        ({"labels": ("masks",), "metadata": True}, ["masks", "images"]),
        ({"labels": ("boxes",), "image_ids": ("train/0123456789abcdef",)}, ["boxes"]),
    ],
    ids=str,
)
def test_no_flag_reads_a_table_that_it_does_not_need(
    server: MirrorServer, tmp_path: Path, fields: dict[str, Any], kinds: list[str]
) -> None:
    """A flag that leaves something out leaves its file alone too."""
    found, _ = asked_of(server, tmp_path, "v7", splits=("train",), **fields)
    wanted = {
        key
        for kind in kinds
        for key in ([LISTS["train"]] if kind == "images" else files_of("v7", kind, "train"))
    }
    assert found == wanted | lists_of("v7", *fields["labels"])


def test_narratives_of_listed_images_need_no_boxes(server: MirrorServer, tmp_path: Path) -> None:
    """Where no class is named, nothing has to tell which images show one."""
    fields: dict[str, Any] = {"classes": (), "image_ids": ("train/0123456789abcdef",)}
    fields |= {"labels": ("narratives",), "captions": True, "splits": ("train",)}
    found, _ = asked_of(server, tmp_path / "1", "v7", **fields)
    assert found == set(files_of("v7", "captions", "train")) | {CLASS_FILES["v7"]}
    found, _ = asked_of(server, tmp_path / "2", "v7", **fields, exclude=(PERSON,))
    assert found > set(files_of("v7", "boxes", "train"))


def test_no_metadata_reads_no_image_list(server: MirrorServer, tmp_path: Path) -> None:
    """The image list is read with the metadata, and for no other reason."""
    without, _ = asked_of(server, tmp_path / "1", "v7", labels=("points",))
    with_it, _ = asked_of(server, tmp_path / "2", "v7", labels=("points",), metadata=True)
    assert with_it - without == set(LISTS.values())


def test_the_full_class_list_is_read_where_it_is_needed(
    server: MirrorServer, tmp_path: Path
) -> None:
    """A boxable class, by name or MID, needs no list of 20,000 for its boxes."""
    for nth, name in enumerate(("Handgun", "/m/0gxl3")):
        found, _ = asked_of(server, tmp_path / f"{nth}", "v7", classes=(name,), labels=("boxes",))
        assert FULL_LISTS["v7"] not in found


@pytest.mark.parametrize(
    ("release", "label", "having"),
    [
        ("v4", "masks", "V5, V6, V7"),
        ("v5", "narratives", "V6, V7"),
        ("v4", "narratives", "V6, V7"),
        ("v6", "points", "V7"),
    ],
)
def test_a_type_that_a_release_lacks(
    server: MirrorServer, tmp_path: Path, release: str, label: str, having: str
) -> None:
    """The error names the releases that have the type, and nothing was asked for."""
    settings = Settings(server.url, tmp_path / "cache", release)
    selection = Selection((PERSON,), labels=("boxes", label))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"{release.upper()} has no {label}.*: {having}$"):
        download(selection, tmp_path / "out", settings=settings)
    assert not server.log
    assert not (tmp_path / "out").exists()


# -- a file that is gone --------------------------------------------------------------------------


def gone_with(status: int) -> Callable[[RequestInfo], Fault | None]:
    """Answer a status for the file that is gone, and serve the rest."""
    return lambda info: Fault.answer(status) if info.path == GONE else None


V6_MACHINE: dict[str, Any] = {
    "splits": ("train",),
    "labels": ("image-labels",),
    "label_source": "machine",
}


@pytest.mark.parametrize("status", [403, 404])
def test_what_is_gone_has_a_substitute(
    releases: dict[str, Published], server: MirrorServer, tmp_path: Path, status: int
) -> None:
    """A mirror that lacks the machine labels of V6, or refuses them, gives those of V5: said so."""
    server.hook = gone_with(status)
    for _ in range(2):
        found, events = asked_of(server, tmp_path, "v6", **V6_MACHINE)
        assert {GONE, *files_of("v6", "machine", "train")} <= found
        (told,) = (event.text for event in events if isinstance(event, Warned))
        assert GONE in told
        assert "v5/train-annotations-machine-imagelabels.csv stands in" in told
    asked = Asked(
        (PERSON,),
        ("image-labels",),
        ("train",),
        images=False,
        metadata=False,
        label_source="machine",
    )
    want = expected(releases["v6"], asked)
    assert differences(tree_of(tmp_path / "out"), want.tree) == []


def served(text: str) -> Callable[[RequestInfo], Fault | None]:
    """Answer with a text for the file that is gone."""
    return lambda info: Fault(status=200, body=text.encode()) if info.path == GONE else None


def test_a_mirror_that_has_it_is_read(server: MirrorServer, tmp_path: Path) -> None:
    """Where the file is still there it is the one that is read, and no substitute."""
    row = f"0123456789abcdef,machine,{PERSON},0.7\n"
    server.hook = served(f"ImageID,Source,LabelName,Confidence\n{row}")
    found, events = asked_of(server, tmp_path, "v6", **V6_MACHINE)
    assert not {*files_of("v6", "machine", "train")} & found
    assert not [event for event in events if isinstance(event, Warned)]
    written = (tmp_path / "out/csv/m01g317_train_image-labels.csv").read_text()
    assert written.splitlines()[1:] == [row.strip()]


def test_a_mirror_that_lost_it_is_not_remembered(server: MirrorServer, tmp_path: Path) -> None:
    """A file that was there once and is gone now is as one that was never there."""
    server.hook = served(f"ImageID,Source,LabelName,Confidence\n{'0' * 16},machine,{PERSON},0.7\n")
    asked_of(server, tmp_path, "v6", **V6_MACHINE)
    server.hook = gone_with(404)
    settings = Settings(server.url, tmp_path / "cache", "v6")
    rows = plan(Selection((PERSON,), **V6_MACHINE), tmp_path / "new", settings=settings).rows
    assert rows["image-labels"] > 1


@pytest.mark.parametrize(
    "hook", [served("<html>nothing here</html>\n"), gone_with(500)], ids=["a web page", "500"]
)
def test_a_file_that_may_come_has_no_substitute(
    server: MirrorServer,
    tmp_path: Path,
    short_pauses: None,
    hook: Callable[[RequestInfo], Fault | None],
) -> None:
    """A source that has the file but cannot give it now is an error, not another release."""
    server.hook = hook
    with pytest.raises(Exception, match="v6/oidv6-train-annotations-machine"):
        asked_of(server, tmp_path, "v6", **V6_MACHINE)


def test_the_official_source_is_never_asked_for_it(
    server: MirrorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the official source is known to have no longer is not asked for there."""
    hosts = {bucket: f"{server.url}/{bucket}" for bucket in catalog.OFFICIAL_HOSTS}
    monkeypatch.setattr(catalog, "OFFICIAL_HOSTS", hosts)
    monkeypatch.setattr(catalog, "_known", dict)  # checksums are those of the real files
    settings = Settings("official", tmp_path / "cache", "v6")
    events: list[Event] = []
    selection = Selection((PERSON,), images=False, metadata=False, **V6_MACHINE)
    download(selection, tmp_path / "out", settings=settings, on_event=events.append)
    keys = {request.path for request in server.log}
    assert GONE not in keys
    assert {*files_of("v6", "machine", "train")} <= keys
    assert [event for event in events if isinstance(event, Warned)]


# -- names ----------------------------------------------------------------------------------------


@pytest.fixture
def named(releases: dict[str, Published], tmp_path: Path) -> Callable[..., Any]:
    """Give a way to look up one class for a label type, in a release with one more class."""

    def look(name: str, *, release: str, labels: tuple[str, ...], more: str = "") -> Any:
        def hook(info: RequestInfo) -> Fault | None:
            if info.path != FULL_LISTS[release]:
                return None
            content = (releases[release].root / info.path).read_bytes()
            return Fault(status=200, body=content + f"{more}\r\n".encode())

        with MirrorServer(releases[release].root, hook=hook) as server:
            settings = Settings(server.url, tmp_path / "cache", release)
            selection = Selection(
                (name,),
                splits=("validation",),
                labels=labels,  # type: ignore[arg-type]
                images=False,
                metadata=False,
            )
            download(selection, tmp_path / "out", settings=settings)
        (path,) = (tmp_path / "out").glob("downloader_IDs_for_*")
        return path.name.split("_for_")[1].removesuffix("_validation.txt")

    return look


def test_a_name_that_fits_two_lists(named: Callable[..., Any]) -> None:
    """Another release's name that is also the very name of an image-level class fits both."""
    orange = {"release": "v7", "labels": ("image-labels",), "more": "/m/0jc_p,Orange"}
    with pytest.raises(AmbiguousClassError, match=r"/m/0cyhj_.*/m/0jc_p"):
        named("Orange", **orange)
    assert named("Orange (fruit)", **orange) == "m0cyhj_"


def test_boxes_know_boxable_names_alone(named: Callable[..., Any]) -> None:
    """For boxes the same name is no question."""
    assert named("Orange", release="v7", labels=("boxes",), more="/m/0jc_p,Orange") == "m0cyhj_"


def test_a_boxable_name_that_the_full_list_has_twice(named: Callable[..., Any]) -> None:
    """V6 calls two classes Human leg, one of them boxable: with image labels that is a question."""
    both = ("boxes", "image-labels")
    with pytest.raises(AmbiguousClassError, match=r"/m/0gxl3.*/m/09w5r"):
        named("handgun", release="v6", labels=both, more="/m/09w5r,Handgun")
    assert named("/m/0gxl3", release="v6", labels=both, more="/m/09w5r,Handgun") == "m0gxl3"


def test_a_name_that_differs_in_case_alone(named: Callable[..., Any]) -> None:
    """V6 has Lilac and lilac, which are one name here; the MID tells them apart."""
    with pytest.raises(AmbiguousClassError, match=r"/m/04ffcj.*/m/0k354"):
        named("lilac", release="v6", labels=("image-labels",))
    assert named("/m/0k354", release="v6", labels=("image-labels",)) == "m0k354"


@pytest.mark.parametrize("labels", [("boxes",), ("boxes", "masks"), ("relationships",)])
def test_a_class_of_image_labels_alone(named: Callable[..., Any], labels: tuple[str, ...]) -> None:
    """A class that has no boxes says so, and what it has."""
    with pytest.raises(
        UsageError, match=r"Bike path .*is a class of image labels and points alone.*image-labels"
    ):
        named("Bike path", release="v7", labels=labels)


def test_a_class_of_image_labels_among_others(named: Callable[..., Any]) -> None:
    """With image labels asked for it is found, and its boxes are none."""
    assert named("bike_path", release="v7", labels=("boxes", "image-labels")) == "g11c3krnq6j"
