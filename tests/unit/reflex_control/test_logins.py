"""Logins by a code as the server does them: within limits, on the record, and never more than the confirmer has."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from reflex.errors import ServiceError, service_error
from reflex_control import logins
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.identity.keys import authenticate, revoke_key
from reflex_control.identity.login_limits import INTERVAL_S, LoginLimits
from reflex_control.logins import (
    confirm_login,
    refuse_login,
    show_login,
    start_login,
    take_login,
    withdraw_login,
)
from reflex_control.plane import Plane
from reflex_control.receipting import receipts_of
from reflex_control.store.database import Database
from reflex_control.store.tables import api_key
from support.clock import Clock, clock
from unit.reflex_control.conftest import Moment

__all__ = ["clock"]


@pytest.fixture
def plane(database: Database, moment: Moment, clock: Clock) -> Plane:
    return Plane(database, moment, logins=LoginLimits(clock))


def start(plane: Plane, name: str | None = "reflex on arm") -> dict[str, Any]:
    return start_login(plane, name, "192.0.2.1")


def refused(plane: Plane, device_code: str) -> str:
    with pytest.raises(ServiceError) as found:
        take_login(plane, device_code)
    return found.value.code


def written(plane: Plane, actor: Actor) -> list[tuple[str, str]]:
    with plane.reading() as connection:
        return [(each["kind"], each["actor"]["keyId"]) for each in receipts_of(connection, actor.organisation_id)]


def test_the_key_has_the_scopes_that_were_confirmed_and_both_steps_a_receipt(plane: Plane, actor: Actor) -> None:
    begun = start(plane)
    assert confirm_login(plane, actor, begun["userCode"], ["promote", "read"])["scopes"] == ["read", "promote"]

    taken = take_login(plane, begun["deviceCode"])
    holder = authenticate(plane.database, taken["key"].encode(), plane.clock())

    assert (holder.scopes, holder.organisation_id) == (frozenset({"read", "promote"}), actor.organisation_id)
    assert holder.key_name == "reflex on arm"
    assert written(plane, actor) == [("login_confirmed", actor.key_id), ("key_created", actor.key_id)]


def test_it_is_asked_for_no_sooner_than_its_interval(plane: Plane, actor: Actor, clock: Clock) -> None:
    begun = start(plane)
    assert [refused(plane, begun["deviceCode"]) for _ in range(2)] == ["login_pending", "rate_limited"]
    confirm_login(plane, actor, begun["userCode"])
    assert refused(plane, begun["deviceCode"]) == "rate_limited"

    clock.now_s += INTERVAL_S
    assert take_login(plane, begun["deviceCode"])["key"].startswith("rfx_")
    assert refused(plane, begun["deviceCode"]) == "login_ended"


def test_an_admin_is_shown_what_it_would_confirm(plane: Plane, actor: Actor) -> None:
    begun = start(plane)

    shown = show_login(plane, actor, begun["userCode"])

    assert (shown["clientName"], shown["status"], shown["scopes"]) == ("reflex on arm", "waiting", [])
    assert "deviceCode" not in shown
    with pytest.raises(ServiceError, match="no login of this code waits"):
        show_login(plane, actor, "BBBB-BBBB")


@pytest.mark.parametrize("ask", [show_login, confirm_login, refuse_login])
def test_whatever_looks_for_a_code_is_for_admins_and_counts_wrong_ones(plane: Plane, actor: Actor, ask: Any) -> None:
    begun, reader = start(plane), Actor(actor.key_id, "r", actor.organisation_id, frozenset(SCOPES) - {"admin"})
    with pytest.raises(ServiceError, match="no scope admin"):
        ask(plane, reader, begun["userCode"])
    codes = []
    for _ in range(6):
        with pytest.raises(ServiceError) as found:
            ask(plane, actor, "BBBB-BBBB")
        codes.append(found.value.code)
    assert codes == ["not_found"] * 5 + ["rate_limited"]
    with pytest.raises(ServiceError, match="too many wrong codes"):
        ask(plane, actor, begun["userCode"])


def test_without_scopes_all_are_granted_but_those_that_must_be_named(plane: Plane, actor: Actor) -> None:
    assert confirm_login(plane, actor, start(plane)["userCode"])["scopes"] == ["read", "write", "sessions", "train"]

    only_admin = Actor(actor.key_id, "admin", actor.organisation_id, frozenset({"admin"}))
    with pytest.raises(ServiceError, match="scopes takes at least one of"):
        confirm_login(plane, only_admin, start(plane)["userCode"])


def test_a_confirmer_whose_key_was_taken_back_gave_nothing(plane: Plane, actor: Actor) -> None:
    begun = start(plane)
    confirm_login(plane, actor, begun["userCode"])
    with plane.database.writing() as connection:
        revoke_key(connection, actor.key_id, plane.clock())

    assert refused(plane, begun["deviceCode"]) == "login_ended"
    with plane.reading() as connection:
        assert connection.scalars(select(api_key.c.name)).all() == ["everything"]


@pytest.mark.parametrize("code", ["store_unavailable", "rate_limited"])
def test_trouble_of_the_server_ends_no_login(
    plane: Plane, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def fail(*_: object, **_more: object) -> None:
        raise service_error(code, "not now", retry_after_s=1.0)

    begun = start(plane)
    confirm_login(plane, actor, begun["userCode"])
    with monkeypatch.context() as patch:
        patch.setattr(logins, "make_key", fail)
        assert refused(plane, begun["deviceCode"]) == code

    clock.now_s += INTERVAL_S
    assert take_login(plane, begun["deviceCode"])["key"].startswith("rfx_")


def test_a_login_that_was_refused_or_withdrawn_makes_no_key(plane: Plane, actor: Actor) -> None:
    first, second = start(plane), start(plane, None)
    assert refuse_login(plane, actor, first["userCode"])["status"] == "refused"
    withdraw_login(plane, second["deviceCode"])

    assert [refused(plane, each["deviceCode"]) for each in (first, second)] == ["login_refused", "login_ended"]
    assert written(plane, actor) == [("login_refused", actor.key_id)]


def test_one_address_begins_only_so_many(plane: Plane) -> None:
    for _ in range(20):
        start(plane)
    with pytest.raises(ServiceError, match="too many logins were begun"):
        start(plane)
    start_login(plane, None, "192.0.2.2")


def test_a_key_that_was_on_its_way_to_who_stopped_waiting_is_taken_back(plane: Plane, actor: Actor) -> None:
    begun = start(plane)
    confirm_login(plane, actor, begun["userCode"])
    key = take_login(plane, begun["deviceCode"])["key"].encode()

    for _ in range(2):
        withdraw_login(plane, begun["deviceCode"])

    with pytest.raises(ServiceError):
        authenticate(plane.database, key, plane.clock())
    assert [kind for kind, _ in written(plane, actor)] == ["login_confirmed", "key_created", "key_revoked"]


def test_a_key_that_is_in_use_is_not_taken_back_by_its_login(plane: Plane, actor: Actor) -> None:
    begun = start(plane)
    confirm_login(plane, actor, begun["userCode"])
    key = take_login(plane, begun["deviceCode"])["key"].encode()
    authenticate(plane.database, key, plane.clock())

    withdraw_login(plane, begun["deviceCode"])

    assert authenticate(plane.database, key, plane.clock()).key_name == "reflex on arm"
