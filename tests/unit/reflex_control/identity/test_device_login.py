"""A login by a code gives one key to whoever began it, after one confirmation, within ten minutes."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from reflex.errors import ServiceError
from reflex_control.identity import device_login
from reflex_control.identity.actor import Actor
from reflex_control.identity.device_login import LIFE_MS, Started
from reflex_control.plane import Plane
from reflex_control.store.tables import device_login as table
from support.control.racing import raced
from unit.reflex_control.conftest import Moment

TAKERS = 8


def started(plane: Plane) -> Started:
    with plane.database.writing() as connection:
        return device_login.start(connection, "reflex on arm", plane.clock())


def confirmed(plane: Plane, actor: Actor, code: str) -> str:
    with plane.writing(actor) as writing:
        found = device_login.confirm(
            writing.connection, actor.organisation_id, actor.key_id, code, ["read"], plane.clock()
        )
    return str(found.id)


def refusal(plane: Plane, device_code: str) -> str:
    with plane.reading() as connection, pytest.raises(ServiceError) as refused:
        device_login.ask(connection, device_code, plane.clock())
    return f"{refused.value.code}: {refused.value.message}"


def test_the_code_for_people_has_no_vowel_and_nothing_that_is_mistaken_for_another(plane: Plane) -> None:
    codes = {started(plane).user_code for _ in range(20)}

    assert len(codes) == 20
    assert all(re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", code) for code in codes)


def test_neither_the_machines_secret_nor_a_part_of_it_is_stored(plane: Plane) -> None:
    begun = started(plane)

    with plane.reading() as connection:
        assert begun.device_code.removeprefix("rfx_login_") not in repr(connection.execute(select(table)).one())


@pytest.mark.parametrize(
    "written", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code[:2]} {code[2:]}\t"]
)
def test_a_code_is_the_same_however_a_person_writes_it(plane: Plane, actor: Actor, written: object) -> None:
    begun = started(plane)

    confirmed(plane, actor, written(begun.user_code))  # type: ignore[operator]

    with plane.reading() as connection:
        assert device_login.ask(connection, begun.device_code, plane.clock()).scopes == ["read"]


def test_a_code_is_confirmed_once(plane: Plane, actor: Actor, stranger: Actor) -> None:
    begun = started(plane)
    confirmed(plane, actor, begun.user_code)

    for other in (stranger, actor):
        with pytest.raises(ServiceError, match="no login of this code waits"):
            confirmed(plane, other, begun.user_code)
    with plane.reading() as connection:
        assert device_login.ask(connection, begun.device_code, plane.clock()).organisation_id == actor.organisation_id


def test_of_many_that_take_one_gets_it(plane: Plane, actor: Actor) -> None:
    begun = started(plane)
    login_id = confirmed(plane, actor, begun.user_code)

    def take() -> None:
        with plane.writing(actor) as writing:
            device_login.take(writing.connection, login_id, plane.clock())

    taken, refused = raced(take, TAKERS)

    assert (len(taken), refused) == (1, ["login_ended"] * (TAKERS - 1))


def test_one_that_waits_gives_nothing_to_take(plane: Plane, actor: Actor) -> None:
    begun = started(plane)
    with plane.reading() as connection:
        waiting = device_login.ask(connection, begun.device_code, plane.clock())
        assert device_login.find_waiting(connection, begun.user_code, plane.clock()).id == waiting.id

    with plane.writing(actor) as writing, pytest.raises(ServiceError, match="was taken already"):
        device_login.take(writing.connection, waiting.id, plane.clock())


def test_after_ten_minutes_it_is_as_if_it_had_never_been(plane: Plane, actor: Actor, moment: Moment) -> None:
    late, in_time = started(plane), started(plane)
    login_id = confirmed(plane, actor, in_time.user_code)
    moment.now_ms += LIFE_MS - 1
    with plane.reading() as connection:
        assert device_login.ask(connection, late.device_code, plane.clock())
    moment.now_ms += 1

    unknown = refusal(plane, "rfx_login_unknown")
    assert [refusal(plane, each) for each in (late.device_code, in_time.device_code, "\ud800")] == [unknown] * 3
    with pytest.raises(ServiceError, match="no login of this code waits"):
        confirmed(plane, actor, late.user_code)
    with plane.writing(actor) as writing, pytest.raises(ServiceError, match="has expired"):
        device_login.take(writing.connection, login_id, plane.clock())


def test_who_was_refused_is_told(plane: Plane, actor: Actor) -> None:
    begun = started(plane)
    with plane.writing(actor) as writing:
        device_login.refuse(writing.connection, actor.organisation_id, actor.key_id, begun.user_code, plane.clock())

    assert refusal(plane, begun.device_code).startswith("login_refused: ")
    with pytest.raises(ServiceError, match="no login of this code waits"):
        confirmed(plane, actor, begun.user_code)


def test_one_that_was_withdrawn_cannot_be_confirmed(plane: Plane, actor: Actor) -> None:
    begun, other = started(plane), started(plane)
    with plane.database.writing() as connection:
        device_login.withdraw(connection, begun.device_code)

    assert refusal(plane, begun.device_code).startswith("login_ended: ")
    with pytest.raises(ServiceError, match="no login of this code waits"):
        confirmed(plane, actor, begun.user_code)
    assert confirmed(plane, actor, other.user_code)


def test_so_many_may_wait_and_no_more(plane: Plane, moment: Moment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_login, "MAX_WAITING", 2)
    started(plane)
    started(plane)
    with pytest.raises(ServiceError, match="too many logins wait") as refused:
        started(plane)
    assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", 60)

    moment.now_ms += LIFE_MS
    assert started(plane).user_code
