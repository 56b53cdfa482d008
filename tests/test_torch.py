"""`oidkit.torch` where PyTorch is not: what it does with it is tested by `make test-consumers`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import oidkit
import oidkit.torch
from mirrors import environment


def test_importing_it_imports_no_heavy_library() -> None:
    """Neither PyTorch nor the table engine comes before a name is used."""
    heavy = "{'torch', 'torchvision', 'polars', 'numpy'}"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, oidkit.torch; sys.exit(bool({heavy} & {{*sys.modules}}))",
        ],
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", oidkit.torch.__all__)
def test_without_pytorch_each_name_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with the remedy, for an attribute and for `from … import …` alike."""
    there = importlib.util.find_spec
    monkeypatch.setattr(
        oidkit.torch, "find_spec", lambda asked: None if asked == "torch" else there(asked)
    )
    with pytest.raises(oidkit.OidError, match=r'needs PyTorch.*pip install "oidkit\[torch\]"'):
        getattr(oidkit.torch, name)


def test_names_that_are_not_there_are_ordinary_errors() -> None:
    """A name that it does not have is an AttributeError, and it lists those that it has."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = oidkit.torch.Nothing
    assert {*oidkit.torch.__all__} <= {*dir(oidkit.torch)}
