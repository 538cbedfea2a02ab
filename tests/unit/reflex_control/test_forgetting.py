"""What happened is kept for a day, and a place in it never comes back."""

from __future__ import annotations

import pytest
from sqlalchemy import event as sql_events
from sqlalchemy import select

from reflex_control.forgetting import forget_old_answers, forget_old_events, forget_old_logins, try_to_write
from reflex_control.identity import device_login
from reflex_control.identity.actor import Actor
from reflex_control.moments import DAY_MS
from reflex_control.plane import Plane
from reflex_control.repeating import Repetition
from reflex_control.store.tables import device_login as login_table
from reflex_control.store.tables import event, repeatable
from unit.reflex_control.conftest import Moment


def tell(plane: Plane, actor: Actor, what: str) -> None:
    with plane.writing(actor) as writing:
        writing.tell("session", {"what": what})


def kept(plane: Plane) -> dict[str, int]:
    with plane.reading() as connection:
        return {row.data["what"]: row.seq for row in connection.execute(select(event).order_by(event.c.seq))}


def test_events_are_forgotten_after_a_day_though_no_session_is_due(
    plane: Plane, actor: Actor, stranger: Actor, moment: Moment
) -> None:
    tell(plane, actor, "old")
    tell(plane, stranger, "old, of another")
    moment.now_ms += DAY_MS
    forget_old_events(plane)
    assert list(kept(plane)) == ["old", "old, of another"]

    tell(plane, actor, "new")
    moment.now_ms += 1
    forget_old_events(plane)
    assert list(kept(plane)) == ["new"]


def test_the_next_event_has_a_later_place_than_any_before(plane: Plane, actor: Actor, moment: Moment) -> None:
    tell(plane, actor, "first")
    tell(plane, actor, "second")
    place = kept(plane)["second"]
    moment.now_ms += 2 * DAY_MS
    forget_old_events(plane)

    tell(plane, actor, "third")
    assert kept(plane)["third"] > place


def test_answers_are_forgotten_when_they_are_not_repeated_any_more(plane: Plane, actor: Actor, moment: Moment) -> None:
    def answers() -> int:
        forget_old_answers(plane)
        with plane.reading() as connection:
            return len(connection.execute(select(repeatable.c.digest)).all())

    plane.create(actor, Repetition("one-key", "POST /v1/keys", b"{}"), lambda _writing: {})
    moment.now_ms += DAY_MS - 1
    assert answers() == 1
    moment.now_ms += 1
    assert answers() == 0


@pytest.mark.usefixtures("actor")
def test_a_store_that_failed_is_tried_until_it_is_well(plane: Plane) -> None:
    plane.database.write_problem = "full"
    try_to_write(plane)
    assert plane.database.write_problem is None


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_written_when_there_is_nothing_to_forget(
    plane: Plane, actor: Actor, moment: Moment, count: int
) -> None:
    for _ in range(count):
        tell(plane, actor, "only")
    moment.now_ms += 2 * DAY_MS
    said: list[str] = []
    sql_events.listen(plane.database.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    forget_old_events(plane)
    forget_old_answers(plane)
    try_to_write(plane)
    assert not [statement for statement in said if statement.startswith(("DELETE", "UPDATE"))]


def test_a_login_is_forgotten_when_its_time_is_over_and_not_before(plane: Plane, moment: Moment) -> None:
    def begin() -> str:
        with plane.database.writing() as connection:
            return device_login.start(connection, None, plane.clock()).user_code

    def left() -> list[str]:
        forget_old_logins(plane)
        with plane.reading() as connection:
            return list(connection.scalars(select(login_table.c.user_code)))

    begin()
    moment.now_ms += 1
    second = begin()
    moment.now_ms += device_login.LIFE_MS - 1
    assert left() == [second]
    moment.now_ms += 1
    assert left() == []
