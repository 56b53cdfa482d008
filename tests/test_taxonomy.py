"""Names, MIDs, aliases and the hierarchy of classes."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from oidkit.errors import AmbiguousClassError, UnknownClassError, UsageError
from oidkit.taxonomy import (
    IMAGE_ID_PATTERN,
    MID_PATTERN,
    ClassList,
    Hierarchy,
    folder_name,
    mid_of,
    mid_stem,
    parse_class_file,
    parse_segmentable,
)

if TYPE_CHECKING:
    from pathlib import Path

BOXABLE = {
    "v4": "2018_04/class-descriptions-boxable.csv",
    "v5": "v5/class-descriptions-boxable.csv",
    "v7": "v7/oidv7-class-descriptions-boxable.csv",
}
FULL = {"v6": "v6/oidv6-class-descriptions.csv", "v7": "v7/oidv7-class-descriptions.csv"}

V7 = {
    "/m/0gxl3": "Handgun",
    "/m/0cmf2": "Fixed-wing aircraft",
    "/m/01m2v": "Computer keyboard",
    "/m/0cyhj_": "Orange (fruit)",
    "/m/06nrc": "Shotgun",
}
V5 = V7 | {"/m/0cmf2": "Airplane", "/m/0cyhj_": "Orange"}


@pytest.fixture
def real(sample: Path) -> Path:
    """Give the folder of real metadata files."""
    return sample / "openimages"


def boxable(real: Path, release: str) -> dict[str, str]:
    """Parse a real boxable class file."""
    return parse_class_file((real / BOXABLE[release]).read_bytes())


def oracle(path: Path) -> dict[str, str]:
    """Read a class file with the csv module alone."""
    with path.open(encoding="utf-8", newline="") as file:
        return {mid: name for mid, name in csv.reader(file) if mid != "LabelName"}


# ------------------------------------------------------------------------------------- the files


@pytest.mark.parametrize("name", [*BOXABLE.values(), *FULL.values()])
def test_real_class_files_are_read_as_the_csv_module_reads_them(real: Path, name: str) -> None:
    """Headers, CRLF, quoted commas and non-ASCII names of every release come out the same."""
    assert parse_class_file((real / name).read_bytes()) == oracle(real / name)


@pytest.mark.parametrize(
    "data",
    [
        b"/m/0gxl3,Handgun\n/m/03bj1,Panda\n",
        b"/m/0gxl3,Handgun\r\n/m/03bj1,Panda\r\n",
        b"/m/0gxl3,Handgun\r\n/m/03bj1,Panda",
        b"LabelName,DisplayName\r\n/m/0gxl3,Handgun\n/m/03bj1,Panda\r\n",
        b"\xef\xbb\xbfLabelName,DisplayName\n/m/0gxl3,Handgun\n\n/m/03bj1,Panda\n\n",
        b'"LabelName","DisplayName"\n"/m/0gxl3","Handgun"\n/m/03bj1, Panda \n',
        b"/m/0gxl3,Handgun\n/m/03bj1,Panda\n/m/0gxl3,Handgun\n",
    ],
    ids=["lf", "crlf", "no last line end", "mixed", "mark and blank lines", "quoted", "repeated"],
)
def test_line_ends_headers_and_marks_make_no_difference(data: bytes) -> None:
    """The same two classes, however the file is written."""
    assert parse_class_file(data) == {"/m/0gxl3": "Handgun", "/m/03bj1": "Panda"}


def test_quoted_commas_and_foreign_letters_stay_in_the_name() -> None:
    """A display name may hold a comma, a quote, and letters of any script."""
    data = '/m/01,"Bells, ""Big"""\n/m/02,Crème brûlée\n/g/11b,東京\n'.encode()
    assert parse_class_file(data) == {
        "/m/01": 'Bells, "Big"',
        "/m/02": "Crème brûlée",
        "/g/11b": "東京",
    }


@pytest.mark.parametrize(
    ("data", "because"),
    [
        (b"", "holds no class"),
        (b"LabelName,DisplayName\r\n", "holds no class"),
        (b"<!doctype html><html>", "web page"),
        (b"\n <?xml version='1.0'?><Error/>", "web page or XML"),
        (b"PK\x03\x04\x00\x00", "not text"),
        (b"/m/01,caf\xe9\n", "not UTF-8 at byte 9"),
        (b"/m/01,a\n/m/02\n", "line 2 .* not a MID and a display name"),
        (b"/m/01,a\n../../x,b\n", "line 2 .* not a MID"),
        (b"/m/01,a,b\n", "line 1 .* not a MID and a display name"),
        (b"/m/01,\n", "no display name"),
        (b'/m/01,"open\n/m/02,b\n', "not CSV"),
        (b"/m/01,a\n/m/01,b\n", "names /m/01 twice: 'a' and 'b'"),
    ],
)
def test_what_is_no_class_list_is_refused_with_the_reason(data: bytes, because: str) -> None:
    """An error page, a binary, a cut or wrong line: the error names file, line and cause."""
    with pytest.raises(UsageError, match=because) as caught:
        parse_class_file(data, name="v7/classes.csv")
    assert "v7/classes.csv" in str(caught.value)
    assert caught.value.remedy


def test_the_segmentable_list_is_a_mid_a_line() -> None:
    """Any line end, blank lines and a mark are fine; an empty file is an empty list."""
    assert parse_segmentable(b"\xef\xbb\xbf/m/0gxl3\r\n/m/01_5g\n\n") == {"/m/0gxl3", "/m/01_5g"}
    assert parse_segmentable(b"") == frozenset()


@pytest.mark.parametrize("data", [b"<html>", b"/m/01\nHandgun\n", b"/m/01\0", b"/m/01,a\n"])
def test_a_segmentable_list_of_something_else_is_refused(data: bytes) -> None:
    """A line that is no MID, or bytes that are no text, are an error."""
    with pytest.raises(UsageError, match="segmentable"):
        parse_segmentable(data)


# ------------------------------------------------------------------------------------- resolving


@pytest.mark.parametrize(
    ("asked", "mid"),
    [
        ("Handgun", "/m/0gxl3"),
        ("hANDGUN", "/m/0gxl3"),
        ("  handgun ", "/m/0gxl3"),
        ("/m/0gxl3", "/m/0gxl3"),
        ("Computer_keyboard", "/m/01m2v"),
        ("computer  keyboard", "/m/01m2v"),
        ("COMPUTER__KEYBOARD", "/m/01m2v"),
        ("Airplane", "/m/0cmf2"),
        ("orange", "/m/0cyhj_"),
        ("fixed-wing aircraft", "/m/0cmf2"),
    ],
)
def test_a_class_is_found_by_name_mid_or_the_name_of_another_release(asked: str, mid: str) -> None:
    """Case, underscores, stray spaces and old names do not matter."""
    found = ClassList.build(V7, [V5]).resolve(asked)
    assert (found.mid, found.name) == (mid, V7[mid])


def test_a_class_carries_its_aliases_and_whether_it_has_masks() -> None:
    """Aliases are the other releases' names that differ, each once."""
    found = ClassList.build(V7, [V5, V5, V7], frozenset({"/m/0cmf2"})).resolve("airplane")
    assert (found.aliases, found.segmentable) == (("Airplane",), True)
    assert ClassList.build(V7, [V5]).resolve("handgun").aliases == ()


def test_a_decomposed_letter_is_the_same_letter() -> None:
    """A name typed on a system that splits accents is found all the same."""
    assert ClassList.build({"/m/01": "Café"}).resolve("cafe\u0301").mid == "/m/01"


def test_the_own_name_wins_over_the_name_of_another_release() -> None:
    """A name that this release gives to one class and another release to another is the first."""
    classes = ClassList.build({"/m/01": "Ball", "/m/02": "Sphere"}, [{"/m/02": "Ball"}])
    assert classes.resolve("ball").mid == "/m/01"


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ({"/m/01": "Ball", "/m/02": "BALL"}, []),
        ({"/m/01": "Ball", "/m/02": "Sphere"}, [{"/m/01": "Orb"}, {"/m/02": "orb"}]),
    ],
    ids=["in one release", "in others"],
)
def test_a_name_that_fits_several_classes_is_refused_with_all_of_them(
    own: dict[str, str], others: list[dict[str, str]]
) -> None:
    """The error lists each class by its name in this release and its MID."""
    with pytest.raises(AmbiguousClassError) as caught:
        ClassList.build(own, others).resolve("Orb" if others else "ball")
    assert caught.value.fits == tuple(f"{name} ({mid})" for mid, name in own.items())
    assert caught.value.exit_code == 2


def test_a_shortened_mid_suggests_the_whole_one() -> None:
    """The contract's example: /m/0gxl is nearest to /m/0gxl3 (Handgun)."""
    with pytest.raises(UnknownClassError, match=r"/m/0gxl3 \(Handgun\)") as caught:
        ClassList.build(V7).resolve("/m/0gxl")
    assert caught.value.nearest == ("/m/0gxl3 (Handgun)",)


@pytest.mark.parametrize("asked", ["/m/0gxl", "/m/0gxl33", "/M/0GXL3", "m/0gxl3", "/m/0gxl4"])
def test_a_mid_with_a_slip_suggests_the_right_one_first_among_all(real: Path, asked: str) -> None:
    """Among the 601 real classes, the one that was meant comes first."""
    with pytest.raises(UnknownClassError) as caught:
        ClassList.build(boxable(real, "v7")).resolve(asked)
    assert caught.value.nearest[0] == "/m/0gxl3 (Handgun)"


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("hangun", "Handgun"),
        ("Handguns", "Handgun"),
        ("gun", "Handgun"),
        ("airplne", "Fixed-wing aircraft"),
        ("keyboard", "Computer keyboard"),
    ],
)
def test_an_unknown_name_suggests_the_nearest_by_its_name_here(
    real: Path, asked: str, nearest: str
) -> None:
    """Slips, plurals, parts of names and old names lead to the class, three at the most."""
    classes = ClassList.build(boxable(real, "v7"), [boxable(real, "v5"), boxable(real, "v4")])
    with pytest.raises(UnknownClassError) as caught:
        classes.resolve(asked)
    assert nearest in caught.value.nearest
    assert len(caught.value.nearest) <= 3


@pytest.mark.parametrize("asked", ["", "   ", "xyzzy", "/m/", "../../etc/passwd"])
def test_nonsense_is_unknown(asked: str) -> None:
    """What resembles no class is an error too, whatever it suggests."""
    with pytest.raises(UnknownClassError):
        ClassList.build(V7, [V5]).resolve(asked)


def test_the_real_renames_resolve_both_ways(real: Path) -> None:
    """Every display name of V4 and V5 finds its MID in V7, but where V7 gives it to another."""
    lists = {release: boxable(real, release) for release in BOXABLE}
    classes = ClassList.build(lists["v7"], [lists["v5"], lists["v4"]])
    own = {name.casefold(): mid for mid, name in lists["v7"].items()}
    for release in ("v4", "v5"):
        for mid, name in lists[release].items():
            assert classes.resolve(name).mid == own.get(name.casefold(), mid)
    back = ClassList.build(lists["v4"], [lists["v5"], lists["v7"]])
    assert back.resolve("fixed-wing_aircraft").name == "Airplane"


def test_every_real_class_is_found_by_its_own_name(real: Path) -> None:
    """No class of a release hides another of it."""
    for release in BOXABLE:
        classes = ClassList.build(boxable(real, release))
        assert len(classes) == 601
        assert not [each for each in classes if classes.resolve(each.name.upper()) != each]


def test_the_real_duplicates_of_the_full_list_are_ambiguous(real: Path) -> None:
    """V6 gives the name "Ball" to two MIDs."""
    classes = ClassList.build(parse_class_file((real / FULL["v6"]).read_bytes()))
    with pytest.raises(AmbiguousClassError) as caught:
        classes.resolve("ball")
    assert len(caught.value.fits) == 2


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        ("Handgun", False),
        ("handgun", False),
        ("/m/0gxl3", False),
        ("/m/0gxl", False),
        ("Airplane", True),
        ("xyzzy", True),
    ],
)
def test_other_releases_are_asked_only_for_names_unknown_here(asked: str, *, needed: bool) -> None:
    """MIDs, right or wrong, and names of this release need no other file."""
    assert ClassList.build(V7).needs_aliases(asked) is needed


# ------------------------------------------------------------------------------------- searching


def test_search_looks_at_names_aliases_and_mids_and_sorts_by_name() -> None:
    """Any case, spaces or underscores; an empty pattern lists all."""
    classes = ClassList.build(V7, [V5])
    assert [each.name for each in classes.search("GUN")] == ["Handgun", "Shotgun"]
    assert [each.name for each in classes.search("airp")] == ["Fixed-wing aircraft"]
    assert [each.name for each in classes.search("/m/0gx")] == ["Handgun"]
    assert [each.name for each in classes.search("computer_k")] == ["Computer keyboard"]
    assert [each.name for each in classes.search("")] == sorted(V7.values())
    assert classes.search("xyzzy") == []


# ----------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "mid", "folder"),
    [
        ("Handgun", "/m/0gxl3", "handgun_m0gxl3"),
        ("Organ (Musical Instrument)", "/m/01_5g", "organ_musical_instrument_m01_5g"),
        ("Fixed-wing aircraft", "/m/0cmf2", "fixed_wing_aircraft_m0cmf2"),
        ("  A__b//..c ", "/g/11x", "a_b_c_g11x"),
        ("CREME BRU\u0302LE\u0301E", "/m/02", "creme brûlée_m02".replace(" ", "_")),
        ("東京", "/m/03", "東京_m03"),
        ("Con", "/m/04", "con_m04"),
        ("...", "/m/05", "m05"),
    ],
)
def test_a_folder_is_named_by_name_and_mid(name: str, mid: str, folder: str) -> None:
    """Lower case, one underscore for all that is no letter or digit, the MID at the end."""
    assert folder_name(name, mid) == folder


def test_real_folder_names_are_safe_and_unique(real: Path) -> None:
    """None of the 20,931 folders of the full list is a path or longer than a file name may be."""
    names = parse_class_file((real / FULL["v7"]).read_bytes())
    folders = {folder_name(name, mid) for mid, name in names.items()}
    assert len({each.casefold() for each in folders}) == len(names)
    assert not [each for each in folders if not each.strip("_").replace("_", "").isalnum()]
    assert not [each for each in folders if len(each.encode()) > 255]


def test_a_mid_loses_its_slashes_and_keeps_its_underscores() -> None:
    """As in the names of masks."""
    assert mid_stem("/m/01_5g") == "m01_5g"


@pytest.mark.parametrize("mid", ["/m/01_5g", "/g/11bc", "/oi/m_0dzf4", "/m/0i"])
def test_a_mid_is_told_by_its_stem(mid: str) -> None:
    """Of every name space."""
    assert mid_of(mid_stem(mid)) == mid


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("/m/0gxl3", True),
        ("/g/11bc", True),
        ("/m/0cyhj_", True),
        ("/oi/m_0dzf4", True),
        ("/m/0gxl3\n", False),
        ("m/0gxl3", False),
        ("/m/../x", False),
        ("/m/0GXL3", False),
    ],
)
def test_what_a_mid_looks_like(text: str, *, fits: bool) -> None:
    """Three name spaces, lower-case letters, digits and underscores."""
    assert bool(MID_PATTERN.fullmatch(text)) is fits


def test_every_real_mid_looks_like_one(real: Path) -> None:
    """The pattern fits all MIDs of the largest list."""
    assert not [mid for mid in oracle(real / FULL["v7"]) if not MID_PATTERN.fullmatch(mid)]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("0001eeaf4aed83f9", True),
        ("0001EEAF4AED83F9", False),
        ("0001eeaf4aed83f9\n", False),
        ("../../x", False),
        ("0001eeaf4aed83f", False),
        ("0001eeaf4aed83f90", False),
    ],
)
def test_what_an_image_id_looks_like(text: str, *, fits: bool) -> None:
    """Sixteen lower-case hex digits and nothing else."""
    assert bool(IMAGE_ID_PATTERN.fullmatch(text)) is fits


# ------------------------------------------------------------------------------------- hierarchy


def node(
    mid: str, *below: dict[str, object], parts: list[object] | None = None
) -> dict[str, object]:
    """Make one node of the published shape, leaving out what is empty."""
    made: dict[str, object] = {"LabelName": mid}
    if below:
        made["Subcategory"] = list(below)
    if parts:
        made["Part"] = parts
    return made


def test_a_class_in_several_branches_is_one_class_with_several_parents() -> None:
    """What one branch says of a class holds in the other too; parts are no kinds."""
    tree = node(
        "top",
        node("a", node("c", node("d"))),
        node("b", node("c"), parts=[node("p", node("q"))]),
    )
    hierarchy = Hierarchy.parse(json.dumps(tree).encode())
    assert hierarchy.roots == ("top",)
    assert hierarchy.children("top") == ("a", "b")
    assert set(hierarchy.parents("c")) == {"a", "b"}
    assert hierarchy.below("b") == {"b", "c", "d"}
    assert hierarchy.parts("b") == ("p",)
    assert hierarchy.below("p") == {"p", "q"}
    assert (hierarchy.children("x"), hierarchy.parents("x")) == ((), ())
    assert hierarchy.below("x") == {"x"}
    assert list(hierarchy.lines("b")) == [
        (0, "b", False),
        (1, "c", False),
        (2, "d", False),
        (1, "p", True),
        (2, "q", False),
    ]


def test_a_ring_of_classes_ends() -> None:
    """A hierarchy that names a class below itself is walked once."""
    hierarchy = Hierarchy.parse(json.dumps(node("a", node("b", node("a", node("c"))))).encode())
    assert hierarchy.below("b") == {"a", "b", "c"}
    assert len(list(hierarchy.lines("a"))) == 4


def test_a_graph_that_doubles_at_each_level_is_drawn_in_few_lines() -> None:
    """Lines are no more than links, where drawing every path would take 2 ** 40 of them."""
    tree = node("e")
    for level in range(40):
        tree = node(f"n{level}", node(f"l{level}", tree), node(f"r{level}", node(f"n{level - 1}")))
    assert len(list(Hierarchy.parse(json.dumps(tree).encode()).lines("n39"))) < 200


def test_the_real_hierarchy_covers_all_boxable_classes(real: Path) -> None:
    """602 MIDs with the root, the 601 of the class file among them, as a recursive count finds."""
    data = (real / "2018_04/bbox_labels_600_hierarchy.json").read_bytes()
    hierarchy = Hierarchy.parse(data)

    def mids(each: dict[str, list[dict[str, object]]]) -> set[str]:
        below = [*each.get("Subcategory", []), *each.get("Part", [])]
        return {str(each["LabelName"])}.union(*(mids(one) for one in below))  # type: ignore[arg-type]

    drawn = {mid for _, mid, _ in hierarchy.lines(hierarchy.root)}
    assert drawn == mids(json.loads(data)) == {*boxable(real, "v7"), "/m/0bl9f"}
    person = {"/m/01g317", "/m/04yx4", "/m/03bt1vf", "/m/01bl7v", "/m/05r655"}
    assert hierarchy.below("/m/01g317") == person
    assert hierarchy.root == "/m/0bl9f"


@pytest.mark.parametrize(
    ("data", "because"),
    [
        (b"", "not JSON"),
        (b'{"LabelName": "/m/0bl9f", ', "not JSON"),
        (b"<html>", "web page"),
        (b"[]", "without LabelName"),
        (b'{"LabelName": 5}', "without LabelName"),
        (b'{"LabelName": "a", "Subcategory": [{"Part": []}]}', "without LabelName"),
        (b'{"LabelName": "a", "Subcategory": {}}', "Subcategory of a is not a list"),
        (b"[" * 200_000, "nested too deep"),
    ],
)
def test_a_broken_hierarchy_is_refused_with_the_reason(data: bytes, because: str) -> None:
    """Cut, of another shape, or nested without end: an error, never a crash."""
    with pytest.raises(UsageError, match=because):
        Hierarchy.parse(data)


def test_a_deep_hierarchy_is_walked_without_recursion() -> None:
    """As deep as JSON can be parsed, all of it is found."""
    tree = node("n0")
    for level in range(1, 400):
        tree = node(f"n{level}", tree)
    assert len(Hierarchy.parse(json.dumps(tree).encode()).below("n399")) == 400
