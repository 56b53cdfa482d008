"""Requests to whole addresses, of any host: a few at a time for each, and none to what is private.

The keys of these requests are addresses. Each *lane*, the domain that a host belongs to, has a
pace of its own, so that one that asks for fewer requests gets fewer while others go on.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urljoin, urlsplit

from oidkit.originals import address_fault, is_local, is_placeholder, lane_of, spelled
from oidkit.store.http import HttpTransfer
from oidkit.store.model import Arrived, Ended, Request

if TYPE_CHECKING:
    from oidkit.store.model import Reply, Transfer
    from oidkit.store.source import Source

__all__ = ["AT_ONCE", "AnywhereTransfer", "Lane", "lies_privately"]

AT_ONCE = 4
"""Requests in flight at the most to the hosts of one domain."""

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_THROTTLED = (429, 503)
_PAUSE_SECONDS = 1.0
# As long as a retry waits for a Retry-After.
_LONGEST_PAUSE_SECONDS = 60.0
_GONE = "the photo was removed by its author (a placeholder stands for it)"


@dataclass(slots=True)
class Lane:
    """How many requests one domain gets at once, and from when on.

    One that answers 429 or 503 gets half as many, at least one, and none until the time that it
    asks for, or for a second; one that asks for more than a minute is `shut` for this run. After
    as many good answers as two rounds take it gets one more, up to `AT_ONCE`. Time is given by the
    caller, in seconds, so that the rule can be tried without a clock.
    """

    limit: int = AT_ONCE
    under_way: int = 0
    opens: float = float("-inf")
    shut: bool = False
    _good: int = 0

    def free(self, now: float) -> bool:
        """Tell whether another request may go out now."""
        return self.under_way < self.limit and now >= self.opens

    def answered(self, status: int, now: float, *, asked: float | None = None) -> None:
        """Note an answer; *asked* are the seconds of its Retry-After."""
        if status not in _THROTTLED:
            self._good += 1
            if self._good >= 2 * self.limit:
                self.limit, self._good = min(AT_ONCE, self.limit + 1), 0
            return
        # Those that were under way meanwhile say the same once more.
        if now >= self.opens:
            self.limit, self._good = max(1, self.limit // 2), 0
        self.shut |= asked is not None and asked > _LONGEST_PAUSE_SECONDS
        self.opens = max(self.opens, now + (_PAUSE_SECONDS if asked is None else asked))


@dataclass(slots=True)
class _Errand:
    """One request, which may go from host to host."""

    token: object
    request: Request
    lane: str
    redirects: int = 0


@dataclass(slots=True)
class AnywhereTransfer:
    """GETs of addresses, anonymous and without a referrer, `AT_ONCE` for each domain at the most.

    A redirect is followed to any public host. One to the picture that stands for a removed photo
    ends as `gone`, without a request for it. Unless *local*, addresses of this machine and of
    private networks are refused, whether they stand in a redirect or come from a name.
    """

    local: bool = False
    _inner: Transfer = field(init=False)
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _waiting: dict[str, deque[_Errand]] = field(default_factory=dict)
    _running: dict[int, _Errand] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the client."""
        # The client escapes keys; these are escaped already, so that it is undone exactly.
        self._inner = HttpTransfer(unquote, bars=_nothing if self.local else is_local)

    def start(self, token: object, request: Request) -> None:
        """Send the request as soon as its domain has room; the address has been checked before."""
        url = spelled(request.key)
        self._queue(_Errand(token, replace(request, key=url), lane_of(url)))
        self._fill()

    def poll(self, timeout: float) -> list[Arrived | Ended]:
        """Wait up to *timeout* seconds for something to happen, and tell it."""
        self._fill()
        happened: list[Arrived | Ended] = [*self._turned_away()]
        for each in self._inner.poll(0.0 if happened else self._shortened(timeout)):
            errand = self._running.get(id(each.token))
            if errand is None:
                continue
            if isinstance(each, Arrived):
                happened.append(replace(each, token=errand.token))
                continue
            self._leave(errand, each.reply)
            if (ended := self._ended(errand, each)) is not None:
                happened.append(ended)
        self._fill()
        return happened

    def abort(self, token: object) -> None:
        """Forget the request, whether it has gone out or waits."""
        for errand in [each for each in self._running.values() if each.token is token]:
            self._inner.abort(errand)
            self._leave(errand, None)
        for queue in self._waiting.values():
            for errand in [each for each in queue if each.token is token]:
                queue.remove(errand)

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()
        self._running.clear()
        self._inner.__exit__(None, None, None)

    def _queue(self, errand: _Errand) -> None:
        self._lanes.setdefault(errand.lane, Lane())
        self._waiting.setdefault(errand.lane, deque()).append(errand)

    def _fill(self) -> None:
        now = time.monotonic()
        for name, queue in list(self._waiting.items()):
            lane = self._lanes[name]
            while queue and lane.free(now):
                errand = queue.popleft()
                lane.under_way += 1
                self._running[id(errand)] = errand
                self._inner.start(errand, errand.request)
            if not queue:
                del self._waiting[name]

    def _turned_away(self) -> list[Ended]:
        """End what waits for a domain that is not asked again in this run."""
        shut = [name for name in self._waiting if self._lanes[name].shut]
        text = "its host asks for a pause of more than a minute"
        return [
            Ended(errand.token, None, text, lasting=True)
            for name in shut
            for errand in self._waiting.pop(name)
        ]

    def _shortened(self, timeout: float) -> float:
        """Come back when the first domain that has asked for a pause may be asked again."""
        opens = [self._lanes[name].opens for name in self._waiting]
        now = time.monotonic()
        return min([timeout, *(at - now for at in opens if at > now)])

    def _leave(self, errand: _Errand, reply: Reply | None) -> None:
        del self._running[id(errand)]
        lane = self._lanes[errand.lane]
        lane.under_way -= 1
        if reply is not None:
            lane.answered(reply.status, time.monotonic(), asked=reply.retry_after)

    def _ended(self, errand: _Errand, ended: Ended) -> Ended | None:
        """Say what came of a request; None for a redirect that is followed."""
        reply = ended.reply
        if ended.error is not None or reply is None or reply.status not in _REDIRECTS:
            return replace(ended, token=errand.token)
        target = urljoin(errand.request.key, spelled(reply.location or ""))
        if is_placeholder(target):
            return Ended(errand.token, None, _GONE, gone=True)
        fault = address_fault(target, local=self.local)
        if reply.location is None or errand.redirects >= _MOST_REDIRECTS:
            fault = "there is no end to it"
        if fault is not None:
            text = f"it redirects to {target[:200]}: {fault}"
            return Ended(errand.token, None, text, lasting=True)
        request = replace(errand.request, key=target)
        self._queue(_Errand(errand.token, request, lane_of(target), errand.redirects + 1))
        return None


def lies_privately(source: Source) -> bool:
    """Tell whether a source is itself on this machine or in a private network, by its addresses.

    Such a source may name others there. A folder may hold what came from anywhere, so it is none.
    """
    host = urlsplit(source.root or "").hostname
    if host is None:
        return False
    if is_local(host):
        return True
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return bool(found) and all(is_local(str(place[0])) for *_, place in found)


def _nothing(host: str) -> bool:
    del host
    return False
