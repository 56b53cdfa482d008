"""Classes that there are not, or too many of: exit 2, before anything is fetched or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bad_inputs import CLASSES, run_oid, tree
from oidkit.testing import MirrorServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bad_inputs import Bench, Ended

pytest_plugins = ["bad_fixtures"]


def test_an_unknown_class_ends_the_real_command_with_the_nearest_names(bench: Bench) -> None:
    """The sentence says which name, what was meant, and how to list the classes; no table moves."""
    with MirrorServer(bench.mirror) as server:
        where = ("--source", server.url, "--cache", bench.cache, "--out", bench.out)
        ended = run_oid("download", "Person", "Handgum", *where)
        asked = {request.path for request in server.log}
    assert ended.code == 2, ended.err
    assert "'Handgum'" in ended.sentence
    assert "Handgun" in ended.sentence
    assert "oid classes hand" in ended.sentence
    assert not [path for path in asked if "class" not in path]
    assert tree(bench.out) == bench.before


def test_an_unknown_class_leaves_no_new_folder(bench: Bench, tmp_path: Path) -> None:
    """A typing error in the first command must not leave an empty dataset behind."""
    ended = bench.refused("Handgum", "--out", tmp_path / "new")
    assert ended.code == 2, ended.err
    assert not (tmp_path / "new").exists()


def test_an_ambiguous_class_lists_all_that_it_could_be(bench: Bench) -> None:
    """Two classes of one name are told apart by their MIDs, which the sentence gives."""
    with bench.path(CLASSES).open("ab") as file:
        file.write(b"/m/0zzz9,HANDGUN\r\n")
    ended = bench.refused()
    assert ended.code == 2, ended.err
    assert "'Handgun' fits several classes" in ended.sentence
    assert "/m/0gxl3" in ended.sentence
    assert "/m/0zzz9" in ended.sentence
    assert "by its MID" in ended.sentence


def test_a_mid_that_is_cut_suggests_the_whole_one(bench: Bench) -> None:
    """`/m/0gxl` suggests `/m/0gxl3 (Handgun)`, as the contract has it."""
    ended = bench.refused("/m/0gxl")
    assert ended.code == 2, ended.err
    assert "'/m/0gxl'" in ended.sentence
    assert "/m/0gxl3 (Handgun)" in ended.sentence


@pytest.mark.parametrize("bad", ["", " ", "/m/", "//", "\x00", "Hand\ngun", "é" * 3000, "../../x"])
def test_odd_class_names_are_refused_in_one_line(
    bad: str, bench: Bench, oid: Callable[..., Ended]
) -> None:
    """Whatever is given as a class, the answer is exit 2 and one printable line."""
    ended = bench.refused(bad)
    assert ended.code == 2, ended.err
    assert ended.sentence.isprintable()


def test_a_list_of_classes_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    """`--classes-from` with a wrong path names the path and the flag."""
    ended = bench.refused("--classes-from", tmp_path / "none.txt")
    assert ended.code == 2, ended.err
    assert "none.txt" in ended.sentence
    assert "--classes-from" in ended.sentence
