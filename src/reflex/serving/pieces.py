"""What a connection has received and its parser has not: handed out in pieces that never hold two requests."""

from __future__ import annotations

from typing import Final

__all__ = ["BODY_READ_BYTES", "READ_BYTES", "Pieces"]

READ_BYTES: Final = 16 * 1024
BODY_READ_BYTES: Final = 64 * 1024
"""Where a body is announced: it is one request's, and has a limit of its own."""
END: Final = b"\r\n\r\n"
"""So end headers, trailers, and a body in chunks."""


class Pieces:
    """Bytes in, pieces out. A piece ends where a request may end; where it does not, the next one goes on.

    Invariant: after headers that announce `body_left`, exactly so many bytes are handed out before an end is looked
    for again.
    """

    def __init__(self) -> None:
        self.body_left = 0
        self._held = b""
        self._before = b""
        """The last bytes handed out, for an end that two reads cut in two."""

    def __len__(self) -> int:
        """How many bytes are held."""
        return len(self._held)

    @property
    def read_bytes(self) -> int:
        """How much to read at once."""
        return BODY_READ_BYTES if self.body_left else READ_BYTES

    def add(self, data: bytes) -> None:
        """What the connection has received."""
        self._held = self._held + data if self._held else data

    def take(self) -> bytes:
        """The next piece; empty when nothing is held."""
        size = min(self.body_left, len(self._held)) if self.body_left else self._size_to_end()
        self.body_left -= min(self.body_left, size)
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    def take_all(self) -> bytes:
        """All that is held: what comes from here on is no HTTP, and nobody will look for its ends."""
        held, self._held = self._held, b""
        return held

    def drop(self) -> None:
        """Nobody wants the rest."""
        self._held = b""

    def _size_to_end(self) -> int:
        seen = self._before + self._held
        end = seen.find(END)
        if end < 0:
            self._before = seen[1 - len(END) :]
            return len(self._held)
        size = end + len(END) - len(self._before)
        self._before = b""
        return size
