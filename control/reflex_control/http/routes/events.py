"""What changes, as it changes: server-sent events, resumed where a listener was (HTML Standard, 9.2).

A stream begins with the place that it begins at, as an id without an event, so that a listener that loses the
connection before the first event misses nothing. It ends when its key is taken back, and when the server does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from sqlalchemy import Connection, func, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from reflex_control.http.operation import Call, Needs, Operation
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import still_holds
from reflex_control.plane import Plane
from reflex_control.store.tables import event, session

__all__ = ["EVENT_OPERATIONS"]

EVENT_STREAM: Final = "text/event-stream"
LOOK_EVERY_S: Final = 0.2
"""An end of a session is to be heard of within a second, also where another replica wrote it."""
LOOKS_PER_COMMENT: Final = 50
"""A comment every 10 s: who hears nothing for 30 s counts the stream as lost."""
MAX_AT_ONCE: Final = 500

LISTENER: Final = Needs(("read", "sessions"), any_robot=True)


def _listen(call: Call) -> Response:
    after = call.last_event_id
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    last = _last_seq(call)
    # A later place is one of another store's, of one before a backup was restored for example: it would come again.
    start = last if after is None else min(after, last)
    return StreamingResponse(_stream(call.plane, call.who, start), media_type=EVENT_STREAM, headers=headers)


def _last_seq(call: Call) -> int:
    with call.plane.reading() as connection:
        last = select(func.max(event.c.seq)).where(event.c.organisation_id == call.who.organisation_id)
        return int(connection.scalar(last) or 0)


async def _stream(plane: Plane, actor: Actor, after: int) -> AsyncIterator[bytes]:
    yield b"id: %d\n\n" % after
    looks = 0
    while not plane.ending.is_set():
        found = await run_in_threadpool(_news, plane, actor, after)
        if found is None:
            return
        for seq, text in found:
            after = seq
            yield text
        looks += 1
        if looks % LOOKS_PER_COMMENT == 0:
            yield b": alive\n\n"
        await asyncio.sleep(LOOK_EVERY_S)


def _news(plane: Plane, actor: Actor, after: int) -> list[tuple[int, bytes]] | None:
    """What came after that, with its place; None for a key that does not hold any more."""
    with plane.reading() as connection:
        if not still_holds(connection, actor.key_id, plane.clock()):
            return None
        wanted = select(event).where(event.c.organisation_id == actor.organisation_id, event.c.seq > after)
        rows = connection.execute(wanted.order_by(event.c.seq).limit(MAX_AT_ONCE)).all()
        own = None if actor.robot_id is None or not rows else _sessions_of(connection, actor.robot_id)
    return list(_lines(rows, own))


def _lines(rows: Iterable[Any], own: frozenset[str] | None) -> Iterable[tuple[int, bytes]]:
    """A robot hears of its own sessions alone, without its own heartbeats, and is told its place all the same."""
    for row in rows:
        place = b"id: %d\n" % row.seq
        if own is None or (row.kind == "session" and row.data.get("sessionId") in own):
            place += f"event: {row.kind}\ndata: {json.dumps(row.data)}\n".encode("ascii")
        yield row.seq, place + b"\n"


def _sessions_of(connection: Connection, robot_id: str) -> frozenset[str]:
    return frozenset(connection.scalars(select(session.c.id).where(session.c.robot_id == robot_id)))


EVENT_OPERATIONS: Final = (
    Operation("GET", "/v1/events", "What changes, as server-sent events", LISTENER, _listen, EVENT_STREAM),
)
