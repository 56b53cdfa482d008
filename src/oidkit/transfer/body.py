"""What all jobs share: a reply, its body in memory, and what a range has to be."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from oidkit.errors import SourceError, UsageError
from oidkit.store import Reply

if TYPE_CHECKING:
    from oidkit.events import Fetched

__all__ = ["Body", "refuse_other_range", "refuse_whole"]


class Body:
    """What every job has: the reply, and its body in memory."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._pieces: list[bytes] = []
        self._reply = Reply(0)

    def begin(self, reply: Reply) -> None:
        self._pieces, self._reply = [], reply

    def write(self, data: bytes) -> None:
        self._pieces.append(data)

    def cancel(self) -> None:
        """Do nothing: what is under way takes a moment."""

    def told(self) -> Fetched | None:
        """Say nothing: the records tell it."""
        return None

    def _body(self) -> bytes:
        body, self._pieces = b"".join(self._pieces), []
        length = self._reply.length
        if length is not None and len(body) != length:
            raise SourceError(
                f"{self.name} was cut short: {len(body)} of {length} bytes",
                remedy="run the same command again",
            )
        return body


def refuse_whole(reply: Reply, name: str) -> None:
    """Refuse the whole file where a range was asked for."""
    if reply.status != HTTPStatus.PARTIAL_CONTENT:
        raise UsageError(
            f"the source refuses byte ranges: it answered one of {name} with the whole file",
            remedy="use a server that honours Range, or leave out masks with --labels boxes",
        )


def refuse_other_range(reply: Reply, start: int, length: int, name: str) -> None:
    """Refuse another range than the one that was asked for."""
    if reply.start != start or (reply.length is not None and reply.length != length):
        raise SourceError(
            f"{name}: the source sends another range than was asked for",
            remedy="check the server, or a proxy before it",
        )
