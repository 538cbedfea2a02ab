"""What changes, as it changes: server-sent events, resumed where a listener was (HTML Standard, 9.2).

A stream begins with the place that it begins at, as an id without an event, so that a listener that loses the
connection before the first event misses nothing. When everything up to now has been told it says so, with whose events
they are: `caught_up`. It ends when its key is taken back, and when the server does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Final

from pydantic import Field
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from reflex_control.feed import Listener, events_after
from reflex_control.http.operation import Call, Needs, Operation
from reflex_control.http.routes.bodies import Identity, Query
from reflex_control.identity.actor import Actor
from reflex_control.moments import DAY_S, SECOND_MS
from reflex_control.plane import Plane
from reflex_control.store.tables import event

__all__ = ["EVENT_OPERATIONS", "EventStream"]

EVENT_STREAM: Final = "text/event-stream"
COMMENT_EVERY_S: Final = 10.0
"""Who hears nothing for 30 s counts the stream as lost."""
HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
LISTENER: Final = Needs(("read", "sessions"), any_robot=True)


class EventQuery(Query):
    kind: Identity | None = None
    recent_seconds: Annotated[int, Field(ge=1, le=DAY_S)] | None = None
    """Begin so far back, where there is no Last-Event-ID of this store."""


def _listen(call: Call) -> Response:
    return EventStream(call.plane, call.who, call.query.kind, _start(call))


def _start(call: Call) -> int:
    """A place that has not come yet is one of another store's, of one before a restore: it says nothing of this one."""
    owner = event.c.organisation_id == call.who.organisation_id
    with call.plane.reading() as connection:
        last = int(connection.scalar(select(func.max(event.c.seq)).where(owner)) or 0)
        if call.last_event_id is not None and call.last_event_id <= last:
            return call.last_event_id
        if call.query.recent_seconds is None:
            return last
        since_ms = call.plane.clock() - call.query.recent_seconds * SECOND_MS
        first = connection.scalar(select(func.min(event.c.seq)).where(owner, event.c.created_at >= since_ms))
        return last if first is None else int(first) - 1


class EventStream(StreamingResponse):
    """Counted among the streams of its key from its first byte to its last."""

    def __init__(self, plane: Plane, actor: Actor, kind: str | None, place: int) -> None:
        super().__init__((), media_type=EVENT_STREAM, headers=HEADERS)
        self._plane, self._actor, self._kind, self._place = plane, actor, kind, place
        self.holds: Callable[[], bool] = lambda: True
        """Whether who listens may do so still, beside what their key says."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        actor = self._actor
        with self._plane.feed.listening(actor.organisation_id, actor.key_id) as listener:
            self.body_iterator = self._told(listener)
            await super().__call__(scope, receive, send)

    async def _told(self, listener: Listener) -> AsyncIterator[bytes]:
        place = self._place
        yield b"id: %d\n\n" % place
        while rows := await run_in_threadpool(_read, self._plane, self._actor, place):
            place = rows[-1].seq
            yield self._lines(rows)
        self._plane.feed.follow(listener, place)
        yield _event("caught_up", {"organisationId": self._actor.organisation_id}) + b"\n"
        while self.holds() and not listener.is_over:
            if rows := await self._news(listener, place):
                place = rows[-1].seq
                yield self._lines(rows)
            elif not await _is_woken(listener) and self._is_read():
                yield b": alive\n\n"

    async def _news(self, listener: Listener, place: int) -> Sequence[Any]:
        kept = self._plane.feed.kept(listener, place)
        return await run_in_threadpool(_read, self._plane, self._actor, place) if kept is None else kept

    def _is_read(self) -> bool:
        """While nobody can read the store, nobody is told that all is well."""
        return time.monotonic() - self._plane.feed.looked_at < COMMENT_EVERY_S

    def _lines(self, rows: Sequence[Any]) -> bytes:
        """Of what is not for this listener it is told the place alone, once for several."""
        told, robot_id = b"", self._actor.robot_id
        for row in rows:
            is_own = robot_id is None or (row.kind == "session" and row.data.get("robotId") == robot_id)
            if is_own and self._kind in (None, row.kind):
                told += b"id: %d\n" % row.seq + _event(row.kind, row.data) + b"\n"
            elif row is rows[-1]:
                told += b"id: %d\n\n" % row.seq
        return told


def _read(plane: Plane, actor: Actor, place: int) -> Sequence[Any]:
    with plane.reading() as connection:
        return events_after(connection, actor.organisation_id, place)


async def _is_woken(listener: Listener) -> bool:
    """False when nothing came in the time of a comment."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(COMMENT_EVERY_S):
            await listener.woken.wait()
        listener.woken.clear()
        return True
    return False


def _event(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n".encode("ascii")


EVENT_OPERATIONS: Final = (
    Operation("GET", "/v1/events", "What changes, as server-sent events", LISTENER, _listen, EVENT_STREAM,
              asks=EventQuery),
)  # fmt: skip
