"""A write is one transaction: its facts and receipts together, and whoever listens is told afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from reflex.errors import ServiceError, UnauthorizedError, service_error
from reflex_control.feed import Feed
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import revoke_key
from reflex_control.plane import Plane
from reflex_control.receipting import Facts, receipts_of
from reflex_control.sessions.life import system_of
from reflex_control.store.tables import event


def kinds(plane: Plane, actor: Actor) -> list[str]:
    with plane.reading() as connection:
        return [receipt["kind"] for receipt in receipts_of(connection, actor.organisation_id)]


def test_a_refusal_on_the_record_keeps_its_receipt_and_is_raised(plane: Plane, actor: Actor) -> None:
    error = service_error("wrong_state", "no")

    with pytest.raises(ServiceError) as refused, plane.writing(actor) as writing:
        writing.refuse(error, "refused", Facts())

    assert refused.value is error
    assert kinds(plane, actor) == ["refused"]


def test_every_other_error_undoes_all(plane: Plane, actor: Actor) -> None:
    def fail() -> None:
        with plane.writing(actor) as writing:
            writing.receipt("done", Facts())
            raise service_error("wrong_state", "no")

    with pytest.raises(ServiceError):
        fail()

    assert kinds(plane, actor) == []


def test_listeners_are_woken_after_the_commit_and_find_what_was_told(plane: Plane, actor: Actor) -> None:
    found: list[object] = []

    class Listening(Feed):
        def wake(self) -> None:
            with plane.reading() as connection:
                found.extend(connection.execute(select(event.c.kind, event.c.data)).all())

    listening = replace(plane, feed=Listening())
    with listening.writing(actor) as writing:
        writing.tell("session", {"status": "closed"})
        assert found == []
    assert found == [("session", {"status": "closed"})]

    with listening.writing(actor) as writing:
        writing.receipt("of no interest", Facts())
    assert len(found) == 1


def test_a_key_that_was_taken_back_since_it_was_looked_at_writes_nothing(plane: Plane, actor: Actor) -> None:
    with plane.writing(actor) as writing:
        revoke_key(writing.connection, actor.key_id, writing.now_ms)
        writing.receipt("key_revoked", Facts())

    with pytest.raises(UnauthorizedError), plane.writing(actor):
        raise AssertionError("it may write")

    assert kinds(plane, actor) == ["key_revoked"]


def test_what_nobody_asked_for_needs_no_key(plane: Plane, actor: Actor) -> None:
    with plane.writing(system_of(actor.organisation_id)) as writing:
        writing.receipt("swept", Facts())

    assert kinds(plane, actor) == ["swept"]
