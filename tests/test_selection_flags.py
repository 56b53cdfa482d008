"""The flags that say which rows and images are wanted come to what the oracle works out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from oidkit.api import Settings, download, plan
from oidkit.cli import main
from oidkit.errors import UsageError
from oidkit.selection import Selection
from oidkit.testing import PerSplit, ReleaseSpec, make_release
from oracle import (
    SPLITS,
    Asked,
    Expected,
    Mirror,
    differences,
    expected,
    ids_in,
    printed,
    tree_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.catalog import Label
    from oidkit.choice import Match
    from oidkit.selection import Layout

SPEC = dataclasses.replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(50, 20, 30),
    jpegs=0.9,
    long_side=96,
    jpeg_quality=50,
)
PERSON, HANDGUN, CHOPSTICKS = "/m/01g317", "/m/0gxl3", "/m/01_5g"
COLUMNS = {
    "occluded": "IsOccluded",
    "truncated": "IsTruncated",
    "group_of": "IsGroupOf",
    "depiction": "IsDepiction",
    "inside": "IsInside",
}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Make the release that all tests here read."""
    return Mirror(make_release(tmp_path_factory.mktemp("mirror"), SPEC).root)


@pytest.fixture(scope="module")
def settings(mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Read the release from its folder."""
    return Settings(source=str(mirror.root), cache=tmp_path_factory.mktemp("cache"))


def agree(out: Path, selection: Selection, settings: Settings, want: Expected) -> None:
    """Plan and download into an empty folder, and compare both with what the oracle expects."""
    ahead = plan(selection, out, settings=settings)
    summary = download(selection, out, settings=settings)
    assert differences(tree_of(out), want.tree) == []
    assert summary.annotations == ahead.rows == want.rows
    assert summary.images.asked == len(want.images)
    assert summary.masks.asked == summary.masks.fetched == want.masks
    assert summary.exit_code == (3 if want.missing else 0)


# -- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [("boxes",), ("masks",), ("boxes", "masks")])
@pytest.mark.parametrize(
    "flags",
    [
        {"occluded": "yes"},
        {"occluded": "no"},
        {"truncated": "yes", "group_of": "no"},
        {"depiction": "yes"},
        {"inside": "no", "min_area": 0.1},
        {"min_area": 0.25},
        {"min_area": 1.0},
    ],
    ids=str,
)
def test_only_rows_that_are_kept_count(
    mirror: Mirror,
    settings: Settings,
    tmp_path: Path,
    labels: tuple[str, ...],
    flags: dict[str, Any],
) -> None:
    """Flags and areas decide on rows, and by them on images, as in the oracle."""
    texts = {"yes": "1", "no": "0"}
    wanted = tuple((COLUMNS[name], texts[flags[name]]) for name in COLUMNS if name in flags)
    asked = Asked(
        (PERSON, HANDGUN), labels=labels, flags=wanted, min_area=flags.get("min_area", 0.0)
    )
    selection = Selection((PERSON, HANDGUN), labels=labels, **flags)  # type: ignore[arg-type]
    want = expected(mirror, asked)
    everything = expected(mirror, Asked((PERSON, HANDGUN), labels=labels))
    flags_of_masks = labels == ("masks",) and "min_area" not in flags
    assert (want.rows == everything.rows) == flags_of_masks
    agree(tmp_path / "out", selection, settings, want)


def test_an_unknown_flag_is_neither_yes_nor_no(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """Boxes whose flag is -1 are in the files of `any` alone."""
    found = {}
    for value in ("yes", "no", "any"):
        selection = Selection((PERSON,), labels=("boxes",), images=False, occluded=value)
        summary = download(selection, tmp_path / value, settings=settings)
        found[value] = summary.annotations["boxes"]
    sheets = [mirror.sheets["boxes", split] for split in ("train", "validation", "test")]
    unknown = [
        row
        for sheet in sheets
        for row in sheet.having("LabelName", [PERSON])
        if row[sheet.column("IsOccluded")] == "-1"
    ]
    assert unknown
    assert found["any"] == found["yes"] + found["no"] + len(unknown)


def test_a_box_of_just_the_area_is_kept(mirror: Mirror, settings: Settings, tmp_path: Path) -> None:
    """The smallest area is the first that counts, to the last digit of the published text."""
    sheet = mirror.sheets["boxes", "validation"]
    sides = [sheet.column(name) for name in ("XMin", "XMax", "YMin", "YMax")]
    rows = [[float(row[at]) for at in sides] for row in sheet.having("LabelName", [PERSON])]
    areas = sorted((row[1] - row[0]) * (row[3] - row[2]) for row in rows)
    for at in (0, len(areas) // 2, len(areas) - 1):
        selection = Selection(
            (PERSON,),
            splits=("validation",),
            labels=("boxes",),
            images=False,
            min_area=areas[at],
        )
        summary = download(selection, tmp_path / str(at), settings=settings)
        assert summary.annotations["boxes"] == sum(area >= areas[at] for area in areas)


def test_every_class_needs_a_row_that_is_kept(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """With `all`, an image has a kept annotation of each class."""
    asked = Asked((PERSON, HANDGUN), match="all", min_area=0.06)
    want = expected(mirror, asked)
    assert 0 < len(want.images) < len(expected(mirror, Asked(asked.classes, match="all")).images)
    selection = Selection(asked.classes, match="all", min_area=0.06)
    agree(tmp_path / "out", selection, settings, want)


@pytest.mark.parametrize("order", [1, -1])
def test_parts_of_an_image_add_up_in_published_order(
    mirror: Mirror, settings: Settings, tmp_path: Path, order: int
) -> None:
    """Hidden boxes first and the others then, or the other way round, come to both together."""
    for value in ("yes", "no")[::order]:
        selection = Selection((PERSON,), labels=("boxes",), occluded=value)  # type: ignore[arg-type]
        download(selection, tmp_path, settings=settings)
    for split in ("train", "validation", "test"):
        sheet = mirror.sheets["boxes", split]
        known = [
            row
            for row in sheet.having("LabelName", [PERSON])
            if row[sheet.column("IsOccluded")] != "-1"
        ]
        at = sheet.column("ImageID")
        known.sort(key=lambda row: row[at])
        found = (tmp_path / f"csv/m01g317_{split}_boxes.csv").read_bytes()
        assert found == printed(sheet.columns, known)


@pytest.mark.parametrize("first", ["whole", "part"])
def test_a_part_and_the_whole_come_to_the_whole(
    mirror: Mirror, settings: Settings, tmp_path: Path, first: str
) -> None:
    """Rows of a narrower selection are neither lost nor doubled beside those of a wider one."""
    part, whole = Selection((PERSON,), min_area=0.2), Selection((PERSON,))
    for each in (part, whole) if first == "part" else (whole, part):
        download(each, tmp_path, settings=settings)
    assert differences(tree_of(tmp_path), expected(mirror, Asked((PERSON,))).tree) == []


# -- classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [("boxes",), ("masks",), ("boxes", "masks")])
@pytest.mark.parametrize("exclude", [("Man",), ("Man", "/m/07j7r")])
def test_images_of_excluded_classes_are_dropped(
    mirror: Mirror,
    settings: Settings,
    tmp_path: Path,
    labels: tuple[Label, ...],
    exclude: tuple[str, ...],
) -> None:
    """An image that carries an excluded class in a chosen label is nowhere in the folder."""
    mids = tuple(mirror.by_id(each) for each in exclude)
    want = expected(mirror, Asked((PERSON, HANDGUN), labels=labels, exclude=mids))
    whole = expected(mirror, Asked((PERSON, HANDGUN), labels=labels))
    assert 0 < len(want.images) < len(whole.images)
    selection = Selection((PERSON, HANDGUN), labels=labels, exclude=exclude)
    agree(tmp_path / "out", selection, settings, want)


def test_a_row_that_is_not_kept_excludes_all_the_same(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """A small box of an excluded class drops its image, though small boxes are not kept."""
    asked = Asked((PERSON,), exclude=(mirror.by_id("Man"),), min_area=0.05)
    selection = Selection((PERSON,), exclude=("man",), min_area=0.05)
    agree(tmp_path / "out", selection, settings, expected(mirror, asked))


@pytest.mark.parametrize("match", ["any", "all"])
@pytest.mark.parametrize(
    "names", [("Person",), ("Vehicle", "Car"), ("Person", "Clothing"), ("Animal", "Taxi")]
)
def test_a_class_stands_for_all_below_it(
    mirror: Mirror, settings: Settings, tmp_path: Path, names: tuple[str, ...], match: Match
) -> None:
    """Rows of all kinds of a class are in its files, under their own LabelName, parts are not."""
    mids = tuple(mirror.by_id(name) for name in names)
    want = expected(mirror, Asked(mids, match=match, subclasses=True))
    assert want.rows["boxes"] > expected(mirror, Asked(mids, match=match)).rows["boxes"]
    agree(tmp_path / "out", Selection(names, match=match, subclasses=True), settings, want)


def test_excluding_a_class_excludes_all_below_it(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """With subclasses, an excluded class stands for all kinds of it too."""
    asked = Asked((HANDGUN,), exclude=(mirror.by_id("Plant"),), subclasses=True)
    want = expected(mirror, asked)
    alone = expected(mirror, dataclasses.replace(asked, subclasses=False))
    assert 0 < len(want.images) < len(alone.images)
    selection = Selection((HANDGUN,), exclude=("plant",), subclasses=True)
    agree(tmp_path / "out", selection, settings, want)


@pytest.mark.parametrize("order", [1, -1])
def test_kinds_and_parts_of_images_add_up(
    mirror: Mirror, settings: Settings, tmp_path: Path, order: int
) -> None:
    """Rows of a class, and large rows of all its kinds, stand together in order of LabelName."""
    selections = (
        Selection((PERSON,), labels=("boxes",)),
        Selection((PERSON,), labels=("boxes",), subclasses=True, min_area=0.05),
    )
    for each in selections[::order]:
        download(each, tmp_path, settings=settings)
    kinds = Asked((PERSON,), subclasses=True, min_area=0.05)
    sheet = mirror.sheets["boxes", "train"]
    at, name = sheet.column("ImageID"), sheet.column("LabelName")
    rows = [
        row
        for row in sheet.having("LabelName", mirror.below(PERSON))
        if row[name] == PERSON or kinds.keeps("boxes", sheet, row)
    ]
    rows.sort(key=lambda row: (row[at], row[name]))
    found = (tmp_path / "csv/m01g317_train_boxes.csv").read_bytes()
    assert found == printed(sheet.columns, rows)


@pytest.mark.parametrize(
    ("exclude", "subclasses", "says"),
    [
        ("Hndgun", False, "Handgun"),
        ("Handgun", False, r"Handgun \(/m/0gxl3\) is asked for and excluded"),
        ("Weapon", True, r"Handgun .* and, as a kind of Weapon .*, excluded"),
    ],
)
def test_what_leaves_nothing_is_refused(
    settings: Settings, tmp_path: Path, exclude: str, says: str, *, subclasses: bool
) -> None:
    """An unknown class to exclude, or one that is asked for, ends before anything is written."""
    selection = Selection(("Handgun",), exclude=(exclude,), subclasses=subclasses)
    with pytest.raises(UsageError, match=says):
        download(selection, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()


# -- totals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 4])
def test_a_total_holds_in_each_split_and_the_folder_fits_it(
    mirror: Mirror, settings: Settings, tmp_path: Path, limit: int | None
) -> None:
    """At most N images a split, balanced, and every row that the classes have on them."""
    mids = (PERSON, HANDGUN)
    whole = Asked(mids)
    for total in (3, 6):
        out = tmp_path / str(total)
        selection = Selection(mids, limit=limit, total=total)
        download(selection, out, settings=settings)
        chosen = {split: ids_in(out, mids, split) for split in SPLITS}
        for split, by_class in chosen.items():
            assert len(set.union(*by_class.values())) == total
            having = whole.chosen(mirror, split)
            for mid, ids in by_class.items():
                assert ids <= having[mid]
                assert len(ids) >= min(total // 2, len(having[mid]))
        want = expected(mirror, whole, chosen=chosen)
        assert differences(tree_of(out), want.tree) == []
    small, large = (tree_of(tmp_path / each) for each in ("3", "6"))
    assert small.keys() < large.keys()


# -- every annotation ---------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [("boxes",), ("masks",), ("boxes", "masks")])
@pytest.mark.parametrize("min_area", [0.0, 0.1])
def test_all_annotations_of_the_chosen_images_come_on_top(
    mirror: Mirror, settings: Settings, tmp_path: Path, labels: tuple[Label, ...], min_area: float
) -> None:
    """`all` adds files of every row of the chosen images, and every mask; class files stay."""
    asked = Asked((HANDGUN,), labels=labels, min_area=min_area, annotations="all")
    want = expected(mirror, asked)
    requested = expected(mirror, dataclasses.replace(asked, annotations="requested"))
    assert want.images == requested.images
    assert not [label for label in labels if want.rows[label] <= requested.rows[label]]
    selection = Selection((HANDGUN,), labels=labels, min_area=min_area, annotations="all")
    agree(tmp_path / "out", selection, settings, want)


def test_files_of_every_annotation_grow_with_the_images(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """Two selections with `all` in one folder leave every row of the images of both."""
    for each in (Selection((PERSON,), annotations="all", total=4),
                 Selection((HANDGUN,), annotations="all", min_area=0.05),
                 Selection((PERSON, HANDGUN), annotations="all")):  # fmt: skip
        download(each, tmp_path, settings=settings)
    want = expected(mirror, Asked((PERSON, HANDGUN), annotations="all"))
    assert differences(tree_of(tmp_path), want.tree) == []


# -- listed images ------------------------------------------------------------------------------


def some_images(mirror: Mirror) -> tuple[str, ...]:
    """List every fifth image of each split, with its split."""
    found = []
    for split in SPLITS:
        sheet = mirror.image_list(split)
        ids = sorted(row[sheet.column("ImageID")] for row in sheet.rows)
        found += [f"{split}/{each}" for each in ids[::5]]
    return tuple(found)


@pytest.mark.parametrize("layout", ["class", "flat"])
@pytest.mark.parametrize("bare", [True, False])
def test_listed_images_come_besides_those_of_classes(
    mirror: Mirror, settings: Settings, tmp_path: Path, layout: Layout, *, bare: bool
) -> None:
    """Listed images lie right in their split's folder, with the rows of the classes on them."""
    ids = some_images(mirror)
    written = tuple(each.split("/")[1] for each in ids) if bare else ids
    asked = Asked((HANDGUN,), layout=layout, image_ids=ids, min_area=0.05)
    want = expected(mirror, asked)
    alone = expected(mirror, dataclasses.replace(asked, image_ids=()))
    assert len(alone.images) < len(want.images) < len(alone.images) + len(ids)
    selection = Selection((HANDGUN,), layout=layout, image_ids=written, min_area=0.05)
    agree(tmp_path / "out", selection, settings, want)


def test_listed_images_without_a_class_bring_every_annotation(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """In place of classes a list chooses its images alone, and all that is known of them."""
    ids = some_images(mirror)
    want = expected(mirror, Asked((), image_ids=ids, annotations="all"))
    assert want.images == set(ids)
    agree(tmp_path / "out", Selection((), image_ids=ids), settings, want)


def test_a_limit_is_not_for_listed_images_but_exclusion_is(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """Each listed image is there beside the one that the limit leaves, unless it is excluded."""
    ids = some_images(mirror)
    man = mirror.by_id("Man")
    selection = Selection((HANDGUN,), image_ids=ids, limit=1, exclude=("Man",), images=False)
    download(selection, tmp_path, settings=settings)
    asked = Asked((HANDGUN,), image_ids=ids, exclude=(man,), images=False)
    chosen = {split: ids_in(tmp_path, [HANDGUN], split) for split in SPLITS}
    assert not [found for found in chosen.values() if len(found[HANDGUN]) != 1]
    want = expected(mirror, asked, chosen=chosen)
    assert differences(tree_of(tmp_path), want.tree) == []
    assert 3 < len(want.images) < len(ids) + 3


def test_listed_images_of_other_splits_are_left_out(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """With one split, listed images that name another are not fetched."""
    ids = some_images(mirror)
    asked = Asked((), splits=("test",), image_ids=ids, annotations="all")
    selection = Selection((), splits=("test",), image_ids=ids)
    agree(tmp_path / "out", selection, settings, expected(mirror, asked))


def test_an_id_that_no_list_has_is_named(settings: Settings, tmp_path: Path) -> None:
    """A bare id of no split ends the run before anything is written."""
    selection = Selection(("Handgun",), image_ids=("0123456789abcdef",))
    with pytest.raises(UsageError, match=r"1 image id is in no image list .* 0123456789abcdef"):
        download(selection, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out" / "csv").exists()


def test_the_command_reads_a_list_of_images(
    mirror: Mirror, settings: Settings, tmp_path: Path
) -> None:
    """`--image-ids` takes the lists that every download writes; its recipe holds the list."""
    common = ["--source", str(settings.source), "--cache", str(settings.cache), "--quiet"]
    ids = some_images(mirror)
    (tmp_path / "ids.txt").write_text("# mine\n\n" + "\n".join(ids) + "\n", encoding="utf-8")
    want = expected(mirror, Asked((), image_ids=ids, annotations="all"))
    code = 3 if want.missing else 0
    line = ["download", "--image-ids", str(tmp_path / "ids.txt"), *common]
    assert main([*line, "--out", str(tmp_path / "out")]) == code
    assert differences(tree_of(tmp_path / "out"), want.tree) == []
    recipe = str(tmp_path / "out/.oid/recipe.toml")
    assert main(["download", "--recipe", recipe, *common, "--out", str(tmp_path / "two")]) == code
    assert differences(tree_of(tmp_path / "two"), want.tree) == []
