"""Where data comes from and where it is kept: flag, then environment, then default."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.errors import UsageError

if TYPE_CHECKING:
    from oidkit.catalog import Release
    from oidkit.description import Description

__all__ = ["Settings", "settings_as_of"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that every command shares; None stands for the environment or the default.

    `source` is 'official' or the root of a mirror (OID_SOURCE), `cache` the folder of tables and
    indexes (OID_CACHE), `release` one of v4 to v7 (OID_RELEASE). `workers` is the largest number
    of requests in flight; None finds it by trying. `index` is the address of a shared index, which
    is asked for what the cache lacks (OID_INDEX); an empty one stands for none.
    `requests_per_second` is the largest number of requests to a host that are begun in a second,
    5,000 for a run that is spread over a cluster and else any number; the source may ask for less.
    """

    source: str | None = None
    cache: Path | str | None = None
    release: str | None = None
    workers: int | None = None
    index: str | None = None
    requests_per_second: float | None = None

    @property
    def source_name(self) -> str:
        """The source to read from."""
        return self.source or os.environ.get("OID_SOURCE") or "official"

    @property
    def cache_folder(self) -> Path:
        """The folder of the cache: by default the platform's own for this user."""
        if chosen := self.cache or os.environ.get("OID_CACHE"):
            return Path(chosen)
        import platformdirs

        return Path(platformdirs.user_cache_dir("oidkit", appauthor=False))

    @property
    def release_name(self) -> Release:
        """The release to work with.

        Raises:
            UsageError: there is none of this name.

        """
        asked = (self.release or os.environ.get("OID_RELEASE") or catalog.LATEST).lower()
        for release in catalog.RELEASES:
            if release == asked:
                return release
        raise UsageError(
            f"there is no release '{asked}' of Open Images",
            remedy=f"choose from {', '.join(catalog.RELEASES)}",
        )

    @property
    def index_name(self) -> str:
        """The address of the shared index, or nothing."""
        return os.environ.get("OID_INDEX", "") if self.index is None else self.index

    def checked(self) -> Settings:
        """Check what can be checked without looking anywhere, and give the settings back."""
        _ = self.release_name
        if self.workers is not None and self.workers < 1:
            raise UsageError(
                "the number of workers has to be at least 1", remedy="leave it out to let it adapt"
            )
        if self.requests_per_second is not None and not self.requests_per_second > 0:
            raise UsageError(
                "the number of requests a second has to be more than 0",
                remedy="leave it out to let the source decide",
            )
        return self


def settings_as_of(settings: Settings, description: Description) -> Settings:
    """Take the release of a dataset, and its source where neither these nor OID_SOURCE name one."""
    source = settings.source or os.environ.get("OID_SOURCE") or description.source
    return replace(settings, source=source, release=description.release)
