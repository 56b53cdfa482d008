"""From a dataset folder to an explorer that listens."""

from __future__ import annotations

from pathlib import Path

from oidkit.api.looking import look
from oidkit.api.settings import Settings
from oidkit.explorer.files import Files
from oidkit.explorer.serving import Explorer
from oidkit.explorer.thumbnails import Thumbnails
from oidkit.explorer.viewer import Viewer

__all__ = ["explore"]


def explore(root: Path | str, *, port: int = 0, settings: Settings | None = None) -> Explorer:
    """Read a dataset folder and listen on 127.0.0.1; the explorer's `url` opens the page.

    Small pictures are kept in the cache of the *settings*. With *port* 0 any free one is taken.

    Raises:
        UsageError: there is no dataset, the port is taken, or the extra is not installed.
        IntegrityError: a file of the dataset cannot be read.

    """
    folder = Path(root)
    exhibit, names, release = look(folder)
    thumbnails = Thumbnails((settings or Settings()).cache_folder / "thumbnails")
    thumbnails.tidy()
    viewer = Viewer(
        exhibit=exhibit,
        pictures=Files(folder, exhibit, thumbnails),
        name=folder.resolve().name,
        release=release,
        names=names,
        root=folder,
    )
    return Explorer(viewer, port=port)
