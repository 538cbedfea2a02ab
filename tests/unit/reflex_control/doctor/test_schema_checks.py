"""Policy and robot mean the same: each difference fails its own check, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from reflex.embodiments import load_embodiment
from reflex_control.store.tables import deployment, robot_schema
from unit.reflex_control.doctor.doctor_scene import SCHEMA, Frontend, Scene

ARM = load_embodiment("so101")


def all_but_passed(checks: dict[str, Any]) -> dict[str, str]:
    return {name: check["status"] for name, check in checks.items() if check["status"] != "pass"}


def test_no_schema_is_told_and_nothing_is_compared_with_it(scene: Scene) -> None:
    scene.change(deployment, robot_schema_id=None)
    checks = scene.checks()

    skipped = {"state_dim", "action_dim", "units", "cameras", "limits", "safe_stop_declared", "robot_paired",
               "heartbeat_fresh", "calibration", "dry_run_seen"}  # fmt: skip
    assert all_but_passed(checks) == {"schema_bound": "fail"} | dict.fromkeys(skipped, "skip")
    assert "--robot-schema-id ID" in checks["schema_bound"]["fix"]
    assert scene.examine()["ready"] is False


@pytest.mark.parametrize(
    "schema", [{}, {**SCHEMA, "safe_stop": None}, {k: v for k, v in SCHEMA.items() if k != "cameras"}]
)
def test_a_schema_that_is_not_read_any_more_is_as_good_as_none(scene: Scene, schema: dict[str, Any]) -> None:
    scene.change(robot_schema, schema=schema)
    checks = scene.checks()
    assert (checks["schema_bound"]["status"], checks["safe_stop_declared"]["status"]) == ("fail", "skip")
    assert checks["schema_bound"]["fix"].startswith("reflex robots register-schema")


def test_the_stop_ladder_is_told(scene: Scene) -> None:
    assert scene.checks()["safe_stop_declared"]["message"].endswith("after 1000 ms hold, return_to_rest")


@pytest.mark.parametrize("name", ["state_dim", "action_dim"])
@pytest.mark.parametrize("is_served", [True, False])
def test_another_number_of_values_fails_as_that(scene: Scene, one: Frontend, name: str, is_served: bool) -> None:
    if is_served:
        one.config[name] = 7
    else:
        scene.change_config(**{name: 7})
    checks = scene.checks()
    assert all_but_passed(checks) == {name: "fail"}
    assert checks[name]["message"].startswith("7 in the policy")
    assert f"--robot-schema-id {scene.schema_id}" in checks[name]["fix"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"action_units": ["rad", *ARM.action_units[1:]], "state_units": ["rad", *ARM.state_units[1:]]}, "in rad"),
        ({"action_names": ["pan", *ARM.action_names[1:]]}, "value 0 is shoulder_pan on the robot and pan"),
        ({"action_low": [0.0, *ARM.action_low[1:]], "action_high": [220.0, *ARM.action_high[1:]]}, "zero"),
    ],
)
def test_other_names_units_and_zeros_fail(scene: Scene, one: Frontend, changes: dict[str, Any], words: str) -> None:
    one.change_arm(**changes)
    checks = scene.checks()
    assert checks["units"]["status"] == "fail"
    assert words in checks["units"]["message"]
    assert "exported for this robot" in checks["units"]["fix"]


def test_degrees_against_percent_is_found_in_what_was_registered_when_nobody_answers(scene: Scene) -> None:
    scene.change(deployment, runtime=None)
    scene.change_config(embodiment="so101_percent")
    assert scene.checks()["units"]["status"] == "fail"
    scene.change_config(embodiment="my_own")
    assert (scene.checks()["units"]["status"], scene.checks()["limits"]["status"]) == ("skip", "skip")


def test_axes_that_only_a_frontend_tells_are_compared_by_its_word(scene: Scene, one: Frontend) -> None:
    scene.change_config(embodiment="my_own")
    assert scene.not_passed() == {}
    one.change_arm(action_names=["pan", *ARM.action_names[1:]], control_hz=50)
    assert scene.not_passed() == {"units": "fail", "limits": "fail"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fitted", "needed", "status", "words"),
    [
        ([], ["front"], "fail", "needs front, and the robot's schema has none"),
        (["wrist"], ["front"], "fail", "needs front, and the robot's schema has wrist"),
        (["front"], ["front", "wrist"], "fail", "needs wrist"),
        (["front", "wrist"], ["front"], "pass", "front"),
        (["front", "wrist?"], ["front", "wrist"], "warn", "needs wrist, which may be missing"),
        (["front"], ["front", "wrist?"], "pass", "front"),
        ([], ["front?"], "pass", "none"),
    ],
)
def test_every_camera_that_the_policy_needs_is_on_the_robot(
    scene: Scene, one: Frontend, fitted: list[str], needed: list[str], status: str, words: str
) -> None:
    def cameras(names: list[str]) -> list[dict[str, Any]]:
        return [{"name": name.rstrip("?"), "required": not name.endswith("?")} for name in names]

    one.config["cameras"] = cameras(needed)
    scene.change_config(cameras=cameras(needed))
    scene.change_schema(cameras=cameras(fitted))
    check = scene.checks()["cameras"]
    assert check["status"] == status
    assert words in check["message"]
    assert (check["fix"] or "reflex robots register-schema").startswith("reflex robots register-schema")


def test_a_guard_that_is_off_fails_the_limits(scene: Scene, one: Frontend) -> None:
    one.health["guard_active"] = False
    checks = scene.checks()
    assert all_but_passed(checks) == {"limits": "fail"}
    assert one.url in checks["limits"]["message"]
    assert "--no-guard" in checks["limits"]["fix"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"action_low": [-111.0, *ARM.action_low[1:]]}, "shoulder_pan may go from -111 to 110 deg, on the robot"),
        ({"action_high": [*ARM.action_high[:-1], 100.5]}, "gripper may go from 0 to 100.5"),
        ({"action_max_step": [*ARM.action_max_step[:-1], 9.0]}, "gripper may move 9 percent_open a step"),
        ({"control_hz": 50}, "are for 50 a second, and the robot does 30"),
    ],
)
def test_limits_that_are_wider_than_the_robots_fail(
    scene: Scene, one: Frontend, changes: dict[str, Any], words: str
) -> None:
    one.change_arm(**changes)
    checks = scene.checks()
    assert all_but_passed(checks) == {"limits": "fail"}
    assert words in checks["limits"]["message"]
    assert "reflex export CHECKPOINT --embodiment FILE" in checks["limits"]["fix"]


def test_limits_within_the_robots_pass(scene: Scene, one: Frontend) -> None:
    one.change_arm(action_max_step=[1.0] * 6, action_low=[-100.0, *ARM.action_low[1:]])
    assert scene.not_passed() == {}
