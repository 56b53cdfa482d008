"""What a download would bring, to be looked at before it is fetched."""

from __future__ import annotations

import contextlib
import csv
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from oidkit import catalog
from oidkit.api.downloading import annotate
from oidkit.api.session import Session
from oidkit.api.settings import Settings
from oidkit.dataset import open_dataset
from oidkit.errors import DiskError
from oidkit.events import Listener, ignore
from oidkit.originals import LARGEST, address_fault
from oidkit.store import Arrived, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oidkit.selection import Selection
    from oidkit.store import Transfer
    from oidkit.store.source import Source

__all__ = ["Previews", "laid_out"]

_WAIT = 0.5
_OK = 200
_MOST_REFUSALS = 3
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
        try:
            place.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="plan-", dir=place))
        except OSError as error:
            raise DiskError.from_os(error, path=place) from error
        try:
            root = folder / "plan"
            release = session.settings.release_name
            with open_dataset(root, release=release, on_event=on_event) as dataset:
                annotate(session, dataset, selection, described=True)
            with contextlib.closing(Previews(session.source, _addresses(root))) as previews:
                yield root, previews
        finally:
            shutil.rmtree(folder, ignore_errors=True)


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


@dataclass(slots=True)
class Previews:
    """Pictures of images that were not fetched: small ones, else those of the bucket.

    It may be asked from several threads: each has a client of its own. Where the addresses of small
    pictures fail time and again, as on a machine that reaches a mirror alone, they are no longer
    asked for.
    """

    source: Source
    addresses: Mapping[str, str]
    _own: threading.local = field(default_factory=threading.local)
    _open: list[contextlib.ExitStack] = field(default_factory=list)
    _refusals: int = 0

    def small(self, split: str, image_id: str) -> bytes | None:
        """Give a picture of the image, of any size, or None where there is none."""
        url = self.addresses.get(image_id)
        if url and self._refusals < _MOST_REFUSALS and address_fault(url, local=False) is None:
            data = _body(self._client("elsewhere"), url)
            self._refusals = 0 if data is not None else self._refusals + 1
            if data is not None:
                return data
        return self.image(split, image_id)

    def image(self, split: str, image_id: str) -> bytes | None:
        """Give the image of the bucket, or None where it lacks it."""
        named = next(each for each in catalog.SPLITS if each == split)
        return _body(self._client("source"), catalog.image_key(named, image_id))

    def close(self) -> None:
        """Close all clients."""
        for each in self._open:
            each.close()

    def _client(self, kind: str) -> Transfer:
        clients: dict[str, Transfer] = self._own.__dict__.setdefault("clients", {})
        if kind not in clients:
            from oidkit.store.anywhere import AnywhereTransfer

            stack = contextlib.ExitStack()
            self._open.append(stack)
            fresh: Transfer = AnywhereTransfer() if kind == "elsewhere" else self.source.open()
            clients[kind] = stack.enter_context(fresh)
        return clients[kind]


def _body(transfer: Transfer, key: str) -> bytes | None:
    """Get one object whole, or None; a second look at the page asks again."""
    body = bytearray()
    token = object()
    transfer.start(token, Request(key))
    while True:
        for happened in transfer.poll(_WAIT):
            if happened.token is not token:
                continue
            if isinstance(happened, Arrived):
                body += happened.data
                if len(body) > LARGEST:
                    transfer.abort(token)
                    return None
            else:
                reply = happened.reply
                whole = happened.error is None and reply is not None and reply.status == _OK
                return bytes(body) if whole else None
