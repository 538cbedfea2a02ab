"""What a robot and a policy's embodiment differ in is said, and what is the policy's to choose is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reflex.embodiments import Embodiment, LimitSource, bundled_embodiments, load_embodiment
from reflex.robot_schema import RobotSchema, SafeStop, disagreements

STOP = SafeStop(hold_after_ms=200, stop_after_ms=1000, ladder=("hold",))


def robot(embodiment: Embodiment) -> RobotSchema:
    return RobotSchema(embodiment, (), STOP)


def lift(low: float, high: float, mean: float, unit: str = "deg") -> Embodiment:
    """One axis, in the state and in the actions."""
    return Embodiment(
        name="lift",
        description="One axis.",
        state_names=("lift",),
        state_units=(unit,),
        mean_state=(mean,),
        action_names=("lift",),
        action_units=(unit,),
        action_low=(low,),
        action_high=(high,),
        action_max_step=(1.0,),
        control_hz=20.0,
        sources=(LimitSource("all", "here"),),
    )


@pytest.mark.parametrize("name", bundled_embodiments())
def test_a_robot_agrees_with_its_own_embodiment(name: str) -> None:
    assert disagreements(robot(load_embodiment(name)), load_embodiment(name)) == []


def test_degrees_and_percent_of_one_arm_disagree() -> None:
    degrees, percent = load_embodiment("so101"), load_embodiment("so101_percent")
    axes = "shoulder_pan, shoulder_lift, elbow_flex, wrist_flex, wrist_roll"
    assert disagreements(robot(degrees), percent) == [
        f"state: {axes} in deg on the robot and in percent_of_half_range in the policy",
        f"action: {axes} in deg on the robot and in percent_of_half_range in the policy",
    ]
    assert len(disagreements(robot(percent), degrees)) == 2


def test_another_robot_disagrees_in_dimensions_and_in_names() -> None:
    assert disagreements(robot(load_embodiment("ur5")), load_embodiment("franka")) == [
        "state: value 0 is shoulder_pan_joint on the robot and x in the policy",
        f"action: the robot has 6 values ({', '.join(load_embodiment('ur5').action_names)}), the policy 7",
    ]


def test_the_same_axes_in_another_order_disagree() -> None:
    arm = load_embodiment("so101")
    turned = replace(arm, state_names=arm.state_names[1::-1] + arm.state_names[2:])
    assert disagreements(robot(arm), turned) == [
        "state: value 0 is shoulder_pan on the robot and shoulder_lift in the policy"
    ]


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (lift(-110, 110, 0), lift(0, 220, 100), "from 0 to 220 deg in the policy: its zero lies elsewhere"),
        (lift(0, 220, 110), lift(-110, 110, 0), "its zero lies elsewhere"),
        (lift(-3.07, -0.07, -1, "rad"), lift(0.07, 3.07, 1, "rad"), "the two have nothing in common"),
        (lift(-20, 100, 0), lift(-100, 20, 0), "the sign is turned over"),
        (lift(-100, 20, 0), lift(-20, 100, 0), "the sign is turned over"),
        (lift(0, 90, 45), lift(100, 120, 110), "the two have nothing in common"),
        (lift(-90, 90, 0), lift(-200, 200, 180), "typical lift of 180 lies outside the robot's -90 to 90 deg"),
        (lift(-110, 110, 0), lift(-98, 122, 0), "its zero lies elsewhere"),
    ],
)  # fmt: skip
def test_another_zero_shows_in_the_ranges_or_in_the_typical_state(
    here: Embodiment, there: Embodiment, said: str
) -> None:
    found = disagreements(robot(here), there)
    assert len(found) == 1
    assert found[0].startswith("zero: ")
    assert found[0].endswith(said)


@pytest.mark.parametrize(
    "there",
    [lift(-110, 110, 20), lift(-108, 112, 0), lift(-30, 60, 10), lift(-180, 180, 0), lift(0, 110, 30)],
    ids=["another pose", "another calibration", "a part", "wider", "a half"],
)
def test_a_narrower_range_or_another_pose_is_no_other_zero(there: Embodiment) -> None:
    assert disagreements(robot(lift(-110, 110, 0)), there) == []


def test_axes_of_other_units_are_not_compared_by_their_numbers() -> None:
    found = disagreements(robot(lift(-1, 1, 0, "rad")), lift(0, 220, 110, "deg"))
    assert found == [
        "state: lift in rad on the robot and in deg in the policy",
        "action: lift in rad on the robot and in deg in the policy",
    ]
