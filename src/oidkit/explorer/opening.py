"""From a dataset folder to an explorer that listens."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from oidkit.api.looking import look
from oidkit.api.previewing import laid_out
from oidkit.api.settings import Settings
from oidkit.events import ignore
from oidkit.explorer.files import Files
from oidkit.explorer.remote import Remote
from oidkit.explorer.serving import Explorer
from oidkit.explorer.thumbnails import Thumbnails
from oidkit.explorer.viewer import Viewer
from oidkit.shelf import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oidkit.events import Listener
    from oidkit.selection import Selection

__all__ = ["explore", "explore_plan"]


def explore(root: Path | str, *, port: int = 0, settings: Settings | None = None) -> Explorer:
    """Read a dataset folder and listen on 127.0.0.1; the explorer's `url` opens the page.

    Small pictures are kept in the cache of the *settings*. With *port* 0 any free one is taken.

    Raises:
        UsageError: there is no dataset, the port is taken, or the extra is not installed.
        IntegrityError: a file of the dataset cannot be read.

    """
    folder = folder_of(root, what="the explorer")
    exhibit, names, release = look(folder)
    thumbnails = _thumbnails(settings)
    viewer = Viewer(
        exhibit=exhibit,
        pictures=Files(folder, exhibit, thumbnails),
        name=folder.resolve().name,
        release=release,
        names=names,
        root=folder,
    )
    return Explorer(viewer, port=port)


@contextlib.contextmanager
def explore_plan(
    selection: Selection,
    *,
    port: int = 0,
    settings: Settings | None = None,
    on_event: Listener = ignore,
) -> Iterator[Explorer]:
    """Look at what `oidkit.download` would fetch, before it does; as `explore` listens.

    Tables are built where they are not there. Of an image that comes on the screen its small
    picture is fetched from where the image list says, else the image itself from the source.

    Raises:
        UsageError: the selection is wrong, the port is taken, or the extra is not installed.
        OidError: as `oidkit.download`.

    """
    with laid_out(selection, settings=settings, on_event=on_event) as (folder, previews):
        exhibit, names, release = look(folder)
        viewer = Viewer(
            exhibit=exhibit,
            pictures=Remote(previews, exhibit, _thumbnails(settings)),
            name=", ".join(selection.classes) or "a list of images",
            release=release,
            names=names,
        )
        yield Explorer(viewer, port=port)


def _thumbnails(settings: Settings | None) -> Thumbnails:
    found = Thumbnails((settings or Settings()).cache_folder / "thumbnails")
    found.tidy()
    return found
