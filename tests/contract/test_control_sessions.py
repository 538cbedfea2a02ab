"""A session over the real socket: authorized, promoted, renewed, taken over, closed; every step on the record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update

from docs.documents import REPOSITORY
from reflex.control import ControlClient
from reflex.control.errors import DeploymentNotReadyError, SessionGoneError
from reflex.errors import ServiceError
from reflex.robot_schema import parse_robot_schema
from reflex.signed.receipts import verify_lines
from reflex.signed.session_credential import read
from reflex.signed.signing import Keyset
from reflex_control.identity.actor import SCOPES, Actor
from reflex_control.moments import now_ms
from reflex_control.plane import Plane
from reflex_control.registry.deployments import create_deployment
from reflex_control.store.tables import deployment
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.waiting import wait_until
from unit.reflex_control.scene import CONTENT_HASH, a_model, a_robot

SCHEMA = REPOSITORY / "examples" / "so101.schema.json"


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    ours: Tenant
    deployment_id: str
    robot_id: str
    operator: ControlClient
    arm: ControlClient

    def doctor(self, *, ready: bool) -> None:
        """What a doctor of a moment ago found."""
        checks = (
            [] if ready else [{"id": "units", "status": "fail", "message": "degrees, not radians", "fix": "export"}]
        )
        with self.ours.store.writing() as connection:
            connection.execute(update(deployment).values(doctor={"ready": ready, "checks": checks}, doctor_at=now_ms()))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("control") / "data"
    with prepared_store(folder) as (ours, _), running_control(folder) as control:
        key, plane = ours.admin(), Plane(ours.store)
        actor = Actor(key.id, "test", ours.organisation_id, frozenset(SCOPES))
        robot_id, model_id = a_robot(plane, actor), a_model(plane, actor)["id"]
        with plane.writing(actor) as writing:
            made = create_deployment(writing, "kitchen", model_id, None, None, "apply_actions", None)
        arm_key = ours.key(robot_id=robot_id).secret
        with (
            ControlClient(control.base_url, api_key=key.secret) as operator,
            ControlClient(control.base_url, api_key=arm_key) as arm,
        ):
            yield Scene(control, ours, made["id"], robot_id, operator, arm)


@pytest.fixture(autouse=True)
def nobody_drives(scene: Scene) -> Iterator[None]:
    yield
    for session in scene.operator.list_sessions()["sessions"]:
        scene.operator.close_session(session["id"], reason="the test is over")


def test_a_session_goes_from_dry_run_by_promotion_to_its_end(scene: Scene) -> None:
    grant = scene.arm.authorize_session(deployment_id=scene.deployment_id, robot_id=scene.robot_id)
    scene.arm.heartbeat_robot(scene.robot_id, session_id=grant["sessionId"], steps=50)
    scene.doctor(ready=True)
    assert scene.operator.promote_session(grant["sessionId"])["status"] == "apply_actions"

    beat = scene.arm.heartbeat_robot(scene.robot_id, session_id=grant["sessionId"], steps=60, applied_steps=10)
    keyset = Keyset.from_json(json.dumps(scene.operator.public_keys()))
    claims = read(str(beat["credential"]), keyset, now_ms())
    assert (claims.mode, claims.session_id, beat["mode"]) == ("apply_actions", grant["sessionId"], "apply_actions")

    closed = scene.operator.close_session(grant["sessionId"], reason="lunch")
    assert (closed["status"], closed["appliedSteps"], closed["reason"]) == ("closed", 10, "lunch")
    with pytest.raises(SessionGoneError, match="Session expired or already closed"):
        scene.operator.promote_session(grant["sessionId"])


def test_a_deployment_that_is_not_ready_is_told_with_each_failed_check(scene: Scene) -> None:
    grant = scene.operator.authorize_session(deployment_id=scene.deployment_id, robot_id=scene.robot_id)
    scene.arm.heartbeat_robot(scene.robot_id, session_id=grant["sessionId"])
    scene.doctor(ready=False)

    with pytest.raises(DeploymentNotReadyError, match="Deployment not ready for apply_actions") as refused:
        scene.operator.promote_session(grant["sessionId"])

    assert refused.value.context["checks"][0]["id"] == "units"
    kinds = [receipt["kind"] for receipt in scene.operator.list_receipts(session_id=grant["sessionId"])["receipts"]]
    assert kinds[-1] == "promotion_refused"


def test_a_robot_that_is_driven_is_busy_until_it_is_taken_over(scene: Scene) -> None:
    first = scene.arm.authorize_session(deployment_id=scene.deployment_id, robot_id=scene.robot_id)
    with pytest.raises(ServiceError) as refused:
        scene.operator.authorize_session(deployment_id=scene.deployment_id, robot_id=scene.robot_id)
    assert (refused.value.code, refused.value.context["sessionId"]) == ("robot_busy", first["sessionId"])

    second = scene.operator.authorize_session(
        deployment_id=scene.deployment_id, robot_id=scene.robot_id, take_over="shift ends"
    )
    assert [session["id"] for session in scene.operator.list_sessions(status="dry_run")["sessions"]] == [
        second["sessionId"]
    ]


def test_a_session_ends_by_itself_within_a_second_of_its_time(scene: Scene) -> None:
    grant = scene.operator.authorize_session(deployment_id=scene.deployment_id, robot_id=scene.robot_id, max_seconds=1)
    wait_until(
        lambda: (
            [each["id"] for each in scene.operator.list_sessions(status="expired")["sessions"]] == [grant["sessionId"]]
        ),
        "it expires",
    )


def test_sessions_come_page_by_page_and_the_sdk_gives_all_of_them(scene: Scene) -> None:
    made = [
        scene.operator.authorize_session(
            deployment_id=scene.deployment_id, robot_id=scene.robot_id, take_over="another page"
        )["sessionId"]
        for _ in range(5)
    ]
    seen: list[str] = []
    page = scene.operator.list_sessions(limit=2)
    while page["nextAfter"] is not None:
        seen += [session["id"] for session in page["sessions"]]
        page = scene.operator.list_sessions(limit=2, after=page["nextAfter"])
    seen += [session["id"] for session in page["sessions"]]

    whole = scene.operator.list_sessions()
    assert (seen, whole["nextAfter"]) == ([session["id"] for session in whole["sessions"]], None)
    assert sorted(seen[-5:]) == sorted(made)
    with pytest.raises(ServiceError) as refused:
        scene.operator.list_sessions(after="sess_of_somebody_else")
    assert (refused.value.code, refused.value.context["field"]) == ("invalid_value", "after")


def test_a_key_that_is_revoked_takes_its_session_along(scene: Scene) -> None:
    made = scene.operator.create_key(name="visitor", scopes=["sessions"])
    with ControlClient(scene.control.base_url, api_key=made["key"]) as visitor:
        grant = visitor.authorize_session(deployment_id=scene.deployment_id, robot_id=scene.robot_id)
    scene.operator.revoke_key(made["id"])

    found = next(each for each in scene.operator.list_sessions()["sessions"] if each["id"] == grant["sessionId"])
    assert (found["status"], found["reason"]) == ("closed", "its key was revoked")


@pytest.mark.parametrize("what", ["model", "robot"])
def test_a_session_ends_with_its_model_and_with_its_robot_and_no_other_does(scene: Scene, what: str) -> None:
    operator = scene.operator
    bystander = operator.authorize_session(deployment_id=scene.deployment_id, robot_id=scene.robot_id)["sessionId"]
    schema_id = operator.list_robots()["robots"][0]["robotSchemaId"]
    robot_id = operator.register_robot(name=f"revoked with its {what}", robot_schema_id=schema_id)["id"]
    model_id = operator.register_model(name=f"revoked {what}", content_hash=CONTENT_HASH, config={})["id"]
    deployment_id = operator.create_deployment(name=f"revoked {what}", model_id=model_id)["id"]
    session_id = operator.authorize_session(deployment_id=deployment_id, robot_id=robot_id)["sessionId"]

    if what == "model":
        operator.revoke_model(model_id)
    else:
        operator.revoke_robot(robot_id)

    ended = operator.get_session(session_id)
    assert (ended["status"], ended["reason"]) == ("closed", f"its {what} was revoked")
    assert operator.get_session(bystander)["status"] == "dry_run"


def test_a_schema_is_registered_from_its_file_and_a_wrong_one_names_the_field(scene: Scene) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    made = scene.operator.register_robot_schema(name="so101-v1", schema=schema)
    assert scene.operator.register_robot(name="lab-arm-01", robot_schema_id=made["id"])["robotSchemaId"] == made["id"]
    assert made["limitsHash"] == parse_robot_schema(schema, "the file").limits_hash

    with pytest.raises(ServiceError, match="safe_stop") as refused:
        scene.operator.register_robot_schema(name="x", schema={k: v for k, v in schema.items() if k != "safe_stop"})
    assert (refused.value.code, refused.value.context["field"]) == ("invalid_value", "schema")


def test_what_happened_can_be_checked_by_anybody(scene: Scene) -> None:
    lines = scene.operator.export_receipts().splitlines(keepends=True)

    assert verify_lines(lines, Keyset.from_json(json.dumps(scene.operator.public_keys()))).is_whole
