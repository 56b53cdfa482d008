"""Images that may have to come from outside the bucket, from where each was published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oidkit.errors import (
    IntegrityError,
    MalformedError,
    MissingObjectError,
    OidError,
    RefusedError,
    SourceError,
)
from oidkit.imagefile import jpeg_fault
from oidkit.originals import Original, address_fault, picture_kind
from oidkit.transfer.jobs import ImageJob, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oidkit.disk import Record
    from oidkit.objectpath import Location
    from oidkit.store import Reply, Request

__all__ = ["BucketFirstJob", "OriginalJob"]

_JPEG = b"\xff\xd8"
_HEAD_BYTES = 256
_NEVER = 1 << 62


class BucketFirstJob(ImageJob):
    """An image of the bucket that is asked for elsewhere when the bucket does not give it out.

    *lacking* is then called in place of a record: 404, 410, or 403, which a bucket that may not be
    listed answers for what it does not have.
    """

    def __init__(
        self,
        root: Location,
        key: str,
        paths: Sequence[str],
        *,
        lacking: Callable[[], None],
        turn: Turn | None = None,
    ) -> None:
        super().__init__(root, key, paths, turn=turn)
        self._lacking = lacking

    def fail(self, error: OidError) -> Sequence[Record]:
        if not isinstance(error, (MissingObjectError, RefusedError)):
            return super().fail(error)
        self._lacking()
        return ()


class OriginalJob(ImageJob):
    """An image from its OriginalURL: of its published size and MD5, and a JPEG.

    What has another size is not read to its end, and nothing beyond `Original.most` bytes is. A
    picture of another kind in place of the JPEG is what hosts show for a removed photo. One that is
    what was published, but no JPEG, counts as missing too: files here are named .jpg. *key* is that
    of the bucket, for an image of which no list has an address. *local* lets in addresses of
    private networks.
    """

    def __init__(
        self,
        root: Location,
        original: Original,
        paths: Sequence[str],
        *,
        key: str,
        local: bool = False,
        turn: Turn | None = None,
    ) -> None:
        super().__init__(root, original.url or key, paths, turn=turn)
        self._original, self._local = original, local
        self.most = _NEVER  # `write` looks at what came before it refuses that there is more
        self._count = 0

    def request(self) -> Request:
        url = self._original.url
        if not url:
            raise MissingObjectError("no list of images gives an address for it")
        if fault := address_fault(url, local=self._local):
            raise SourceError(f"{url[:200]} is not asked for: {fault}", remedy="check the source")
        return super().request()

    def begin(self, reply: Reply) -> None:
        self._count = 0
        super().begin(reply)

    def write(self, data: bytes) -> None:
        super().write(data)
        self._count += len(data)
        announced = self._reply.length
        differs = announced is not None and announced != (self._original.size or announced)
        beyond = max(self._count, announced or 0) > self._original.most
        if (differs or beyond) and self._count >= _HEAD_BYTES:
            head, self._pieces = b"".join(self._pieces), []
            raise self._other(head, announced or self._count)

    def _examine(self, body: bytes, check: str) -> None:
        original = self._original
        if original.md5 is not None and check == f"md5:{original.md5}":
            if not body.startswith(_JPEG):
                kind = picture_kind(body) or "another kind of file"
                raise MissingObjectError(f"{self.name}: the original is no JPEG but {kind}")
            return
        if picture_kind(body) or original.size not in (None, len(body)):
            raise self._other(body, len(body))
        fault = jpeg_fault(body)
        if fault is None and original.md5 is not None:
            fault = f"it does not match its OriginalMD5 {original.md5}"
        if fault:
            raise IntegrityError(f"{self.name}: {fault}", remedy="check the source")

    def _other(self, head: bytes, size: int) -> OidError:
        """Say what stands in the place of the original, by its first bytes and its size."""
        if kind := picture_kind(head):
            return MissingObjectError(
                f"{self.name}: the photo was removed by its author (a {kind} stands for it)"
            )
        if not head.startswith(_JPEG):
            fault = str(jpeg_fault(head))
        elif self._original.size is None:
            fault = f"it has more than the {self._original.most:,} bytes that are ever read"
        else:
            fault = f"it has {size:,} bytes, not its OriginalSize of {self._original.size:,}"
        return MalformedError(f"{self.name}: {fault}", remedy="check the source")
