"""A robot that may be moved is there: the fittest is told of, and one that is not fit keeps no other from moving."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from reflex.errors import ServiceError
from reflex_control.doctor import case
from reflex_control.doctor.robot_checks import lead_of, robot_checks
from reflex_control.sessions.beating import beat
from reflex_control.sessions.promoting import promote_session
from reflex_control.store.tables import robot, session
from unit.reflex_control.doctor.doctor_scene import Scene

ROBOT = ("robot_paired", "heartbeat_fresh", "calibration", "dry_run_seen")


def promote(scene: Scene, session_id: str) -> str:
    with scene.plane.writing(scene.operator) as writing:
        return str(promote_session(writing, session_id).row.mode)


def test_no_robot_of_the_schema_is_told_with_how_to_register_one(scene: Scene) -> None:
    scene.change(robot, revoked_at=scene.at_ms)
    checks = scene.checks()
    assert [checks[name]["status"] for name in ROBOT] == ["fail", "skip", "skip", "skip"]
    assert f"reflex robots register --name NAME --robot-schema-id {scene.schema_id}" in checks["robot_paired"]["fix"]


def test_an_idle_robot_that_is_not_fit_changes_nothing(scene: Scene) -> None:
    scene.another_robot("arm-2")
    assert scene.not_passed() == {}


def test_a_driven_robot_that_is_not_fit_is_a_warning_and_is_not_promoted_while_the_other_is(scene: Scene) -> None:
    with scene.plane.reading() as connection:
        first = scene.live_session(connection)
    second = scene.another_robot("arm-2")
    session_id = scene.rehearse(second, steps=49, calibration_id="calib-2")
    checks = scene.checks()

    assert scene.not_passed() == {"calibration": "warn", "dry_run_seen": "warn"}
    assert "arm-2" in checks["calibration"]["message"]
    assert "calib-2" in checks["calibration"]["message"]
    assert "arm-2 did at most 49 steps" in checks["dry_run_seen"]["message"]
    assert second in checks["dry_run_seen"]["fix"]
    assert scene.examine()["ready"] is True
    with pytest.raises(ServiceError, match="arm-2") as refused:
        promote(scene, session_id)
    assert refused.value.code == "deployment_not_ready"
    assert [check["id"] for check in refused.value.context["checks"]] == ["calibration", "dry_run_seen"]
    assert promote(scene, first) == "apply_actions"


def test_where_no_robot_is_fit_the_check_fails_whoever_is_driven(scene: Scene) -> None:
    scene.change(session, steps=40)
    scene.rehearse(scene.another_robot("arm-2"), steps=30, calibration_id="calib-2")
    check = scene.checks()["dry_run_seen"]
    assert (check["status"], "arm-1 did at most 40 steps" in check["message"]) == ("fail", True)
    assert "arm-2" not in check["message"]


def test_a_robot_whose_session_ended_is_not_warned_of(scene: Scene) -> None:
    second = scene.another_robot("arm-2")
    scene.rehearse(second, steps=3)
    assert scene.not_passed() == {"dry_run_seen": "warn"}
    scene.end_all()
    assert scene.not_passed() == {}


def test_of_a_large_fleet_the_one_that_was_rehearsed_is_found_and_not_every_one_is_looked_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case, "MOST_IDLE_ROBOTS", 2)
    for name in ("arm-2", "arm-3", "arm-4"):
        identity = scene.another_robot(name)
        with scene.plane.writing(scene.operator) as writing:
            scene.after(1)
            beat(writing, identity, {"calibration_id": "calib-1"})
    with scene.plane.reading() as connection:
        records = case.records_of(connection, scene.owner, scene.deployment_id, scene.at_ms)
    assert [each.robot.name for each in records.robots] == ["arm-1", "arm-4", "arm-3"]
    scene.end_all()
    assert scene.not_passed() == {}


def test_the_fittest_of_several_is_told_of(scene: Scene) -> None:
    scene.another_robot("arm-0")
    scene.after(31)
    checks = scene.checks()
    assert "arm-1" in checks["heartbeat_fresh"]["message"]
    assert checks["dry_run_seen"]["status"] == "pass"


def test_of_equally_fit_ones_the_driven_one_is_told_of_and_then_the_one_heard_of_last(scene: Scene) -> None:
    def lead() -> str:
        with scene.plane.reading() as connection:
            records = case.records_of(connection, scene.owner, scene.deployment_id, scene.at_ms)
        told = lead_of(case.Case(records, ()))
        assert told is not None
        assert told.name in robot_checks(case.Case(records, ()))[1].message
        return str(told.name)

    scene.after(1)
    second = scene.another_robot("arm-2")
    scene.rehearse(second)
    assert lead() == "arm-2"
    with scene.database.writing(scene.owner) as connection:
        connection.execute(update(session).where(session.c.robot_id == second).values(ended_at=scene.at_ms))
    assert lead() == "arm-1"
    scene.change(robot, revoked_at=scene.at_ms)
    with scene.plane.reading() as connection:
        records = case.records_of(connection, scene.owner, scene.deployment_id, scene.at_ms)
    assert lead_of(case.Case(records, ())) is None


def test_a_second_deployment_of_the_same_robot_is_rehearsed_and_promoted_on_its_own(scene: Scene) -> None:
    scene.examine()
    with scene.plane.reading() as connection:
        promote(scene, scene.live_session(connection))
    second = scene.deploy(scene.urls(), "kitchen-2")
    scene.end_all()
    session_id = scene.rehearse(scene.robot_id, deployment_id=second)
    with pytest.raises(ServiceError, match="reflex doctor"):
        promote(scene, session_id)
    assert scene.not_passed(second) == {}
    assert promote(scene, session_id) == "apply_actions"
