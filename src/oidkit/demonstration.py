"""The main job without any network: a release made here, served on loopback over real HTTP."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.events import Noted, ignore

if TYPE_CHECKING:
    from oidkit.api.summary import Summary
    from oidkit.events import Listener

__all__ = ["CLASS", "demo", "worth_a_look"]

CLASS = "Handgun"
"""The class that the demo downloads."""


def demo(
    out: Path | str = "open-images-demo", *, on_event: Listener = ignore, seed: int = 0
) -> Summary:
    """Make a small release, serve it on 127.0.0.1, and download `CLASS` from it into *out*.

    The release and the cache lie in a temporary folder that is removed again; the environment's
    source, cache and release count for nothing. *seed* decides what is drawn: the same one gives
    the same files, so that a second run finds everything there.

    Raises:
        UsageError: *out* holds something that is not the demo's.
        DiskError: something could not be written; the path is named.
        InterruptedRunError: the user stopped the run.

    """
    from oidkit.api.downloading import download
    from oidkit.api.settings import Settings
    from oidkit.shelf import folder_of
    from oidkit.testing import MirrorServer, ReleaseSpec, make_release

    folder = folder_of(out, what="the demo")
    # Windows cannot remove a file that is still mapped; what is left there is only temporary.
    with tempfile.TemporaryDirectory(prefix="oid-demo-", ignore_cleanup_errors=True) as made_in:
        mirror = Path(made_in, "mirror")
        made = make_release(mirror, replace(ReleaseSpec.demo(), seed=seed, jpegs="all"))
        with MirrorServer(mirror) as server:
            images = sum(made.jpegs.values())
            on_event(Noted(f"made a release of {images} images, served at {server.url}"))
            settings = Settings(
                source=server.url, cache=Path(made_in, "cache"), release=catalog.LATEST
            )
            return download(CLASS, folder, settings=settings, on_event=on_event)


def worth_a_look(out: Path | str = "open-images-demo") -> list[str]:
    """Name a few files of the demo's folder that show what a download is, those that are there."""
    root = Path(out)
    patterns = (
        "images/train/*/*.jpg",
        "masks/train/*.png",
        "csv/*_train_boxes.csv",
        "downloader_IDs_for_*_train.txt",
        "attribution.csv",
        ".oid/manifest.csv",
    )
    firsts = (min(root.glob(pattern), default=None) for pattern in patterns)
    return [str(path) for path in firsts if path is not None]
