"""A stream that never fails, and text that cannot steer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SafeStream", "one_line"]


class SafeStream:
    """A text stream to which every write succeeds.

    What its encoding lacks becomes `?` (the legacy code pages of Windows, a C locale); a stream
    that is closed or whose reader has gone takes no more.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_open = True

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def as_text(self) -> TextIO:
        """Stand for a text file where a library asks for one; it needs no more than is here."""
        return cast("TextIO", self)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def line(self, text: str) -> None:
        self.write(f"{text}\n")
        self.flush()

    def write(self, text: str) -> int:
        if self._is_open:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                plain = text.encode(self.encoding, "replace").decode(self.encoding)
                self._attempt(lambda: self._stream.write(plain))
            except (OSError, ValueError):
                self._is_open = False
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if not self._is_open:
            return
        try:
            action()
        except (OSError, ValueError):
            self._is_open = False


def one_line(text: str) -> str:
    """Make one line of it that cannot steer the terminal: the text may come from a server."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text).strip()
