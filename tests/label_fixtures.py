"""A pytest plugin of the tests of label types: all four releases, and one cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from label_oracle import HAVING, Published
from oidkit.testing import PerSplit, ReleaseSpec, make_release

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ReleaseSpec(
    seed=3,
    images=PerSplit(26, 10, 12),
    boxes_per_image=5.0,
    classes=40,
    image_level_classes=24,
    jpegs=0.9,
    long_side=64,
    jpeg_quality=40,
)


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """Make all four releases, with every label type that each has."""
    root = make_release(tmp_path_factory.mktemp("mirror"), SPEC).root
    return {release: Published(root, release) for release in HAVING}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one cache for all downloads."""
    return tmp_path_factory.mktemp("cache")
