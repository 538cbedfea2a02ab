"""The same Idempotency-Key and body give the same answer for a day, and another body a refusal."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from sqlalchemy import select

from reflex.errors import ServiceError
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.keys import make_key
from reflex_control.moments import DAY_MS
from reflex_control.plane import Plane
from reflex_control.repeating import IDEMPOTENCY_KEY, Repetition
from reflex_control.store.tables import repeatable
from unit.reflex_control.conftest import Moment

SAME = Repetition("one-key", "POST /v1/keys", b"{}")


class Maker:
    """Makes something else each time."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._numbers = itertools.count()

    def __call__(self, actor: Actor, repetition: Repetition | None) -> object:
        made = self._plane.create(actor, repetition, lambda _writing: {"secret": f"rfx_{next(self._numbers)}"})
        return made["secret"]


@pytest.fixture
def make(plane: Plane) -> Maker:
    return Maker(plane)


def test_a_repeated_request_gets_the_first_answer_for_a_day(make: Maker, actor: Actor, moment: Moment) -> None:
    assert [make(actor, SAME), make(actor, SAME)] == ["rfx_0", "rfx_0"]
    moment.now_ms += DAY_MS - 1
    assert make(actor, SAME) == "rfx_0"
    moment.now_ms += 1
    assert make(actor, SAME) == "rfx_1"


def test_another_key_another_route_and_another_sender_are_other_requests(
    make: Maker, plane: Plane, actor: Actor, stranger: Actor
) -> None:
    with plane.writing(actor) as writing:
        other = make_key(writing.connection, actor.organisation_id, "other", SCOPES, writing.now_ms)
    asked = [(actor, SAME), (actor, replace(SAME, key="two")), (actor, replace(SAME, route="POST /v1/robots")),
             (stranger, SAME), (replace(actor, key_id=other.id), SAME), (actor, None), (actor, None)]  # fmt: skip

    answers = [make(who, repetition) for who, repetition in asked]

    assert len(set(answers)) == len(asked)


def test_the_same_key_with_another_body_is_refused(make: Maker, actor: Actor) -> None:
    make(actor, SAME)

    with pytest.raises(ServiceError) as refused:
        make(actor, replace(SAME, body=b'{"name":"other"}'))

    assert (refused.value.status, refused.value.code) == (409, "idempotency_mismatch")


def test_who_reads_the_store_learns_no_answer(make: Maker, plane: Plane, actor: Actor) -> None:
    make(actor, SAME)

    with plane.reading() as connection:
        stored = connection.execute(select(repeatable)).one()

    assert b"rfx_" not in stored.answer
    assert b"one-key" not in stored.digest + stored.answer


@pytest.mark.parametrize("wrong", ["", "a b", "ä", "x" * 256, "a\n"])
def test_a_key_is_printable_ascii_without_spaces(wrong: str) -> None:
    assert not IDEMPOTENCY_KEY.fullmatch(wrong)
