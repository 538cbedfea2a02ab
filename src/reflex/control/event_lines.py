"""Server-sent events out of the bytes of a stream, in whatever pieces they come (HTML, 9.2.6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["MAX_EVENT_BYTES", "Event", "EventLines"]

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_ID_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class Event:
    """One event that was sent whole."""

    kind: str
    data: str


@dataclass
class EventLines:
    """What has come of one stream. `last_id` is where to go on after it breaks; None while none was named."""

    last_id: str | None = None
    _rest: bytes = b""
    _kind: str = ""
    _id: str | None = None
    _data: list[str] = field(default_factory=list)
    _size: int = 0

    def feed(self, piece: bytes) -> list[Event]:
        """The events that end in this piece; `ValueError` for one that never seems to end, or is no UTF-8."""
        text = self._rest + piece
        # Whether a carriage return is a line end of its own is only known with the byte after it.
        held = text[-1:] == b"\r"
        lines = (text[:-1] if held else text).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + (b"\r" if held else b"")
        events = [event for line in lines if (event := self._take(line.decode("utf-8"))) is not None]
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {MAX_EVENT_BYTES // 1024} KiB")
        return events

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
            self._size += len(value) + 1  # an empty line of data is one, too
        elif name == "id" and len(value) <= MAX_ID_CHARACTERS and value.isascii() and value.isprintable():
            self._id = value  # goes into a header when the stream is resumed
        return None

    def _end(self) -> Event | None:
        if self._id is not None:
            self.last_id = self._id
        event = Event(self._kind or "message", "\n".join(self._data)) if self._data else None
        self._kind, self._id, self._data, self._size = "", None, [], 0
        return event
