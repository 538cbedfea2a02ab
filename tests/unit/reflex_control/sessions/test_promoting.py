"""Nothing moves before a promotion, and a promotion needs all of its conditions; each refusal is on the record."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.errors import ServiceError, UnauthorizedError
from reflex_control.identity.actor import SCOPES
from reflex_control.registry.models import revoke_model
from unit.reflex_control.sessions.session_scene import PASSED, Scene

MINUTE_S = 60
FAILED = {"ready": False, "checks": [{"id": "units", "status": "fail", "message": "degrees", "fix": "export again"}]}


@pytest.fixture
def session_id(scene: Scene) -> str:
    """Of a session whose robot is alive, and was rehearsed."""
    scene.rehearsed()
    identity: str = scene.authorize()["sessionId"]
    scene.beat(session_id=identity)
    return identity


def test_a_session_is_promoted_and_the_next_heartbeat_brings_the_credential(scene: Scene, session_id: str) -> None:
    promoted = scene.promote(session_id)

    assert (promoted["status"], promoted["mode"]) == ("apply_actions", "apply_actions")
    assert scene.beat(session_id=session_id)["mode"] == "apply_actions"
    assert scene.kinds()[-1] == "session_promoted"
    assert scene.told()[-1]["mode"] == "apply_actions"
    assert scene.promote(session_id)["promotedAt"] == promoted["promotedAt"]


@pytest.mark.slow
@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope != "promote"])
def test_promotion_is_implied_by_no_other_scope(scene: Scene, session_id: str, scope: Any) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        scene.promote(session_id, scene.actor("x", scope))
    assert refused.value.context["scope"] == "promote"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deployed", "code", "words"),
    [
        ({"mode": "dry_run"}, "wrong_state", "dry_run at most"),
        ({"doctor": None, "doctor_at": None}, "deployment_not_ready", "reflex doctor deploy_1"),
        ({"doctor": FAILED}, "deployment_not_ready", "units: degrees"),
    ],
)
def test_what_is_not_ready_is_refused_with_the_reason_and_on_the_record(
    scene: Scene, session_id: str, deployed: dict[str, Any], code: str, words: str
) -> None:
    scene.set_deployment(**deployed)

    with pytest.raises(ServiceError, match=words) as refused:
        scene.promote(session_id)

    assert refused.value.code == code
    assert scene.kinds()[-1] == "promotion_refused"
    assert scene.session(session_id)["mode"] == "dry_run"


def test_a_doctor_holds_for_15_minutes(scene: Scene, session_id: str) -> None:
    scene.set_deployment(doctor=PASSED, doctor_at=scene.at_ms - 15 * MINUTE_S * 1000 - 1)
    with pytest.raises(ServiceError, match="Deployment not ready for apply_actions"):
        scene.promote(session_id)

    scene.set_deployment(doctor_at=scene.at_ms - 15 * MINUTE_S * 1000)
    assert scene.promote(session_id)["mode"] == "apply_actions"


def test_a_robot_that_is_silent_is_not_promoted(scene: Scene) -> None:
    scene.rehearsed()
    identity = scene.authorize()["sessionId"]
    with pytest.raises(ServiceError, match="no heartbeat"):
        scene.promote(identity)

    scene.beat()
    scene.after(30)
    with pytest.raises(ServiceError, match="no heartbeat"):
        scene.promote(identity)
    scene.after(-0.001)
    assert scene.promote(identity)["mode"] == "apply_actions"


def test_a_robot_that_is_not_fit_itself_is_not_promoted_whatever_the_doctor_found(scene: Scene) -> None:
    identity = scene.authorize()["sessionId"]
    scene.beat(session_id=identity, steps=49)
    with pytest.raises(ServiceError, match="dry_run_seen: arm 1 did at most 49 steps") as refused:
        scene.promote(identity)
    assert (refused.value.code, scene.kinds()[-1]) == ("deployment_not_ready", "promotion_refused")
    assert [check["id"] for check in refused.value.context["checks"]] == ["dry_run_seen"]

    scene.beat(session_id=identity, steps=50)
    assert scene.promote(identity)["mode"] == "apply_actions"


def test_a_model_that_was_revoked_is_not_promoted(scene: Scene, session_id: str) -> None:
    with scene.plane.writing(scene.operator) as writing:
        revoke_model(writing, "model_1", None)
    with pytest.raises(ServiceError, match="model of this deployment was revoked"):
        scene.promote(session_id)


def test_a_session_that_ended_is_never_promoted(scene: Scene, session_id: str) -> None:
    scene.close(session_id)
    with pytest.raises(ServiceError) as gone:
        scene.promote(session_id)
    assert gone.value.code == "session_ended"


@pytest.mark.slow
def test_authorize_in_apply_actions_is_a_promotion_with_all_its_rules(scene: Scene) -> None:
    scene.rehearsed()
    with pytest.raises(ServiceError, match="no heartbeat"):
        scene.authorize(mode="apply_actions")
    scene.beat()
    assert scene.authorize(mode="apply_actions")["mode"] == "apply_actions"


def test_a_refused_authorize_in_apply_actions_takes_no_robot_and_ends_nobodys_session(scene: Scene) -> None:
    with pytest.raises(ServiceError, match="no heartbeat"):
        scene.authorize(mode="apply_actions")
    assert (scene.kinds(), scene.live()) == (["promotion_refused"], 0)

    held = scene.authorize()["sessionId"]
    scene.beat(session_id=held)
    scene.set_deployment(doctor=FAILED)
    with pytest.raises(ServiceError, match="units: degrees"):
        scene.authorize(mode="apply_actions", take_over_reason="mine now")
    assert (scene.session(held)["status"], scene.kinds()[-1]) == ("dry_run", "promotion_refused")
