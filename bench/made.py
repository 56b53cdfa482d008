"""The releases that the benchmark works on, made once in a place of their own."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from bench.measure import Scale

__all__ = ["PEERS", "boxes_csv", "oid", "peers_python", "plain_environment", "release"]

PEERS = Path("build/peers/bin")
"""Where `make peers` puts what comes from the package index."""
_QUICK = replace(
    ReleaseSpec.tiny(),
    releases=("v7",),
    labels=("boxes", "masks"),
    images=PerSplit(4_000, 200, 200),
    boxes=PerSplit(40_000, 1_000, 1_000),
    jpegs=50,
)


def release(scale: Scale) -> Path:
    """Give the root of a release: as large as the published V7, or small."""
    root = scale.made / "release"
    done = root / "made"
    if not done.exists():
        make_release(root, ReleaseSpec.full() if scale.full else _QUICK)
        done.touch()
    return root


def boxes_csv(root: Path) -> Path:
    """Give the train boxes of a release."""
    return root / "openimages" / "v6" / "oidv6-train-annotations-bbox.csv"


def oid() -> str:
    """Give the installed command."""
    return str(Path(sys.executable).with_name("oid"))


def peers_python() -> Path | None:
    """Give the Python that has the peers' libraries, if it is there."""
    found = PEERS / "python"
    return found.absolute() if found.exists() else None


def plain_environment() -> dict[str, str]:
    """Give the environment without what slows a start down, and of our settings nothing."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("OID_")}
    plain.pop("PYTHONDONTWRITEBYTECODE", None)
    return plain
