"""A policy for another robot, other cameras or other units is refused before anything moves, with what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reflex.readiness.checking import Check
from reflex_runner.config.sections import LimitConfig, SafetyConfig
from reflex_runner.preflight.policy_checks import (
    cameras,
    embodiment,
    instruction,
    limits,
    measured,
    normalisation,
    policy_checks,
    rate,
    safe_stop_declared,
    simulation,
    trained,
    units,
)
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import ServedPolicy
from support.runner.served import ARM, robot_yaml, served

SIM = RobotFacts("sim", is_simulated=True, embodiment="so101_sim")


def policy(name: str = "franka", **fields: Any) -> ServedPolicy:
    return served(name, **fields).policies[0]


def two_cameras(*names: str) -> ServedPolicy:
    return replace(policy(), cameras=dict.fromkeys(names, True))


def test_a_policy_fits_its_own_robot() -> None:
    checks = policy_checks(policy("so101"), robot_yaml("image"), replace(ARM, embodiment="so101"))
    assert {each.status for each in checks} <= {"pass", "warn", "skip"}
    assert {each.id: each.status for each in checks}["embodiment"] == "pass"


def test_a_state_that_does_not_say_where_the_axes_are_is_refused() -> None:
    assert measured(policy("so101")).status == "pass"
    found = measured(policy("franka"))
    assert found.status == "fail"
    assert "the state of franka does not say where panda_joint1 is" in found.message


def test_limits_are_narrowed_and_never_widened() -> None:
    narrow, wide = LimitConfig(low=5, high=60), LimitConfig(high=1000)
    config = robot_yaml()
    assert limits(policy("so101"), config).status == "pass"
    assert limits(policy("so101"), replace(config, safety=SafetyConfig(limits={"gripper": narrow}))).status == "pass"
    found = limits(policy("so101"), replace(config, safety=SafetyConfig(limits={"gripper": wide})))
    assert (found.status, "limits can only be narrowed" in found.message) == ("fail", True)
    assert limits(policy("so101"), replace(config, safety=SafetyConfig(limits={"jaw": narrow}))).status == "fail"


@pytest.mark.parametrize(
    ("made_for", "robot", "status", "said"),
    [
        ("so101_sim", ARM, "fail", "is for the simulator alone (so101_sim), and arms:Franka is hardware"),
        ("so101_sim", SIM, "pass", "a simulated robot"),
        ("so101", SIM, "fail", "is for a real so101, and the robot is simulated"),
        ("franka", ARM, "pass", "a real robot"),
        ("so101_sim", replace(ARM, is_simulated=True), "pass", "a simulated robot"),
    ],
)
def test_what_is_simulated_and_what_is_real_do_not_mix(
    made_for: str, robot: RobotFacts, status: str, said: str
) -> None:
    found = simulation(policy(made_for), robot)
    assert (found.status, said in found.message) == (status, True)


@pytest.mark.parametrize(
    ("says", "status", "said"),
    [
        ("franka", "pass", "both are franka"),
        ("ur5", "fail", "is for franka, and the robot is ur5 (state_names"),
        ("my-own-arm", "fail", "the robot is my-own-arm"),
        (None, "skip", "does not say what it is"),
    ],
)
def test_another_robot_is_refused_by_its_axes(says: str | None, status: str, said: str) -> None:
    found = embodiment(policy(), replace(ARM, embodiment=says))
    assert (found.status, said in found.message) == (status, True)


def test_an_embodiment_of_another_name_and_the_same_axes_is_the_same_robot() -> None:
    narrower = replace(policy(), embodiment=replace(policy().embodiment, name="franka-behind-glass"))
    assert embodiment(narrower, ARM).status == "pass"
    percent = policy("so101_percent")
    assert embodiment(percent, replace(ARM, embodiment="so101")).status == "fail"


def test_a_state_in_other_units_is_refused() -> None:
    wanted = policy().embodiment.state_units
    assert units(policy(), replace(ARM, units=wanted)).status == "pass"
    assert units(policy(), ARM).status == "skip"
    found = units(policy(), replace(ARM, units=("percent",) * len(wanted)))
    assert found.status == "fail"
    assert "and the robot's is in percent" in found.message


@pytest.mark.parametrize(
    ("wanted", "there", "status", "fix"),
    [
        (("image",), ("image",), "pass", None),
        (("image",), ("front",), "fail", "rename cameras.front to image"),
        (("wrist_cam", "top"), ("top", "wrist"), "fail", "rename cameras.wrist to wrist_cam"),
        (("left", "right"), (), "fail", "add left, right to cameras"),
        (("left", "right"), ("left",), "fail", "add right to cameras"),
        (("image",), ("image", "wrist"), "fail", "take wrist out of cameras, or rename it"),
    ],
)
def test_cameras_have_the_policys_names_or_the_one_to_rename_is_said(
    wanted: tuple[str, ...], there: tuple[str, ...], status: str, fix: str | None
) -> None:
    found = cameras(two_cameras(*wanted), robot_yaml(*there), ARM)
    assert (found.status, found.fix) == (status, fix)


def test_cameras_of_the_robot_itself_count_and_unknown_ones_may_be_there() -> None:
    wanted = two_cameras("front", "wrist")
    assert cameras(wanted, robot_yaml(), replace(ARM, cameras=("front", "wrist"))).status == "pass"
    assert cameras(wanted, robot_yaml("front"), replace(ARM, cameras=None)).status == "warn"
    assert cameras(wanted, robot_yaml("top"), replace(ARM, cameras=None)).status == "fail"


def test_an_optional_camera_may_be_missing() -> None:
    assert cameras(replace(policy(), cameras={"a": True, "b": False}), robot_yaml("a"), ARM).status == "pass"


def test_statistics_that_are_odd_are_told() -> None:
    assert normalisation(policy()).status == "pass"
    odd = {"feature": "action", "mode": "IDENTITY", "statistics": [], "origin": ""}
    found = normalisation(policy(normalization=[odd], warnings=["range is tiny"]))
    assert found.status == "warn"
    assert "action is not normalised at all; the export warned: range is tiny" in found.message


@pytest.mark.parametrize(
    ("is_trained", "robot", "status"), [(True, ARM, "pass"), (False, ARM, "warn"), (False, SIM, "warn")]
)
def test_an_untrained_policy_is_told(is_trained: bool, robot: RobotFacts, status: str) -> None:
    assert trained(replace(policy(), is_trained=is_trained), robot).status == status


def test_of_a_policy_for_the_simulated_arm_it_is_said_that_it_is_for_that_alone() -> None:
    found = trained(replace(policy("so101_sim"), is_trained=True), SIM)
    assert (found.status, found.message.endswith("is trained, simulation only")) == ("pass", True)
    assert "simulation" not in trained(replace(policy(), is_trained=True), ARM).message


def test_a_policy_that_takes_an_instruction_is_told_one() -> None:
    assert instruction(policy(), robot_yaml()).status == "pass"
    assert instruction(policy(), robot_yaml(instruction=None)).status == "warn"
    assert instruction(replace(policy(), takes_instruction=False), robot_yaml(instruction=None)).status == "pass"


def test_a_loop_that_is_slower_than_the_actions_is_told() -> None:
    own_s = 1 / policy().embodiment.control_hz
    periods = (None, own_s, own_s / 2, own_s * 2)
    statuses = [rate(policy(), robot_yaml(control_period_s=each)).status for each in periods]
    assert statuses == ["pass", "pass", "pass", "warn"]


def test_a_robot_that_nobody_has_said_how_to_stop_is_refused() -> None:
    assert safe_stop_declared(policy()).status == "pass"
    without = replace(policy(), embodiment=replace(policy().embodiment, stop_ladder=None))
    found: Check = safe_stop_declared(without)
    assert (found.status, found.fix) == ("fail", "give the embodiment a stop_ladder, and export for it")
