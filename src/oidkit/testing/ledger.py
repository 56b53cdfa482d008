"""The books of a server: how many requests, how many bytes, and what was asked in which order."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oidkit.testing.faults import RequestInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry", "Ledger", "Request"]

_LOG_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `sent` bytes of body went out, `status` is 0 if it got no status line."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int
    headers: Mapping[str, str]


class Entry:
    """A line of the log while its answer is under way."""

    __slots__ = ("info", "sent", "status")

    def __init__(self, info: RequestInfo) -> None:
        self.info = info
        self.status = 0
        self.sent = 0


class Ledger:
    """Counts, from the server's thread and read from any other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Set every counter to zero and forget the log."""
        with self._lock:
            self.requests = 0
            self.bytes_sent = 0
            self.connections = 0
            self.peak = self._in_flight
            self._log: deque[Entry] = deque(maxlen=_LOG_LENGTH)
            self._attempts: Counter[str] = Counter()

    def log(self) -> list[Request]:
        """Give what was asked, in the order of arrival, the last 100,000 at most."""
        with self._lock:
            return [
                Request(
                    method=entry.info.method,
                    path=entry.info.path,
                    range=entry.info.range,
                    status=entry.status,
                    sent=entry.sent,
                    headers=entry.info.headers,
                )
                for entry in self._log
            ]

    def connected(self) -> None:
        """Count a connection."""
        with self._lock:
            self.connections += 1

    def arrived(self, method: str, key: str, headers: Mapping[str, str]) -> Entry:
        """Open the line of a request that has just been read."""
        with self._lock:
            self.requests += 1
            self._attempts[key] += 1
            self._in_flight += 1
            self.peak = max(self.peak, self._in_flight)
            entry = Entry(
                RequestInfo(
                    method=method,
                    path=key,
                    range=headers.get("range"),
                    number=self.requests,
                    attempt=self._attempts[key],
                    headers=headers,
                )
            )
            self._log.append(entry)
            return entry

    def sending(self, entry: Entry, count: int) -> None:
        """Add *count* bytes of body; it is negative for bytes that did not go out after all."""
        with self._lock:
            entry.sent += count
            self.bytes_sent += count

    def ended(self) -> None:
        """Note that an answer is over, whole or not."""
        with self._lock:
            self._in_flight -= 1
