"""Puts the SBOM that `make build` has made into the wheel, at .dist-info/sboms/ (PEP 770).

An install from a checkout, for which nothing made one, has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["SbomHook"]

_SBOM = "build/sbom/oidkit.cdx.json"


class SbomHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by the build backend before a wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the SBOM to the backend; an editable install describes no build."""
        if version == "standard" and Path(self.root, _SBOM).is_file():
            build_data["sbom_files"].append(_SBOM)
