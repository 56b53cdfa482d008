"""Recipes: what is written is read back as it was, and makes the same dataset again."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidkit.api import Settings, download, plan
from oidkit.cli import main
from oidkit.errors import UsageError
from oidkit.recipe import Recipe
from oidkit.selection import Selection
from oidkit.testing import PerSplit, ReleaseSpec, make_release
from oracle import differences, tree_of

if TYPE_CHECKING:
    from pathlib import Path

SPEC = dataclasses.replace(
    ReleaseSpec.tiny(),
    releases=("v6", "v7"),
    labels=("boxes", "masks"),
    images=PerSplit(40, 12, 14),
    long_side=64,
    jpeg_quality=40,
)
# Anything that UTF-8 can hold, quotes, backslashes, line ends and DEL among it.
names = st.text(st.characters(codec="utf-8"), max_size=20)
flags = st.sampled_from(["yes", "no", "any"])
selections = st.builds(
    Selection,
    classes=st.lists(names, max_size=3).map(tuple),
    splits=st.sampled_from([("train",), ("validation", "test"), ("train", "validation", "test")]),
    labels=st.sampled_from([(), ("boxes",), ("boxes", "masks")]),
    match=st.sampled_from(["any", "all"]),
    limit=st.none() | st.integers(1, 2**70),
    seed=st.integers(),
    layout=st.sampled_from(["class", "flat"]),
    images=st.booleans(),
    metadata=st.booleans(),
    occluded=flags,
    group_of=flags,
    min_area=st.floats(0, 1),
    exclude=st.lists(names, max_size=3).map(tuple),
    subclasses=st.booleans(),
    total=st.none() | st.integers(1, 10**9),
    annotations=st.sampled_from(["requested", "all"]),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Read a made release from its folder."""
    root = make_release(tmp_path_factory.mktemp("mirror"), SPEC).root
    return Settings(source=str(root), cache=tmp_path_factory.mktemp("cache"))


@given(
    recipe=st.builds(
        Recipe,
        st.lists(selections, min_size=1, max_size=3).map(tuple),
        st.none() | st.sampled_from(["v4", "v7"]),
    )
)
def test_a_recipe_survives_toml(recipe: Recipe) -> None:
    """Every value, whatever its names hold, is read back as it was, and written the same again."""
    text = recipe.to_toml()
    assert Recipe.from_toml(text) == recipe
    assert Recipe.from_toml(text).to_toml() == text
    found = tomllib.loads(text)
    assert [each["classes"] for each in found["selection"]] == [
        list(each.classes) for each in recipe.selections
    ]


def test_a_recipe_by_hand_names_what_it_needs() -> None:
    """A selection may be one table or several, and says no more than it wants to."""
    one = Recipe.from_toml('[selection]\nclasses = ["Handgun"]\nlimit = 3\n')
    assert one == Recipe((Selection(("Handgun",), limit=3),))
    two = Recipe.from_toml(
        'release = "v6"\n[[selection]]\nclasses = ["Dog"]\n[[selection]]\nclasses = ["Cat"]\n'
    )
    assert two == Recipe((Selection(("Dog",)), Selection(("Cat",))), "v6")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it holds no selection"),
        ("selection = []", "it holds no selection"),
        ("selection = 3", "the selection of it is no table"),
        ("classes = ['Dog']", "it has 'classes', which means nothing here"),
        ("format = 2", "it was written by a newer oidkit"),
        ("release = 7\n[selection]\nclasses = []", "the release of it is not a text"),
        ("[selection]\nlimit = 3", "it: this is no selection"),
        ("[selection]\nclasses = 'Dog'", "it: this is no selection: classes is not a list"),
        ("[selection]\nclasses = ['Dog']\nlimit = '3'", "it: this is no selection: limit cannot"),
        ("[selection]\nclasses = ['Dog']\nlimit = 0", "it: a limit of 0 images makes no sense"),
        ("[selection]\nclasses = ['Dog']\ncolour = 1", "it: this is no selection: it has 'colour'"),
        ("[selection", "it is not TOML"),
    ],
)
def test_what_is_no_recipe_says_why(text: str, says: str) -> None:
    """Each mistake is one sentence that names the file and what is wrong."""
    with pytest.raises(UsageError, match=says):
        Recipe.from_toml(text, name="it")


def test_the_recipe_of_a_folder_makes_the_same_folder(settings: Settings, tmp_path: Path) -> None:
    """Three selections that went into a folder come out of its recipe, byte for byte."""
    first = tmp_path / "first"
    for each in (
        Selection(("Person",), limit=4, seed=3, truncated="no", layout="flat"),
        Selection(("Person",), splits=("train",), truncated="yes", min_area=0.03),
        Selection(("Vehicle",), subclasses=True, exclude=("Man",), total=5, labels=("boxes",)),
    ):
        download(each, first, settings=settings)
    text = (first / ".oid/recipe.toml").read_text(encoding="utf-8")
    recipe = Recipe.from_toml(text)
    assert (len(recipe.selections), recipe.release) == (3, "v7")
    again = tmp_path / "again"
    summary = download(recipe, again, settings=settings)
    assert differences(tree_of(again), tree_of(first)) == []
    for name in ("recipe.toml", "dataset.json", "manifest.csv"):
        assert (again / ".oid" / name).read_bytes() == (first / ".oid" / name).read_bytes()
    done = plan(recipe, again, settings=settings)
    assert sum(part.to_fetch for part in done.images) == summary.images.missing == 0
    assert dict(done.rows) == summary.annotations


def test_the_command_takes_a_recipe(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--recipe` does what the same flags would, release included, and nothing else."""
    common = ["--source", str(settings.source), "--cache", str(settings.cache), "--quiet"]
    first, again = tmp_path / "first", tmp_path / "again"
    line = ["download", "Handgun", "--limit", "2", "--release", "v6", "--inside", "no"]
    assert main([*line, "--out", str(first), *common]) == 0
    taken = ["download", "--recipe", str(first / ".oid/recipe.toml"), "--out", str(again)]
    assert main([*taken, *common, "--dry-run", "--json"]) == 0
    assert not again.exists()
    assert main([*taken, *common]) == 0
    assert differences(tree_of(again), tree_of(first)) == []
    assert json.loads((again / ".oid/dataset.json").read_bytes())["release"] == "v6"
    capsys.readouterr()
    for more, says in (
        (["Dog"], "and a class was given too"),
        (["--limit", "3"], "and --limit was given too"),
        (["--no-images"], "and --no-images was given too"),
        (["--release", "v7"], "the recipe is of release v6, not v7"),
    ):
        assert main([*taken, *common, *more]) == 2
        assert says in capsys.readouterr().err


def test_a_wrong_class_in_the_last_selection_costs_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    """All selections of a recipe are looked at before anything is fetched for the first."""
    recipe = Recipe((Selection(("Handgun",)), Selection(("Hndgun",))))
    with pytest.raises(UsageError, match="Handgun"):
        download(recipe, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()
