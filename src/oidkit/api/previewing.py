"""What a download would bring, to be looked at before it is fetched."""

from __future__ import annotations

import contextlib
import csv
import shutil
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from oidkit import catalog, ownership
from oidkit.api.downloading import annotate
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.dataset import open_dataset
from oidkit.disk import TEMPORARY, naming, sweep
from oidkit.events import Listener, ignore
from oidkit.originals import LARGEST, address_fault, is_local
from oidkit.store import Arrived, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from oidkit.selection import Selection
    from oidkit.store import Transfer
    from oidkit.store.source import Source

__all__ = ["Previews", "laid_out"]

_WAIT = 0.2
_PATIENCE = 5.0
_OK, _GONE = 200, (404, 410)
_CLIENTS = 6
_MOST_FAILURES, _REST = 3, 30.0
"""So many failures in a row, and so many seconds of rest after them."""
_IMAGES = "csv/images_{}.csv"


@contextlib.contextmanager
def laid_out(
    selection: Selection, *, settings: Settings | None = None, on_event: Listener = ignore
) -> Iterator[tuple[Path, Previews]]:
    """Write the annotations of a selection into a folder that is gone with the block.

    It is a dataset folder without any image or mask. Beside it comes what fetches small pictures
    of its images.

    Raises:
        OidError: as `oidkit.download`.

    """
    with Session(settings or Settings(), on_event) as session:
        place = session.settings.cache_folder
        token = ownership.claim()
        # Its name says whose it is: the next plan removes what a killed one left.
        folder = place / f"{TEMPORARY}plan-{token}"
        with naming(place):
            place.mkdir(parents=True, exist_ok=True)
            sweep(place)
            folder.mkdir()
        try:
            root = folder / "plan"
            release = session.settings.release_name
            with open_dataset(root, release=release, on_event=on_event) as dataset:
                annotate(session, dataset, selection, described=True)
            with contextlib.closing(Previews(session.source, _addresses(root))) as previews:
                yield root, previews
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            ownership.release(token)


def _addresses(root: Path) -> dict[str, str]:
    """Read where the image lists have small pictures."""
    found = {}
    for split in catalog.SPLITS:
        path = root / _IMAGES.format(split)
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    if url := row.get("Thumbnail300KURL"):
                        found[row["ImageID"]] = url
    return found


class _Lane:
    """GETs of whole objects from one kind of place, by a few clients that are used again.

    After some failures in a row the place is left alone for a while: whoever scrolls would wait for
    each picture anew.
    """

    def __init__(self, opened: Callable[[], Transfer], stopped: threading.Event) -> None:
        self._opened, self._stopped = opened, stopped
        self._turns = threading.Semaphore(_CLIENTS)
        self._idle: list[Transfer] = []
        self._failures, self._until = 0, 0.0

    def get(self, key: str, *, fits: Callable[[bytes], bool]) -> bytes | None:
        """Get an object that fits, or None; one that is not there is no failure."""
        with self._turns:
            if self._stopped.is_set() or time.monotonic() < self._until:
                return None
            client = self._idle.pop() if self._idle else self._opened().__enter__()
            data, status = _body(client, key, self._stopped)
            if status is None:
                # What is still under way there would come to nobody.
                client.__exit__(None, None, None)
            else:
                self._idle.append(client)
            found = data if status == _OK and fits(data) else None
            self._failures = 0 if found or status in _GONE else self._failures + 1
            if self._failures >= _MOST_FAILURES:
                self._failures, self._until = 0, time.monotonic() + _REST
            return found

    def close(self) -> None:
        """Close the clients; whoever still has one closes it."""
        while self._idle:
            self._idle.pop().__exit__(None, None, None)


class Previews:
    """Pictures of images that were not fetched: small ones, else those of the bucket.

    It may be asked from several threads. What does not come within some seconds, or after `stop`,
    is None.
    """

    def __init__(self, source: Source, addresses: Mapping[str, str]) -> None:
        self.source = source
        # A folder may hold a list from anywhere, and whoever has one wants nothing from elsewhere.
        self._addresses = {} if source.folder is not None else addresses
        self._stopped = threading.Event()
        from oidkit.store.anywhere import AnywhereTransfer, lies_privately

        self._private = lies_privately(source)
        self._bucket = _Lane(source.open, self._stopped)
        self._elsewhere = _Lane(lambda: AnywhereTransfer(self._private), self._stopped)

    def small(self, split: str, image_id: str) -> bytes | None:
        """Give a picture of the image, of any size, or None where there is none."""
        url = self._addresses.get(image_id, "")
        if self._may_be_asked(url):
            data = self._elsewhere.get(url, fits=is_picture)
            if data is not None:
                return data
        return self.image(split, image_id)

    def image(self, split: str, image_id: str) -> bytes | None:
        """Give the image of the bucket, or None where it lacks it."""
        named = next(each for each in catalog.SPLITS if each == split)
        return self._bucket.get(catalog.image_key(named, image_id), fits=is_picture)

    def _may_be_asked(self, url: str) -> bool:
        """Tell whether an address of the list is in the same world as the source.

        The list of a mirror on a machine or network of one's own names Flickr, as the official one
        does: who has such a mirror wants nothing to leave it, or has no way out.
        """
        if not url or address_fault(url, local=self._private) is not None:
            return False
        return not self._private or is_local(urlsplit(url).hostname or "")

    def stop(self) -> None:
        """Give up what is waited for, and ask for nothing more."""
        self._stopped.set()

    def close(self) -> None:
        """Close all clients."""
        self.stop()
        self._bucket.close()
        self._elsewhere.close()


def is_picture(data: bytes) -> bool:
    """Tell whether bytes begin as a JPEG or PNG does: a page that says 200 is neither."""
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n"))


def _body(transfer: Transfer, key: str, stopped: threading.Event) -> tuple[bytes, int | None]:
    """Get one object, and the status of the answer; None where it did not come to an end."""
    body = bytearray()
    token = object()
    transfer.start(token, Request(key))
    end = time.monotonic() + _PATIENCE
    while not stopped.is_set() and time.monotonic() < end:
        for happened in transfer.poll(_WAIT):
            if happened.token is not token:
                continue
            if isinstance(happened, Arrived):
                body += happened.data
            elif happened.error is not None or happened.reply is None:
                return b"", _OK if happened.gone else None
            else:
                return bytes(body), happened.reply.status
        if len(body) > LARGEST:
            break
    return b"", None
