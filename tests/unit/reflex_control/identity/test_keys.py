"""A key is accepted while it holds; what is not accepted gets one and the same refusal."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from reflex.api_keys import new_key
from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import (
    NewKey,
    authenticate,
    key_of,
    keys_of,
    make_key,
    recall,
    require_another_admin,
    revoke_key,
    rotate_key,
    said_of_rotation,
    whoami,
)
from reflex_control.plane import Plane
from reflex_control.receipting import Facts
from reflex_control.store.tables import api_key
from unit.reflex_control.conftest import Moment

HOUR_MS = 3_600_000


def new(plane: Plane, actor: Actor, expires_at: int | None = None) -> NewKey:
    with plane.database.writing() as connection:
        return make_key(connection, actor.organisation_id, "arm", ("read",), plane.clock(), expires_at=expires_at)


def rotated(plane: Plane, actor: Actor, key_id: str) -> NewKey:
    """With its receipt, as over HTTP."""
    with plane.writing(actor) as writing:
        row = key_of(writing.connection, actor.organisation_id, key_id)
        made = rotate_key(writing.connection, row, HOUR_MS, writing.now_ms)
        writing.receipt("key_rotated", Facts(reason=said_of_rotation(row, made)))
    return made


def accepted(plane: Plane, secret: str | None) -> Actor | str:
    try:
        return authenticate(plane.database, None if secret is None else secret.encode(), plane.clock())
    except ServiceError as refused:
        return f"{refused.status} {refused}"


def test_a_key_is_known_by_its_secret_which_is_stored_nowhere(plane: Plane, actor: Actor) -> None:
    key = new(plane, actor)

    assert accepted(plane, key.secret) == Actor(key.id, "arm", actor.organisation_id, frozenset({"read"}))
    with plane.reading() as connection:
        stored = connection.execute(select(api_key).where(api_key.c.id == key.id)).one()
    assert key.secret not in repr(stored)
    assert key.secret.removeprefix("rfx_") not in repr(stored)


def test_all_that_are_not_accepted_get_the_same_refusal(plane: Plane, actor: Actor) -> None:
    revoked, expired = new(plane, actor), new(plane, actor, expires_at=plane.clock())
    with plane.database.writing() as connection:
        assert revoke_key(connection, revoked.id, plane.clock())
        assert not revoke_key(connection, revoked.id, plane.clock())

    secrets = [None, "", "rfx_short", new_key(), "x" * 10_000, revoked.secret, expired.secret]
    refusals = {accepted(plane, secret) for secret in secrets}

    assert len(refusals) == 1
    assert str(refusals.pop()).startswith("401 ")


def test_a_rotated_key_works_on_for_the_overlap_and_no_longer(plane: Plane, actor: Actor, moment: Moment) -> None:
    old = new(plane, actor)
    with plane.database.writing() as connection:
        row = key_of(connection, actor.organisation_id, old.id)
        fresh = rotate_key(connection, row, HOUR_MS, plane.clock())

    moment.now_ms += HOUR_MS - 1
    assert isinstance(accepted(plane, old.secret), Actor)
    moment.now_ms += 1
    assert isinstance(accepted(plane, old.secret), str)
    assert isinstance(accepted(plane, fresh.secret), Actor)


def test_rotation_makes_no_key_live_longer_and_revives_none(plane: Plane, actor: Actor, moment: Moment) -> None:
    old = new(plane, actor, expires_at=plane.clock() + 1000)
    with plane.database.writing() as connection:
        fresh = rotate_key(connection, key_of(connection, actor.organisation_id, old.id), HOUR_MS, plane.clock())

    moment.now_ms += 1000
    assert isinstance(accepted(plane, old.secret), str)
    assert isinstance(accepted(plane, fresh.secret), str)
    with plane.database.writing() as connection, pytest.raises(ServiceError, match="wrong_state"):
        rotate_key(connection, key_of(connection, actor.organisation_id, old.id), HOUR_MS, plane.clock())


def test_a_key_is_rotated_once_for_a_second_one_would_end_with_it(plane: Plane, actor: Actor, moment: Moment) -> None:
    old = new(plane, actor)
    other = rotated(plane, actor, new(plane, actor).id)
    fresh = rotated(plane, actor, old.id)

    with pytest.raises(ServiceError, match=rf"wrong_state: .* in its place, {fresh.id}, or .* reflex keys create "):
        rotated(plane, actor, old.id)
    chain = [fresh, rotated(plane, actor, fresh.id), rotated(plane, actor, other.id)]
    moment.now_ms += HOUR_MS
    assert [isinstance(accepted(plane, key.secret), Actor) for key in chain] == [False, True, True]


def test_a_key_with_an_end_of_its_own_is_rotated_until_then(plane: Plane, actor: Actor, moment: Moment) -> None:
    ends = plane.clock() + 9 * HOUR_MS
    old = new(plane, actor, expires_at=ends)
    fresh = rotated(plane, actor, rotated(plane, actor, old.id).id)

    moment.now_ms = ends - 1
    assert [isinstance(accepted(plane, key.secret), Actor) for key in (old, fresh)] == [False, True]


def test_another_organisations_key_is_not_found(plane: Plane, actor: Actor, stranger: Actor) -> None:
    with plane.reading() as connection:
        with pytest.raises(ServiceError) as refused:
            key_of(connection, stranger.organisation_id, actor.key_id)
        listed = keys_of(connection, stranger.organisation_id)

    assert refused.value.status == 404
    assert [key["id"] for key in listed] == [stranger.key_id]


def test_the_holder_of_a_key_is_told_whose_it_is_and_when_it_was_used(plane: Plane, actor: Actor) -> None:
    key = new(plane, actor)
    holder = accepted(plane, key.secret)
    assert isinstance(holder, Actor)

    with plane.reading() as connection:
        told = whoami(connection, holder)

    assert told["organisation"] == {"id": actor.organisation_id, "name": "Tests"}
    assert (told["key"]["kind"], told["key"]["scopes"]) == ("operator", ["read"])
    assert told["key"]["lastUsedAt"] == "2023-11-14T22:13:20.000Z"


def admin(plane: Plane, actor: Actor, expires_at: int | None = None) -> str:
    with plane.database.writing() as connection:
        return make_key(connection, actor.organisation_id, "a", ("admin",), plane.clock(), expires_at=expires_at).id


def is_refused(plane: Plane, actor: Actor, key_id: str) -> bool:
    with plane.writing(actor) as writing:
        row = key_of(writing.connection, actor.organisation_id, key_id)
        try:
            require_another_admin(writing.connection, row, writing.now_ms)
        except ServiceError as refused:
            assert "reflex keys create" in refused.message  # noqa: PT017 - both outcomes are right, each in its place
            return True
    return False


def test_the_last_admin_key_stays_and_any_other_key_goes(plane: Plane, actor: Actor, stranger: Actor) -> None:
    admin(plane, stranger)
    reader = new(plane, actor)

    assert is_refused(plane, actor, actor.key_id)
    assert not is_refused(plane, actor, reader.id)
    second = admin(plane, actor)
    assert not is_refused(plane, actor, actor.key_id)
    with plane.database.writing() as connection:
        revoke_key(connection, second, plane.clock())
    assert is_refused(plane, actor, actor.key_id)
    assert not is_refused(plane, actor, second)


def test_an_admin_key_that_expires_is_no_successor_of_one_that_does_not(plane: Plane, actor: Actor) -> None:
    expiring = admin(plane, actor, plane.clock() + HOUR_MS)

    assert is_refused(plane, actor, actor.key_id)
    assert not is_refused(plane, actor, expiring)


def test_of_admin_keys_that_all_expire_the_last_stays(plane: Plane, actor: Actor, moment: Moment) -> None:
    first, second = admin(plane, actor, plane.clock() + HOUR_MS), admin(plane, actor, plane.clock() + 2 * HOUR_MS)
    with plane.database.writing() as connection:
        revoke_key(connection, actor.key_id, plane.clock())
    holder = Actor(second, "a", actor.organisation_id, frozenset({"admin"}))

    assert not is_refused(plane, holder, second)
    moment.now_ms += HOUR_MS
    assert is_refused(plane, holder, second)
    assert not is_refused(plane, holder, first)


def test_a_rotated_admin_key_leaves_one_that_lasts(plane: Plane, actor: Actor) -> None:
    with plane.writing(actor) as writing:
        row = key_of(writing.connection, actor.organisation_id, actor.key_id)
        rotate_key(writing.connection, row, HOUR_MS, writing.now_ms)

    assert not is_refused(plane, actor, actor.key_id)


def test_whoever_was_accepted_is_recalled_by_its_key_while_that_holds(
    plane: Plane, actor: Actor, moment: Moment
) -> None:
    key, brief = new(plane, actor), new(plane, actor, expires_at=plane.clock() + 1)

    assert recall(plane.database, key.id, plane.clock()) == accepted(plane, key.secret)
    assert recall(plane.database, brief.id, plane.clock()) == accepted(plane, brief.secret)
    moment.now_ms += 1
    with plane.database.writing() as connection:
        revoke_key(connection, key.id, plane.clock())
    for key_id in (key.id, brief.id, "key_none", key.secret):
        with pytest.raises(ServiceError) as refused:
            recall(plane.database, key_id, plane.clock())
        assert refused.value.status == 401
