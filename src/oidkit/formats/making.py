"""Pictures into entries, in any process: what a worker of an export does.

A worker writes the files that belong to one picture alone. What goes into files that pictures
share comes back as entries, in the order of the pictures.
"""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oidkit.formats.bringing import at_hand
from oidkit.formats.frames import frame_of
from oidkit.formats.model import Entry, OutFile, given_file
from oidkit.formats.resizing import DamagedImageError, resized
from oidkit.formats.turning import turned, write_turned
from oidkit.imagefile import LARGEST_PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from oidkit.formats.frames import Resizing
    from oidkit.formats.model import Format, Picture

__all__ = ["Fault", "Made", "Making", "in_worker", "make_in_worker", "write_file"]

Fault = Literal["missing", "damaged"]


@dataclass(frozen=True, slots=True)
class Made:
    """What one picture came to: its entry, or why there is none. `bytes` are those written."""

    entry: Entry
    bytes: int = 0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Making:
    """How pictures become entries, and the folder that their files go into."""

    format: Format
    resizing: Resizing
    out: Path
    upright: bool = False

    def shown(self, picture: Picture) -> Picture:
        """Give the picture as the format sees it: upright, if that was asked for."""
        return turned(picture, self.out) if self.upright else picture

    def make(self, pictures: Sequence[Picture]) -> list[Made]:
        """Make the entries of some pictures, and write the files of each."""
        return [self._made(picture) for picture in at_hand(pictures)]

    def _made(self, stored: Picture) -> Made:
        picture = self.shown(stored)
        if picture.width * picture.height > LARGEST_PICTURE:
            # Nobody could decode it, and its masks would be drawn in as many pixels.
            return Made(Entry(), fault="damaged")
        frame = frame_of(picture.width, picture.height, self.resizing)
        place = self.format.image_path(picture)
        try:
            if self.upright:
                write_turned(stored, self.out)
            if (frame.width, frame.height) == (picture.width, picture.height):
                image = given_file(place, picture.path)
                size = len(image.content) if image.content else picture.path.stat().st_size
            else:
                content = resized(picture.path, frame, quality=self.resizing.quality)
                image = OutFile(place, content=content)
                size = len(content)
        except DamagedImageError:
            return Made(Entry(), fault="damaged")
        except FileNotFoundError:
            return Made(Entry(), fault="missing")
        entry = self.format.prepare(picture, frame, image)
        written: dict[int, str] = {}
        for file in entry.files:
            # A picture that belongs into two folders is one file, resized or not.
            twin = written.setdefault(id(file.content), file.path) if file.content else file.path
            source = self.out / twin if twin != file.path else file.source
            write_file(self.out, OutFile(file.path, source, file.content if not source else None))
        return Made(Entry(rows=entry.rows), size)


def write_file(out: Path, file: OutFile) -> None:
    """Write one file of an export, or link it; its folders are made.

    It gets its own name at once: nobody looks into the folder before it is whole.
    """
    target = out / file.path
    try:
        _put(file, target)
    except FileNotFoundError as error:
        if error.filename != str(target) and error.filename2 != str(target):
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        _put(file, target)


def _put(file: OutFile, target: Path) -> None:
    if file.source is None:
        # Never into a file that is there: it may be a link to one of the dataset.
        target.unlink(missing_ok=True)
        with target.open("xb") as fresh:
            fresh.write(file.content or b"")
        return
    try:
        os.link(file.source, target)
    except FileNotFoundError:
        raise
    except FileExistsError:
        return  # a mask that stands in two rows
    except (OSError, NotImplementedError):
        shutil.copyfile(file.source, target)


_making: Making | None = None


def in_worker(making: Making) -> None:
    """Get a worker process ready: Ctrl-C is the parent's affair, and its end is ours as well."""
    import signal
    from multiprocessing import parent_process

    global _making  # noqa: PLW0603 - one for each process, so that no picture brings it along
    _making = making
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the command's own handler does is not for a worker.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: object) -> None:
    # A pool's worker waits for work on a pipe that it holds open itself: it would outlive a
    # parent that was killed for ever.
    parent.join()  # type: ignore[attr-defined]
    os._exit(1)


def make_in_worker(pictures: Sequence[Picture]) -> list[Made]:
    """Make the entries of some pictures in a process that `in_worker` has got ready."""
    if _making is None:
        raise RuntimeError("the worker was not made ready")
    return _making.make(pictures)
