"""A part of the manifest: what one of several workers writes down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.tables.objectjournal import open_journal

if TYPE_CHECKING:
    from oidkit.objectpath import Location

__all__ = ["ManifestPart"]


class ManifestPart:
    """What one worker of a run writes down, in the folder `.oid` of the dataset of the run.

    The manifest itself is left to the run. A part is done when it is closed: every file that it
    speaks of then lasts.
    """

    def __init__(self, folder: Location) -> None:
        self._journal = open_journal(folder)
        self.add = self._journal.add
        """Writes down what became of a file."""

    @property
    def name(self) -> str:
        """The name under which the part is to be found; it has another when it is closed.

        In a bucket it has none: it is several objects, each for anybody to find.
        """
        return self._journal.name

    def close(self) -> None:
        """End the part."""
        self._journal.hand_over()
