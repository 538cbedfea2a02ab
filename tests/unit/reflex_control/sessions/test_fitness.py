"""What keeps a robot from being moved, each with its fix, and exactly at its bound."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from reflex.readiness.checking import Check
from reflex_control.identity.keys import revoke_key
from reflex_control.moments import DAY_MS
from reflex_control.sessions.fitness import ROBOT_CHECKS, fitness_of
from reflex_control.store.tables import api_key, deployment, robot, session
from unit.reflex_control.sessions.session_scene import Scene


def found(scene: Scene, robot_id: str = "robot_1") -> dict[str, Check]:
    with scene.plane.reading() as connection:
        deployed = connection.execute(select(deployment)).one()
        machine = connection.execute(select(robot).where(robot.c.id == robot_id)).one()
        (fitness,) = fitness_of(connection, deployed, [machine], scene.at_ms)
    assert [check.id for check in fitness.checks] == list(ROBOT_CHECKS)
    assert {check.id for check in fitness.faults} == {c.id for c in fitness.checks if c.status == "fail"}
    return {check.id: check for check in fitness.checks}


def set_robot(scene: Scene, **values: Any) -> None:
    with scene.database.writing(scene.owner) as connection:
        connection.execute(update(robot).values(**values))


@pytest.fixture
def session_id(scene: Scene) -> str:
    """Of a dry run of 50 steps with a calibration."""
    set_robot(scene, calibration_id="c1")
    identity: str = scene.authorize()["sessionId"]
    scene.beat(session_id=identity, steps=50, calibration_id="c1")
    return identity


def test_a_robot_that_is_fit_has_no_fault(scene: Scene, session_id: str) -> None:
    assert {check.status for check in found(scene).values()} == {"pass"}
    assert session_id


def test_a_robot_without_a_key_that_holds_is_not_paired(scene: Scene) -> None:
    other = found(scene, "robot_2")["robot_paired"]
    assert (other.status, other.fix) == ("fail", "reflex robots pair robot_2")
    with scene.database.writing(scene.owner) as connection:
        connection.execute(update(api_key).values(expires_at=scene.at_ms))
    assert found(scene)["robot_paired"].status == "fail"
    with scene.database.writing(scene.owner) as connection:
        connection.execute(update(api_key).values(expires_at=scene.at_ms + 1))
    assert found(scene)["robot_paired"].status == "pass"
    with scene.database.writing(scene.owner) as connection:
        revoke_key(connection, scene.arm.key_id, scene.at_ms)
    set_robot(scene, paired_at=scene.at_ms)
    assert "its key holds no more" in found(scene)["robot_paired"].message


def test_a_heartbeat_is_fresh_for_less_than_30_s(scene: Scene) -> None:
    assert "never" in found(scene)["heartbeat_fresh"].message
    scene.beat()
    scene.after(29.999)
    fresh = found(scene)["heartbeat_fresh"]
    assert (fresh.status, fresh.message) == ("pass", "the last heartbeat of arm 1 came 30 s ago")
    scene.after(0.001)
    stale = found(scene)["heartbeat_fresh"]
    assert (stale.status, stale.message) == ("fail", "the last heartbeat of arm 1 came 30 s ago")
    assert str(stale.fix).endswith("reflex robots heartbeat robot_1")
    set_robot(scene, calibration_id="c 1")
    assert str(found(scene)["heartbeat_fresh"].fix).endswith("heartbeat robot_1 --calibration-id 'c 1'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("registered", "said", "status", "words"),
    [
        ("c1", "c1", "pass", "c1"), ("c1", "c2", "fail", "runs with c2"), ("c1", None, "fail", "does not say"),
        (None, None, "warn", "without one"), (None, "c2", "warn", "without one"),
    ],
)  # fmt: skip
def test_the_calibration_is_the_one_that_is_registered(
    scene: Scene, registered: str | None, said: str | None, status: str, words: str
) -> None:
    set_robot(scene, calibration_id=registered)
    assert found(scene)["calibration"].status == "skip"
    scene.beat(calibration_id=said)
    check = found(scene)["calibration"]
    assert (check.status, words in check.message) == (status, True)
    assert status == "pass" or "reflex robots register --name NAME --robot-schema-id schema_1" in str(check.fix)


def test_a_command_with_what_a_robot_said_in_it_is_safe_to_type(scene: Scene) -> None:
    set_robot(scene, calibration_id="c1")
    scene.beat(calibration_id="x; rm -rf ~")
    assert "--calibration-id 'x; rm -rf ~', and" in str(found(scene)["calibration"].fix)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({"steps": 50}, "pass"), ({"steps": 49}, "fail"), ({"steps": 50, "refused_chunks": 1}, "fail"),
        ({"steps": 90, "applied_steps": 41}, "fail"), ({"steps": 90, "applied_steps": 40}, "pass"), ({}, "fail"),
        ({"steps": 10, "applied_steps": 40}, "fail"),
    ],
)  # fmt: skip
def test_a_dry_run_has_50_steps_of_which_none_moved_and_no_refused_chunk(
    scene: Scene, counts: dict[str, Any], status: str
) -> None:
    scene.beat(session_id=scene.authorize()["sessionId"], **counts)
    check = found(scene)["dry_run_seen"]
    assert check.status == status
    assert status == "pass" or "--deployment-id deploy_1 --robot-id robot_1" in str(check.fix)


def test_a_dry_run_counts_for_a_day_after_its_end_and_one_good_one_is_enough(scene: Scene, session_id: str) -> None:
    scene.close(session_id)
    scene.beat(session_id=scene.authorize()["sessionId"], steps=9, refused_chunks=2)
    scene.at_ms += DAY_MS - 1
    assert found(scene)["dry_run_seen"].status == "pass"
    scene.at_ms += 1
    assert found(scene)["dry_run_seen"].status == "fail"


def test_a_dry_run_of_another_robot_or_deployment_is_none(scene: Scene, session_id: str) -> None:
    assert found(scene, "robot_2")["dry_run_seen"].status == "fail"
    with scene.database.writing(scene.owner) as connection:
        row = connection.execute(select(deployment)).one()._asdict()
        connection.execute(deployment.insert().values(**{**row, "id": "deploy_2", "name": "other"}))
        connection.execute(update(session).where(session.c.id == session_id).values(deployment_id="deploy_2"))
        connection.execute(update(deployment).where(deployment.c.id == "deploy_2").values(mode="dry_run"))
    with scene.plane.reading() as connection:
        deployed = connection.execute(select(deployment).where(deployment.c.id == "deploy_1")).one()
        machine = connection.execute(select(robot).where(robot.c.id == "robot_1")).one()
        (fitness,) = fitness_of(connection, deployed, [machine], scene.at_ms)
    assert [check.id for check in fitness.faults] == ["dry_run_seen"]
    assert fitness.is_driven is False
