"""A pairing token is claimed once, in its time, by whoever has it; and gives that robot's key."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import authenticate
from reflex_control.identity.pairing import Claimed, claim_token, make_token, owner_of_token
from reflex_control.plane import Plane
from reflex_control.store.tables import pairing_token
from support.control.racing import raced
from unit.reflex_control.conftest import Moment
from unit.reflex_control.scene import a_robot

TTL_S = 60
CLAIMANTS = 8


def new_token(plane: Plane, actor: Actor, robot_id: str) -> str:
    with plane.writing(actor) as writing:
        told, expires_at = make_token(writing.connection, actor.organisation_id, robot_id, TTL_S, plane.clock())
    assert expires_at == plane.clock() + TTL_S * 1000
    return str(told["token"])


def claimed(plane: Plane, actor: Actor, token: str) -> Claimed:
    with plane.writing(actor) as writing:
        return claim_token(writing.connection, token, plane.clock())


@pytest.mark.slow
def test_a_claimed_token_gives_a_key_of_that_robot_without_any_scope(plane: Plane, actor: Actor) -> None:
    robot_id = a_robot(plane, actor)
    claim = claimed(plane, actor, new_token(plane, actor, robot_id))

    holder = authenticate(plane.database, claim.key.secret.encode(), plane.clock())

    assert (holder.robot_id, holder.scopes, claim.robot.id) == (robot_id, frozenset(), robot_id)


@pytest.mark.slow
def test_of_many_claims_at_once_one_wins(plane: Plane, actor: Actor) -> None:
    token = new_token(plane, actor, a_robot(plane, actor))

    robots, refused = raced(lambda: claimed(plane, actor, token), CLAIMANTS)

    assert [robot.key.id[:4] for robot in robots] == ["key_"]
    assert refused == ["unauthorized"] * (CLAIMANTS - 1)


def test_a_token_that_has_expired_or_never_was_is_refused_alike(plane: Plane, actor: Actor, moment: Moment) -> None:
    token = new_token(plane, actor, a_robot(plane, actor))
    moment.now_ms += TTL_S * 1000

    refusals = set()
    for wrong in (token, "rfx_pair_unknown", "", "\ud800"):
        with pytest.raises(ServiceError) as refused:
            claimed(plane, actor, wrong)
        refusals.add((refused.value.status, refused.value.message))

    assert len(refusals) == 1


def test_the_token_is_stored_nowhere_and_tells_whose_it_is(plane: Plane, actor: Actor) -> None:
    token = new_token(plane, actor, a_robot(plane, actor))

    with plane.reading() as connection:
        stored = repr(connection.execute(select(pairing_token)).one())
        assert owner_of_token(connection, token) == actor.organisation_id
        assert owner_of_token(connection, "rfx_pair_unknown") is None

    assert token.removeprefix("rfx_pair_") not in stored
