"""What is looked after by itself: what is old is forgotten, and a store that failed is tried again.

Events are forgotten after a day: whoever was away for longer asks for what is, not for what happened. Answers that were
kept to be repeated are, too, and logins by a code when their time is over.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select, update

from reflex_control.moments import DAY_MS
from reflex_control.plane import Plane
from reflex_control.store.tables import device_login, event, organisation, repeatable

__all__ = ["forget_old_answers", "forget_old_events", "forget_old_logins", "try_to_write"]


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


def forget_old_answers(plane: Plane) -> None:
    """Those that are not repeated any more. Called once a second; writes only when there is something to forget."""
    is_old = repeatable.c.created_at <= plane.clock() - DAY_MS
    with plane.reading() as connection:
        found = connection.scalar(select(repeatable.c.created_at).where(is_old).limit(1))
    if found is not None:
        with plane.database.writing() as connection:
            connection.execute(delete(repeatable).where(is_old))


def try_to_write(plane: Plane) -> None:
    """Whether a store that failed is well again, where nobody else writes: /health tells of it."""
    if plane.database.write_problem is not None:
        with plane.database.writing() as connection:
            connection.execute(update(organisation).values(name=organisation.c.name))
