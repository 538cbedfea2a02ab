"""Who listens in this process to what changes, and how all of them are woken.

One look at the store serves every listener: after a write of this process, and five times a second for those of other
processes. What the look finds is kept for a while, so that many listeners cost the store no more than one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from reflex.errors import service_error
from reflex_control.identity.keys import still_holding
from reflex_control.store.tables import event

__all__ = ["MAX_AT_ONCE", "Feed", "Listener", "News", "events_after", "news_of"]

LOOK_EVERY_S: Final = 0.2
"""An end of a session is to be heard of within a second, also where another replica wrote it."""
MAX_AT_ONCE: Final = 500
KEPT: Final = 1_000
"""Events of each organisation; whoever is further behind reads the store."""
MAX_STREAMS_OF_A_KEY: Final = 32
MAX_STREAMS: Final = 800
"""Each is an open connection, and looked at with every event."""
COME_BACK_S: Final = 10.0

log = logging.getLogger("reflex.control")


@dataclass(frozen=True, slots=True)
class News:
    """What one look found: events by organisation, in their order, and the keys that do not hold any more."""

    events: Mapping[str, Sequence[Row[Any]]]
    lost_keys: frozenset[str]


@dataclass(eq=False)
class Listener:
    """One stream. `woken` is set when there may be something to say."""

    organisation_id: str
    key_id: str
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False

    def end(self) -> None:
        self.is_over = True
        self.woken.set()


@dataclass
class _Channel:
    """What came of one organisation after `since`, and who waits for more."""

    since: int
    newest: int
    recent: deque[Row[Any]] = field(default_factory=deque)
    followers: set[Listener] = field(default_factory=set)

    def take(self, rows: Sequence[Row[Any]]) -> None:
        self.recent.extend(rows)
        self.newest = rows[-1].seq
        while len(self.recent) > KEPT:
            self.since = self.recent.popleft().seq
        for follower in self.followers:
            follower.woken.set()


Look = Callable[[Mapping[str, int], frozenset[str]], News]
"""Reads the store, for organisations from places on, and for keys."""


class Feed:
    """For one event loop; `wake` may be called by any thread."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._channels: dict[str, _Channel] = {}
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = False
        self.looked_at = 0.0
        """By the monotonic clock: when the store was last read without an error."""

    def wake(self) -> None:
        """Something was written: look for it at once."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self, look: Look) -> None:
        """Look for ever, in a thread, while anybody listens."""
        self._loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._woken.wait()
            self._woken.clear()
            if self._listeners:
                await self._look(look)

    def end(self) -> None:
        """Every stream ends, and whoever comes later hears what was, and no more."""
        self._is_over = True
        for listener in self._listeners:
            listener.end()

    @contextlib.contextmanager
    def listening(self, organisation_id: str, key_id: str) -> Iterator[Listener]:
        """A listener; `ServiceError` 429 when its key has too many, 503 when all keys together do."""
        self._admit(key_id)
        listener = Listener(organisation_id, key_id, is_over=self._is_over)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._unfollow(listener)

    def follow(self, listener: Listener, place: int) -> None:
        """From now on it is woken; everything up to `place` it has heard, and nothing else was written then."""
        channel = self._channels.setdefault(listener.organisation_id, _Channel(place, place))
        channel.followers.add(listener)

    def kept(self, listener: Listener, place: int) -> list[Row[Any]] | None:
        """What came after `place`; None when that is not known here any more, and the store has to be read."""
        channel = self._channels[listener.organisation_id]
        return None if place < channel.since else [row for row in channel.recent if row.seq > place]

    def _unfollow(self, listener: Listener) -> None:
        channel = self._channels.get(listener.organisation_id)
        if channel is not None:
            channel.followers.discard(listener)
            if not channel.followers:
                del self._channels[listener.organisation_id]

    def _admit(self, key_id: str) -> None:
        if sum(listener.key_id == key_id for listener in self._listeners) >= MAX_STREAMS_OF_A_KEY:
            raise service_error(
                "rate_limited", f"this key has {MAX_STREAMS_OF_A_KEY} streams of events open; close one of them",
                retry_after_s=COME_BACK_S,
            )  # fmt: skip
        if len(self._listeners) >= MAX_STREAMS:
            raise service_error(
                "queue_full", "as many streams of events are open as one server keeps; ask another replica",
                retry_after_s=COME_BACK_S,
            )  # fmt: skip

    async def _look(self, look: Look) -> None:
        places = {owner: channel.newest for owner, channel in self._channels.items()}
        keys = frozenset(listener.key_id for listener in self._listeners)
        try:
            news = await asyncio.to_thread(look, places, keys)
        except Exception as exc:  # noqa: BLE001 - whatever it is: the streams stay, and go on when it is over
            log.error("events cannot be read: %s", type(exc).__name__)
            return
        self.looked_at = time.monotonic()
        for owner, rows in news.events.items():
            self._hand_out(owner, rows, places[owner])
        for listener in self._listeners:
            if listener.key_id in news.lost_keys:
                listener.end()

    def _hand_out(self, owner: str, rows: Sequence[Row[Any]], after: int) -> None:
        """Only to who has heard up to `after`: another channel may be in the place of the one that was looked for."""
        channel = self._channels.get(owner)
        if channel is not None and channel.newest == after:
            channel.take(rows)
            if len(rows) == MAX_AT_ONCE:
                self._woken.set()  # there is more


def news_of(connection: Connection, places: Mapping[str, int], keys: frozenset[str], now_ms: int) -> News:
    """What `Feed.run` looks for."""
    found = {owner: events_after(connection, owner, place) for owner, place in places.items()}
    return News({owner: rows for owner, rows in found.items() if rows}, keys - still_holding(connection, keys, now_ms))


def events_after(connection: Connection, organisation_id: str, place: int) -> Sequence[Row[Any]]:
    """In their order, the first of them."""
    wanted: Select[Any] = select(event.c.seq, event.c.kind, event.c.data).where(
        event.c.organisation_id == organisation_id, event.c.seq > place
    )
    return connection.execute(wanted.order_by(event.c.seq).limit(MAX_AT_ONCE)).all()
