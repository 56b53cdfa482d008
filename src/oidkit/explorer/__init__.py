"""The web explorer of a dataset folder, on this machine alone (extra `view`).

::

    from oidkit.explorer import explore

    with explore("handguns") as explorer:
        print(explorer.url)

`create_app` is wiring without any server. What the page and the server
say to each other stands in docs/design/explorer.md.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from oidkit.errors import UsageError

if TYPE_CHECKING:
    from oidkit.explorer.app import create_app
    from oidkit.explorer.opening import explore, explore_plan
    from oidkit.explorer.serving import Explorer
    from oidkit.explorer.viewer import Viewer

__all__ = ["Explorer", "Viewer", "check_extra", "create_app", "explore", "explore_plan"]

_NEEDED = ("starlette", "uvicorn")


def check_extra() -> None:
    """Make sure that what the explorer is built on is installed.

    Raises:
        UsageError: it is not; the sentence says how to get it.

    """
    if any(find_spec(name) is None for name in _NEEDED):
        raise UsageError(
            "the explorer needs the extra 'view', which is not installed",
            remedy='install it: pip install "oidkit[view]"',
        )


_PLACES = {
    "Explorer": "serving",
    "Viewer": "viewer",
    "create_app": "app",
    "explore": "opening",
    "explore_plan": "opening",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'oidkit.explorer' has no attribute '{name}'")
    check_extra()
    return getattr(import_module(f"oidkit.explorer.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
