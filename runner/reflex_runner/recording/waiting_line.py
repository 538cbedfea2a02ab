"""What waits to be handed to who writes: a queue that no thread of the run waits at, bounded in entries and in bytes.

When the bytes are used up pictures are left out, and numbers still taken; when the entries are, everything is. What was
left out is counted by kind. There is no lock: a deque's ends are safe, and each counter has one thread that adds to it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex.connector import Observation
from reflex_runner.recording.pictures import Picture
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["Entry", "Limits", "Marker", "Observed", "WaitingLine"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What may wait. Two cameras of 640 x 480 at 30 Hz fill the bytes in 1.2 s."""

    entries: int = 20_000
    bytes: int = 64 * 1024 * 1024


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Marker:
    """An episode begins (`begins`) or ends here; without a moment it begins with the first thing that happens."""

    at_s: float | None
    begins: bool
    instruction: str | None = None
    success: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """An observation that was sent."""

    seq: int
    observation: Observation


Happening = Observed | DatedChunk | Tick | Event | Marker


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One thing that happened, and the pictures that are new with it."""

    what: Happening
    pictures: Mapping[str, Picture] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Of the pictures, as long as they wait; numbers are bounded by how many entries there are."""
        return sum(picture.size_bytes for picture in self.pictures.values())


class WaitingLine:
    """`put` is called from any thread of the run; `take` and `sent` from the one that sends."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._entries: deque[Entry] = deque()
        self._taken_bytes: Counter[type] = Counter()  # each kind comes from one thread, and events have no bytes
        self._released_bytes = 0
        self._is_shut = False
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        """Entries that wait."""
        return len(self._entries)

    @property
    def held_bytes(self) -> int:
        """In pictures that are not sent yet."""
        return sum(self._taken_bytes.values()) - self._released_bytes

    def put(self, entry: Entry) -> None:
        """Take it, or count it as dropped."""
        kind = type(entry.what)
        if self._is_shut or (kind is not Marker and len(self._entries) >= self._limits.entries):
            self.dropped[NAMES[kind]] += 1
            return
        size_bytes = entry.size_bytes
        if size_bytes and self.held_bytes + size_bytes > self._limits.bytes:
            self.dropped["pictures"] += len(entry.pictures)
            entry, size_bytes = Entry(entry.what), 0
        self._taken_bytes[kind] += size_bytes
        self._entries.append(entry)

    def take(self) -> Entry | None:
        """The oldest; None when nothing waits."""
        return self._entries.popleft() if self._entries else None

    def sent(self, entry: Entry) -> None:
        """Its bytes are free again."""
        self._released_bytes += entry.size_bytes

    def put_back(self, entry: Entry) -> None:
        """It could not be sent, and is the next again."""
        self._entries.appendleft(entry)

    def shut(self) -> None:
        """Nobody writes any more: what waits is let go of, and what comes is counted as dropped."""
        self._is_shut = True
        while (entry := self.take()) is not None:
            self.dropped[NAMES[type(entry.what)]] += 1
            self.sent(entry)


NAMES: Final[Mapping[type, str]] = {
    Observed: "observations",
    DatedChunk: "chunks",
    Tick: "ticks",
    Event: "events",
    Marker: "markers",
}
"""Under which each kind is counted when it is dropped."""
