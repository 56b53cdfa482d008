"""The folder of an export: made beside its place, and put there as a whole.

A run writes into ``.oid-tmp-export-<name>-<token>`` beside OUT, and the token says whose it is.
When it is done the two folders change places, and the old one is removed. What a killed run left
is swept by the next.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit import ownership
from oidkit.disk import (
    TEMPORARY,
    check_writable,
    exchange,
    is_left,
    make_lasting,
    sync_folder,
    write_atomically,
)
from oidkit.errors import DiskError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oidkit.objectpath import Location

__all__ = ["MARKER", "check_out", "replacing"]

_TAKEN = (".oid", "csv", "images", "masks")
"""Folders of a dataset that belong to its downloads: a later run looks through them."""

MARKER = ".oid-export.json"
"""The file that says that a folder is an export of ours, and may be replaced by another."""


def check_out(out: Path, *, dataset: Location) -> None:
    """Refuse a place for an export that holds something else.

    Raises:
        UsageError: a file, a folder that is no export of ours, one that the dataset lies in, or
            one within what a download writes there.

    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, not a folder", remedy="choose another --out")
    if isinstance(dataset, Path):
        _check_apart(out, dataset)
    if out.is_dir() and not (out / MARKER).is_file() and any(out.iterdir()):
        raise UsageError(
            f"{out} is not empty and is no export of oidkit", remedy="choose another --out"
        )


def _check_apart(out: Path, dataset: Path) -> None:
    if dataset.resolve().is_relative_to(out.resolve()):
        raise UsageError(
            f"the dataset {dataset} lies in {out}, which the export would replace",
            remedy="choose another --out",
        )
    for each in _TAKEN:
        if out.resolve().is_relative_to((dataset / each).resolve()):
            raise UsageError(
                f"{out} lies in {dataset / each}, which belongs to the dataset itself",
                remedy="choose another --out",
            )


@contextlib.contextmanager
def replacing(out: Path, *, dataset: Location, marker: Mapping[str, object]) -> Iterator[Path]:
    """Give an empty folder that takes the place of *out* when the block ends well.

    The *marker* is written into it. Whatever goes wrong, *out* stays as it was.

    Raises:
        UsageError: as `check_out`.
        DiskError: nothing can be written there.

    """
    place = out.resolve()
    check_writable(place.parent)
    _sweep(place)
    check_out(place, dataset=dataset)
    token = ownership.claim()
    fresh = place.with_name(f"{_front(place)}{token}")
    try:
        fresh.mkdir()
        yield fresh
        text = json.dumps(dict(marker), indent=2) + "\n"
        write_atomically(fresh / MARKER, text.encode())
        # Or a loss of power could leave the new export's name, and nothing in its files.
        make_lasting(fresh, (path for path in fresh.rglob("*") if path.is_file()))
        # Somebody may have put something else there meanwhile.
        check_out(place, dataset=dataset)
        exchange(fresh, place)
        sync_folder(place.parent)
    except OSError as error:
        raise (
            error if isinstance(error, DiskError) else DiskError.from_os(error, path=place)
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        ownership.release(token)
        _sweep(place)


def _front(place: Path) -> str:
    return f"{TEMPORARY}export-{place.name}-"


def _sweep(place: Path) -> None:
    """Remove what killed runs left beside the place."""
    ours = re.compile(re.escape(_front(place)) + rf"({ownership.TOKEN}|[0-9a-f]{{32}})(\.old)?")
    with contextlib.suppress(OSError):
        left = [path for path in sorted(place.parent.iterdir()) if ours.fullmatch(path.name)]
        for path in filter(is_left, left):
            if path.is_symlink():
                path.unlink(missing_ok=True)
            elif path.suffix == ".old" and not place.exists():
                # It was killed between the two steps of an exchange.
                path.rename(place)
            else:
                shutil.rmtree(path, ignore_errors=True)
