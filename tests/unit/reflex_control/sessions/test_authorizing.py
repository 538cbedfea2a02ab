"""Who may drive: one driver at a time, in dry_run, under a credential that anybody can check."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from reflex.errors import InvalidRequestError, ServiceError, UnauthorizedError
from reflex.signed.session_credential import read
from reflex_control.registry.models import revoke_model
from reflex_control.registry.robots import revoke_robot
from reflex_control.signing_keys import keyset
from reflex_control.store.tables import robot, robot_schema
from support.control.racing import raced
from unit.reflex_control.sessions.session_scene import HASH, Scene

RACERS = 16


def test_a_grant_says_what_the_robot_may_and_its_credential_says_the_same(scene: Scene) -> None:
    grant = scene.authorize()

    with scene.plane.reading() as connection:
        claims = read(grant["credential"], keyset(connection), scene.at_ms)
    assert (claims.session_id, claims.robot_id, claims.mode) == (grant["sessionId"], "robot_1", "dry_run")
    assert (claims.model_hash, claims.limits_hash) == (HASH, HASH)
    assert claims.expires_at_ms - claims.issued_at_ms == 120_000
    assert grant["actUrl"] == "http://127.0.0.1:8000"
    assert scene.kinds() == ["session_authorized"]
    assert scene.told() == [
        {"sessionId": grant["sessionId"], "robotId": "robot_1", "status": "dry_run", "mode": "dry_run", "reason": None}
    ]


def test_a_robot_that_is_driven_is_busy_and_its_holder_is_named(scene: Scene) -> None:
    held = scene.authorize()

    with pytest.raises(ServiceError) as refused:
        scene.authorize(scene.actor("other", "sessions"))

    assert refused.value.code == "robot_busy"
    assert refused.value.context == {"sessionId": held["sessionId"], "holder": "operator", "mode": "dry_run"}
    assert scene.authorize(robot_id="robot_2")["robotId"] == "robot_2"


def test_a_take_over_ends_the_old_session_first_and_both_are_on_the_record(scene: Scene) -> None:
    old = scene.authorize()
    new = scene.authorize(scene.actor("other", "sessions"), take_over_reason="shift ends")

    assert scene.session(old["sessionId"])["status"] == "closed"
    assert scene.session(old["sessionId"])["reason"] == "taken over: shift ends"
    assert scene.session(new["sessionId"])["status"] == "dry_run"
    assert scene.kinds() == ["session_authorized", "session_taken_over", "session_authorized"]
    assert scene.live() == 1


def test_of_many_who_want_a_robot_at_once_one_gets_it(scene: Scene) -> None:
    won, refused = raced(scene.authorize, RACERS)

    assert (len(won), set(refused), scene.live()) == (1, {"robot_busy"}, 1)


def test_the_same_client_session_id_is_the_same_session_until_it_ends(scene: Scene) -> None:
    first = scene.authorize(client_session_id="run-1")
    again = scene.authorize(client_session_id="run-1")
    assert again["sessionId"] == first["sessionId"]
    others: tuple[dict[str, Any], ...] = (
        {"robot_id": "robot_2"},
        {"deployment_id": "deploy_2"},
        {"artifact_id": "model_2"},
    )
    for other in others:
        with pytest.raises(InvalidRequestError, match="another robot"):
            scene.authorize(client_session_id="run-1", **other)

    scene.close(first["sessionId"])
    with pytest.raises(ServiceError) as gone:
        scene.authorize(client_session_id="run-1")
    assert gone.value.code == "session_ended"


def test_a_client_session_id_is_of_the_key_that_chose_it(scene: Scene) -> None:
    scene.authorize(client_session_id="run-1")
    with pytest.raises(ServiceError, match="another key's") as refused:
        scene.authorize(scene.actor("other", "sessions"), client_session_id="run-1")
    assert refused.value.code == "conflict"


@pytest.mark.slow
def test_a_robot_that_was_revoked_or_is_of_another_schema_is_not_driven(scene: Scene) -> None:
    with scene.plane.writing(scene.operator) as writing:
        revoke_robot(writing, "robot_1", None)
        other = {"organisation_id": scene.owner, "created_at": scene.at_ms, "name": "another"}
        writing.connection.execute(
            insert(robot_schema).values(id="schema_2", schema={}, limits_hash=HASH, simulation=False, **other)
        )
        writing.connection.execute(insert(robot).values(id="robot_3", robot_schema_id="schema_2", **other))

    for robot_id, words in (("robot_1", "was revoked"), ("robot_3", "another schema; name one of those")):
        with pytest.raises(ServiceError, match=words):
            scene.authorize(robot_id=robot_id)
    scene.set_deployment(robot_schema_id=None)
    assert scene.authorize(robot_id="robot_3")["robotId"] == "robot_3"


def test_who_finds_a_robot_driven_is_told_until_when_and_what_can_be_done(scene: Scene) -> None:
    first = scene.authorize()
    with pytest.raises(ServiceError, match=f"{first['sessionId']}, which ends at {first['expiresAt']}") as busy:
        scene.authorize()
    assert "close it, or take it over with a reason" in busy.value.message


def test_a_robots_key_authorizes_itself_and_nobody_else(scene: Scene) -> None:
    with pytest.raises(ServiceError) as other:
        scene.authorize(scene.arm, robot_id="robot_2")
    with pytest.raises(UnauthorizedError):
        scene.authorize(scene.arm, mode="apply_actions")

    assert other.value.code == "not_found"
    assert scene.authorize(scene.arm, robot_id=None)["robotId"] == "robot_1"


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["read", "write", "promote", "train", "admin"])
def test_no_other_scope_than_sessions_lets_anybody_drive(scene: Scene, scope: Any) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        scene.authorize(scene.actor("x", scope))
    assert refused.value.context["scope"] == "sessions"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"robot_id": None}, "robotId"),
        ({"robot_id": "robot_9"}, "robotId"),
        ({"deployment_id": "deploy_9"}, "deploymentId"),
        ({"deployment_id": None}, "deploymentId"),
        ({"deployment_id": None, "artifact_id": "model_9"}, "artifactId"),
    ],
)
def test_what_is_missing_or_unknown_is_named(scene: Scene, wish: dict[str, Any], field: str) -> None:
    with pytest.raises(ServiceError) as refused:
        scene.authorize(**wish)
    assert (refused.value.code, refused.value.context["field"]) == ("invalid_value", field)


def test_a_model_stands_for_its_only_deployment(scene: Scene) -> None:
    assert scene.authorize(deployment_id=None, artifact_id="model_1")["deploymentId"] == "deploy_1"


def test_a_model_that_was_revoked_drives_nothing_new(scene: Scene) -> None:
    with scene.plane.writing(scene.operator) as writing:
        revoke_model(writing, "model_1", "it drops cups")

    for wish in ({}, {"deployment_id": None, "artifact_id": "model_1"}, {"mode": "apply_actions"}):
        with pytest.raises(ServiceError, match="model of this deployment was revoked") as refused:
            scene.authorize(**wish)
        assert refused.value.code == "wrong_state"
    assert scene.live() == 0


def test_who_asks_to_move_the_robot_is_not_answered_with_a_session_that_does_not(scene: Scene) -> None:
    first = scene.authorize(client_session_id="mine")

    with pytest.raises(ServiceError, match="still in dry_run") as refused:
        scene.authorize(client_session_id="mine", mode="apply_actions")

    assert (refused.value.code, refused.value.context) == ("session_mode", {"sessionId": first["sessionId"]})
    assert scene.authorize(client_session_id="mine")["sessionId"] == first["sessionId"]


def test_a_robot_that_may_be_moved_is_sent_to_no_frontend_that_the_doctor_does_not_look_at(scene: Scene) -> None:
    elsewhere = ("http://elsewhere:8000",)
    for act_urls in (elsewhere, ("http://127.0.0.1:8000", *elsewhere)):
        with pytest.raises(ServiceError, match="its doctor does not look at") as refused:
            scene.authorize(act_urls=act_urls)
        assert (refused.value.code, refused.value.context["field"]) == ("invalid_value", "runtime")
    assert (scene.live(), scene.kinds()) == (0, [])

    scene.authorize(act_urls=("http://127.0.0.1:8000",), client_session_id="one")
    with pytest.raises(ServiceError, match="its doctor does not look at"):
        scene.authorize(act_urls=elsewhere, client_session_id="one")
    scene.set_deployment(mode="dry_run")
    assert scene.authorize(act_urls=elsewhere, robot_id="robot_2")["actUrl"] == elsewhere[0]


def test_a_take_over_of_one_session_ends_no_other_that_holds_the_robot_by_now(scene: Scene) -> None:
    seen = scene.authorize()["sessionId"]
    scene.close(seen)
    newer = scene.authorize(scene.actor("other", "sessions"))["sessionId"]

    with pytest.raises(ServiceError) as refused:
        scene.authorize(take_over_reason="it hangs", take_over_from=seen)
    assert (refused.value.code, refused.value.context["sessionId"]) == ("robot_busy", newer)
    assert scene.session(newer)["status"] == "dry_run"
    assert scene.authorize(take_over_reason="it hangs", take_over_from=newer)["sessionId"] != newer
