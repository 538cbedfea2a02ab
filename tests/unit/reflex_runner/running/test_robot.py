"""The limits of a run are everybody's together, and its stop ladder can only become safer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reflex.embodiments import StopLadder, load_embodiment
from reflex.errors import SetupError
from reflex_runner.config.sections import CameraConfig, HardwareConfig, LimitConfig, RobotConfig, SafetyConfig
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import Served
from reflex_runner.running.robot import robot_of, safety_of
from support.runner.served import served

SO101 = load_embodiment("so101")
FACTS = RobotFacts("so101", is_simulated=False, embodiment="so101")


def config(**safety: Any) -> RobotConfig:
    return RobotConfig(HardwareConfig("so101"), safety=SafetyConfig(**safety))


def with_policy(**fields: Any) -> Served:
    (policy,) = served("so101").policies
    return Served("http://a", "ready", (replace(policy, embodiment=replace(SO101, **fields)),))


def test_the_robot_is_held_to_its_own_limits_the_policys_and_the_settings() -> None:
    low = (-5.0, *SO101.action_low[1:])
    limits = {"gripper": LimitConfig(high=60)}
    schema = replace(SO101, name="schema", action_high=(7.0, *SO101.action_high[1:]))
    robot = robot_of(config(limits=limits), FACTS, with_policy(action_low=low), schema)
    assert (robot.action_low[0], robot.action_high[0], robot.action_high[-1]) == (-5.0, 7.0, 60)
    assert robot_of(config(), FACTS, with_policy()).action_high == SO101.action_high


def test_a_schemas_stop_times_are_never_exceeded_and_may_be_undercut() -> None:
    schema = replace(SO101, stop_ladder=StopLadder(rungs=("hold",), hold_after_ms=300, stop_after_ms=900))
    times = [
        safety_of(config(**given), schema)
        for given in ({}, {"hold_after_ms": 5000, "stop_after_ms": 20_000}, {"hold_after_ms": 100})
    ]
    assert [(each.hold_after_ms, each.stop_after_ms) for each in times] == [(300, 900), (300, 900), (100, 900)]
    assert safety_of(config(hold_after_ms=5000)).hold_after_ms == 5000


def test_a_setting_that_would_widen_is_refused() -> None:
    with pytest.raises(SetupError, match="can only be narrowed"):
        robot_of(config(limits={"gripper": LimitConfig(high=1000)}), FACTS, None)


def test_a_robot_of_which_nobody_says_what_it_is_is_refused() -> None:
    unknown = RobotFacts("subprocess", is_simulated=False)
    assert robot_of(config(), unknown, with_policy()).name == "so101"
    with pytest.raises(SetupError, match="nobody says what the robot is"):
        robot_of(config(), unknown, None)
    own = replace(SO101, name="mine")
    assert robot_of(config(), replace(unknown, embodiment="mine", details=own), None).name == "mine"


def test_a_ladder_is_made_shorter_from_its_end_and_in_no_other_way() -> None:
    assert robot_of(config(stop_ladder=("hold",)), FACTS, None).stop_ladder == replace(
        SO101.stop_ladder, rungs=("hold",), rest_pose=None, rest_speed=None  # type: ignore[type-var]
    )  # fmt: skip
    for wanted in (("release",), ("return_to_rest",), ("hold", "return_to_rest", "release"), ("hold", "hold")):
        with pytest.raises(SetupError, match=r"safety\.stop_ladder: .* can only be made shorter"):
            robot_of(config(stop_ladder=wanted), FACTS, None)


def test_the_loop_is_told_of_every_cameras_age() -> None:
    made = replace(config(hold_after_ms=100), cameras={"front": CameraConfig("opencv", max_image_age_ms=300)})
    safety = safety_of(made)
    assert (safety.hold_after_ms, safety.stop_after_ms, safety.max_image_age_s) == (100, None, {"front": 0.3})
