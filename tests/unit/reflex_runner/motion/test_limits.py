"""Limits are the intersection of everybody's: nothing widens the robot's own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from reflex.embodiments import bundled_embodiments, load_embodiment
from reflex.errors import SetupError
from reflex_runner.motion.limits import AxisLimits, measured_axes, narrowed, per_period, within_all
from support.runner.arms import RESTS, arm


def test_the_narrowest_of_all_holds_on_each_axis_by_itself() -> None:
    both = within_all(arm(), [arm((-50, -20), (200, 80), (16, 4)), arm((-60, 10), (90, 100), (8, 16))])
    assert (both.action_low, both.action_high, both.action_max_step) == ((-50, 10), (90, 80), (8, 4))


def test_a_step_of_another_rate_is_compared_as_a_speed() -> None:
    slow = arm(max_step=(8, 8), control_hz=4.0)  # 32 a second, where the robot may go 64 and 128
    assert within_all(arm(), [slow]).action_max_step == (4, 4)


def test_a_policy_of_other_axes_or_units_is_refused() -> None:
    for other in (arm((0,), (1,), (1,)), replace(arm(), action_units=("rad", "deg")), load_embodiment("ur5")):
        with pytest.raises(SetupError, match=r"has other action axes than test .*choose a policy for this robot"):
            within_all(arm(), [other])


def test_ranges_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(SetupError, match=r"axis0: action_low must be below action_high"):
        within_all(arm((0, 0), (10, 100)), [arm((20, 0), (30, 100))])


def test_settings_narrow_what_they_name() -> None:
    held = narrowed(arm(), {"axis1": AxisLimits(low=10, max_step=2), "axis0": AxisLimits(high=40)})
    assert (held.action_low, held.action_high, held.action_max_step) == ((-100, 10), (40, 100), (8, 2))
    assert narrowed(arm(), {"axis0": AxisLimits(-100, 100, 8)}) == arm(), "its own limits are not wider"


@pytest.mark.parametrize(
    ("limit", "complaint"),
    [
        (AxisLimits(low=-100.5), r"limits\.axis0\.low: -100\.5 is outside the robot's own -100; .*only be narrowed"),
        (AxisLimits(high=101), r"limits\.axis0\.high: 101 is outside the robot's own 100"),
        (AxisLimits(max_step=9), r"limits\.axis0\.max_step: 9 is above the robot's own 8"),
        (AxisLimits(low=math.nan), "can only be narrowed"),
        (AxisLimits(high=math.nan), "can only be narrowed"),
        (AxisLimits(max_step=math.nan), "can only be narrowed"),
        (AxisLimits(low=60, high=50), "action_low must be below action_high"),
        (AxisLimits(max_step=0), "action_max_step must be between"),
    ],
)
def test_settings_that_widen_or_make_no_sense_are_refused(limit: AxisLimits, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        narrowed(arm(), {"axis0": limit})


def test_an_axis_that_the_robot_has_not_is_named_with_those_that_it_has() -> None:
    with pytest.raises(SetupError, match="test has no axis 'elbow'; it has axis0, axis1"):
        narrowed(arm(), {"elbow": AxisLimits(low=0)})


def test_a_rest_pose_outside_the_narrowed_range_is_refused_and_a_typical_state_is_not() -> None:
    with pytest.raises(SetupError, match=r"rest_pose: axis0 lies outside its range, 10 to 100.*stop_ladder that fits"):
        narrowed(arm(ladder=RESTS), {"axis0": AxisLimits(low=10)})
    assert narrowed(arm(), {"axis0": AxisLimits(low=10)}).mean_state == (10, 50)


def test_a_faster_loop_takes_smaller_steps_and_a_slower_one_no_larger() -> None:
    assert per_period(arm(), 1 / 32).action_max_step == (2, 4)
    assert per_period(arm(), 0.5).action_max_step == (8, 16)
    with pytest.raises(SetupError, match="a control period of 1e-08 s does not fit test"):
        per_period(arm(), 1e-8)


def test_each_action_axis_is_found_in_the_state_by_name_and_unit() -> None:
    turned = replace(arm(), state_names=("axis1", "other", "axis0"), state_units=("deg",) * 3, mean_state=(50, 0, 0))
    assert measured_axes(turned) == (2, 0)
    assert all(measured_axes(load_embodiment(name)) for name in bundled_embodiments() if name != "franka")


def test_a_robot_whose_state_does_not_measure_its_axes_is_refused() -> None:
    with pytest.raises(SetupError, match=r"does not say where panda_joint1 is .*no first command is safe"):
        measured_axes(load_embodiment("franka"))
    with pytest.raises(SetupError, match="axis1 is"):
        measured_axes(replace(arm(), state_units=("deg", "rad"), mean_state=(0, 50)))
