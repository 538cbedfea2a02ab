"""The heartbeats of a session, as those who listened heard them; they are kept as long as events are."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, select

from reflex_control.store.tables import event

__all__ = ["MAX_HEARTBEATS", "heartbeats_of"]

MAX_HEARTBEATS: Final = 180
"""Half an hour of them, one every 10 s."""


def heartbeats_of(connection: Connection, organisation_id: str, session_id: str) -> list[dict[str, Any]]:
    """The newest ones, oldest first."""
    wanted = select(event.c.data).where(
        event.c.organisation_id == organisation_id,
        event.c.kind == "heartbeat",
        event.c.data["sessionId"].as_string() == session_id,
    )
    found = connection.scalars(wanted.order_by(event.c.seq.desc()).limit(MAX_HEARTBEATS)).all()
    return list(reversed(found))
