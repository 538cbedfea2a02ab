"""No scope implies another, and a robot's key is good for that robot alone."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex_control.identity.actor import SCOPES, Actor, Scope, check_scopes


def actor_with(*scopes: Scope, robot_id: str | None = None) -> Actor:
    return Actor("key_1", "name", "org_1", frozenset(scopes), robot_id)


@pytest.mark.parametrize("wanted", SCOPES)
def test_every_other_scope_together_does_not_imply_one(wanted: Scope) -> None:
    others = actor_with(*(scope for scope in SCOPES if scope != wanted))

    with pytest.raises(ServiceError) as refused:
        others.require(wanted)

    assert (refused.value.status, refused.value.context) == (403, {"scope": wanted})
    actor_with(wanted).require(wanted)


def test_one_of_several_scopes_will_do() -> None:
    actor_with("sessions").require("write", "sessions")


def test_a_robots_key_speaks_for_that_robot_and_finds_no_other() -> None:
    robot = actor_with(robot_id="robot_1")
    robot.require_robot("robot_1", "sessions")

    with pytest.raises(ServiceError) as refused:
        robot.require_robot("robot_2", "sessions")

    assert refused.value.status == 404


def test_scopes_are_given_in_their_order_and_only_by_who_has_them() -> None:
    assert check_scopes(["admin", "read", "read"], actor_with(*SCOPES)) == ["read", "admin"]
    with pytest.raises(ServiceError) as refused:
        check_scopes(["read", "promote"], actor_with("read", "admin"))
    assert (refused.value.status, refused.value.context["scope"]) == (403, "promote")


@pytest.mark.parametrize("wrong", [[], ["fly"], ["read", "Read"]])
def test_a_scope_that_does_not_exist_is_refused(wrong: list[str]) -> None:
    with pytest.raises(ServiceError) as refused:
        check_scopes(wrong, actor_with(*SCOPES))

    assert refused.value.code == "invalid_value"
