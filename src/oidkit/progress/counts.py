"""What is known of a running phase, and how its numbers are written."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from oidkit.quantities import byte_count, duration

__all__ = ["Phase", "byte_count", "duration"]

# The speed shown is that of the last seconds, not of the whole phase.
_SPEED_SECONDS = 15.0
_SAMPLE_SECONDS = 0.5


@dataclass(slots=True)
class Phase:
    """What is known of one phase: counts of items and bytes, and times on the clock."""

    name: str
    items: int
    expected: int | None
    started: float
    fetched: int = 0
    missing: int = 0
    failed: int = 0
    retried: int = 0
    received: int = 0
    # (seconds, share done, bytes received), oldest first; the first is always there.
    samples: deque[tuple[float, float, int]] = field(default_factory=deque)

    @property
    def done(self) -> int:
        """Items that need no more work, for better or worse."""
        return self.fetched + self.missing + self.failed

    @property
    def share(self) -> float | None:
        """The part that is done, 0 to 1; None where nobody knows how much there is."""
        if self.items > 1 or (self.items and not self.expected):
            return min(self.done / self.items, 1.0)
        if self.expected:
            return min(self.received / self.expected, 1.0)
        return None

    def speed(self, now: float) -> tuple[float, float | None]:
        """Sample the counts; give bytes a second and the seconds left (None: not known)."""
        share = self.share or 0.0
        samples = self.samples
        if not samples or now - samples[-1][0] >= _SAMPLE_SECONDS:
            samples.append((now, share, self.received))
        while len(samples) > 1 and now - samples[0][0] > _SPEED_SECONDS:
            samples.popleft()
        since, share_then, received_then = samples[0]
        if len(samples) == 1:
            since, share_then, received_then = self.started, 0.0, 0
        passed = now - since
        if passed <= 0:
            return 0.0, None
        gained = share - share_then
        left = (1.0 - share) * passed / gained if gained > 0 else None
        return (self.received - received_then) / passed, left

    def figures(self, now: float) -> str:
        """Write how much of how much, bytes a second and the time left, as far as each is known."""
        rate, left = self.speed(now)
        parts = []
        if self.items > 1:
            parts.append(f"{self.done:,} of {self.items:,}")
        if self.expected and self.items <= 1:
            parts.append(f"{byte_count(self.received)} of {byte_count(self.expected)}")
        elif self.received:
            parts.append(byte_count(self.received))
        parts += [f"{count:,} {word}" for count, word in self._troubles() if count]
        if rate > 0:
            parts.append(f"{byte_count(rate)}/s")
        if left:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def _troubles(self) -> tuple[tuple[int, str], ...]:
        return (self.missing, "missing"), (self.failed, "failed"), (self.retried, "retried")

    def opening(self) -> str:
        """Write what is to do."""
        parts = []
        if self.items:
            parts.append(f"{self.items:,} to do")
        if self.expected:
            parts.append(f"about {byte_count(self.expected)} to receive")
        return f"{self.name}: {', '.join(parts)}" if parts else f"{self.name} ..."

    def closing(self, now: float) -> str:
        """Write what was done, what was not, and in which time."""
        took = now - self.started
        parts = [f"{self.fetched:,} of {self.items:,}"] if self.items else ["done"]
        parts += [f"{count:,} {word}" for count, word in self._troubles() if count]
        if not self.received:
            return f"{self.name}: {', '.join(parts)} in {duration(took)}"
        came = f"{byte_count(self.received)} in {duration(took)}"
        rate = f" ({byte_count(self.received / took)}/s)" if took >= 1 else ""
        return f"{self.name}: {', '.join(parts)}, {came}{rate}"

    @property
    def is_empty(self) -> bool:
        """Nothing was to do and nothing came: not worth a line that stays."""
        return not (self.items or self.received)
