"""Events are forgotten after a day, and logins by a code when their time is over.

Whoever was away for longer than a day asks for what is, not for what happened.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select

from reflex_control.moments import DAY_MS
from reflex_control.plane import Plane
from reflex_control.store.tables import device_login, event

__all__ = ["forget_old_events", "forget_old_logins"]


def forget_old_events(plane: Plane) -> None:
    """Called once a second; writes only when there is something to forget.

    The newest one of all stays, however old: SQLite gives the place of the last row, once it is gone, to the next one,
    and whoever has heard up to there would not hear that.
    """
    before_ms = plane.clock() - DAY_MS
    with plane.reading() as connection:
        oldest = connection.scalars(select(event.c.created_at).order_by(event.c.seq).limit(2)).all()
    if len(oldest) == 2 and oldest[0] < before_ms:
        newest = select(func.max(event.c.seq)).scalar_subquery()
        with plane.database.writing() as connection:
            connection.execute(delete(event).where(event.c.created_at < before_ms, event.c.seq < newest))


def forget_old_logins(plane: Plane) -> None:
    """Called once a second; writes only when there is something to forget."""
    is_over = device_login.c.expires_at <= plane.clock()
    with plane.reading() as connection:
        found = connection.scalar(select(device_login.c.id).where(is_over).limit(1))
    if found is not None:
        with plane.database.writing() as connection:
            connection.execute(delete(device_login).where(is_over))
