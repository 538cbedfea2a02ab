"""Statistics in other units, of another zero or sign than the robot's are named; right ones pass without a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reflex.embodiments import Embodiment, load_embodiment
from reflex_export.checkpoint import Checkpoint, Normalizer, RelativeActions
from reflex_export.exporting.units_fit import Doubt, doubts_about_units
from reflex_export.reading import read_checkpoint
from support.checkpoints.golden import golden_checkpoint

GOLDEN = ["act", "pi0", "pi05", "smolvla", *(f"variants/{n}" for n in ("pi0_basekeys", "pi05_basekeys"))]
GOLDEN += ["variants/smolvla_longest"]
DEMO = Path(__file__).parents[4] / "export" / "demo_checkpoint"

Ends = tuple[Sequence[float], Sequence[float]]
DEGREES: Ends = ([-95, -99, -60, -70, -150, 1], [80, 60, 96, 92, 160, 70])
PERCENT: Ends = ([-86, -99.8, -62, -74, -83, 1], [73, 60, 99.5, 99.1, 89, 70])
CLIPPED: Ends = ([-100, -100, -62, -100, -83, 0], [73, 60, 100, 99.5, 89, 100])
RADIANS: Ends = ([-1.6, -1.7, -1.0, -1.2, -2.6, -0.1], [1.4, 1.0, 1.65, 1.6, 2.7, 1.7])
TICKS: Ends = ([900, 800, 850, 900, 50, 1500], [3100, 2900, 3000, 3100, 4000, 2900])
CENTRED_TICKS: Ends = ([-1100, -1100, -700, -800, -1700, 0], [900, 700, 1000, 1000, 1800, 900])
OLD_ZERO: Ends = ([-95, -9, -6, -70, -150, 1], [80, 180, 175, 92, 160, 70])
TURNED: Ends = ([-95, -99, -60, -70, -150, -70], [80, 60, 96, 92, 160, -1])


def extremes(ends: Ends) -> Normalizer:
    low, high = (np.array(values, np.float32) for values in ends)
    return Normalizer("MIN_MAX", {"min": low, "max": high})


def quantiles(ends: Ends) -> Normalizer:
    low, high = (np.array(values, np.float32) for values in ends)
    return Normalizer("QUANTILES", {"q01": low, "q99": high})


def deciles(ends: Ends) -> Normalizer:
    low, high = (np.array(values, np.float32) for values in ends)
    return Normalizer("QUANTILE10", {"q10": low, "q90": high})


def spread(ends: Ends) -> Normalizer:
    """Mean and deviation of values that are spread evenly."""
    low, high = (np.array(values, np.float32) for values in ends)
    return Normalizer("MEAN_STD", {"mean": (low + high) / 2, "std": (high - low) / np.float32(12**0.5)})


def policy(action: Normalizer, state: Normalizer | None = None) -> Checkpoint:
    return replace(golden_checkpoint("act"), action=action, state=action if state is None else state)


def doubts(checkpoint: Checkpoint, robot: str | Embodiment = "so101") -> list[Doubt]:
    return doubts_about_units(checkpoint, load_embodiment(robot) if isinstance(robot, str) else robot)


def only_doubt(checkpoint: Checkpoint, robot: str | Embodiment = "so101") -> Doubt:
    (doubt,) = doubts(checkpoint, robot)
    return doubt


@pytest.mark.parametrize("robot", ["so101", "so101_percent"])
@pytest.mark.parametrize("name", GOLDEN)
def test_no_recorded_checkpoint_is_doubted(name: str, robot: str) -> None:
    assert doubts(golden_checkpoint(name), robot) == []


@pytest.mark.parametrize("name", GOLDEN)
def test_no_recorded_checkpoint_is_refused_on_an_arm_in_radians(name: str) -> None:
    assert not any(doubt.is_certain for doubt in doubts(golden_checkpoint(name), "ur5"))


def test_a_recorded_checkpoint_of_two_axes_is_not_doubted() -> None:
    two = dict.fromkeys(("state_names", "action_names"), ("x", "y")) | {
        "state_units": ("m", "m"),
        "action_units": ("m", "m"),
    }
    limits = {
        "mean_state": (0.0, 0.0),
        "action_low": (-4.0, -4.0),
        "action_high": (4.0, 4.0),
        "action_max_step": (1.0, 1.0),
    }
    assert doubts(golden_checkpoint("diffusion"), replace(load_embodiment("ur5"), name="two", **two, **limits)) == []  # type: ignore[arg-type]


def test_the_policy_that_ships_is_not_doubted() -> None:
    assert doubts(read_checkpoint(DEMO), "franka") == []


@pytest.mark.parametrize("made", [extremes, quantiles, spread])
@pytest.mark.parametrize(
    ("ends", "robot"), [(DEGREES, "so101"), (PERCENT, "so101_percent"), (CLIPPED, "so101_percent"), (RADIANS, "ur5")]
)
def test_statistics_in_the_robots_own_units_pass_without_a_word(ends: Ends, robot: str, made: type) -> None:
    assert doubts(policy(made(ends)), robot) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "robot", "unit", "remedy"),
    [
        (DEGREES, "so101_percent", "degrees", "--embodiment so101 would fit"),
        (RADIANS, "so101", "radians", "No embodiment of Reflex has these axes in radians"),
        (RADIANS, "so101_percent", "radians", "No embodiment of Reflex has these axes in radians"),
        (TICKS, "so101", "ticks", "No embodiment of Reflex has these axes in ticks"),
        (TICKS, "so101_percent", "ticks", "No embodiment of Reflex has these axes in ticks"),
        (CENTRED_TICKS, "so101", "ticks", "No embodiment of Reflex has these axes in ticks"),
        (DEGREES, "ur5", "degrees", "No embodiment of Reflex has these axes in degrees"),
        (OLD_ZERO, "so101_percent", "degrees", "shoulder_lift fits with -90 degrees added"),
    ],
)
@pytest.mark.parametrize("made", [extremes, quantiles, deciles])
def test_another_unit_is_named_with_what_would_fit(ends: Ends, robot: str, unit: str, remedy: str, made: type) -> None:
    doubt = only_doubt(policy(made(ends)), robot)
    assert doubt.is_certain
    assert doubt.what.startswith(f"action and observation.state: reads as {unit}")
    assert remedy in doubt.what


def test_every_axis_that_cannot_be_is_told_with_both_ranges() -> None:
    said = only_doubt(
        policy(extremes(([-110, -105, -98, -100, -170, 0], [110, 105, 98, 100, 170, 100]))), "so101_percent"
    )
    assert "shoulder_pan from -110 to 110 against -100 to 100" in said.what
    assert "wrist_roll from -170 to 170 against -100 to 100" in said.what
    assert "elbow_flex" not in said.what


@pytest.mark.parametrize(("ends", "is_certain"), [(CLIPPED, True), (PERCENT, False)])
def test_percent_on_an_arm_in_degrees_are_told_by_their_clipped_ends(ends: Ends, is_certain: bool) -> None:
    doubt = only_doubt(policy(extremes(ends)))
    assert doubt.is_certain == is_certain
    assert "as percent do and degrees do not" in doubt.what
    assert "--embodiment so101_percent would fit" in doubt.what


def test_an_old_zero_is_named_on_each_axis_that_has_it() -> None:
    found = doubts(policy(extremes(OLD_ZERO)))
    assert [doubt.is_certain for doubt in found] == [True, True]
    for doubt, axis in zip(found, ("shoulder_lift from -9 to 180", "elbow_flex from -6 to 175"), strict=True):
        assert axis in doubt.what
        assert "fits with -90 degrees added, so its zero lies elsewhere" in doubt.what


@pytest.mark.parametrize(("ends", "shift"), [((90, 280), -180), ((-280, -90), 180), ((-180, 5), 90), ((-5, 180), -90)])
def test_a_zero_that_lies_a_quarter_or_half_a_turn_away_is_told_with_the_way_back(
    ends: tuple[float, float], shift: float
) -> None:
    low, high = [ends[0], *DEGREES[0][1:]], [ends[1], *DEGREES[1][1:]]
    doubt = only_doubt(policy(extremes((low, high))))
    assert doubt.is_certain
    assert f"fits with {shift:+d} degrees added" in doubt.what


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(65, 95, "shifted by 90: two zeros?"), (70, 70, "is the action a difference"), (35, 50, "is the action a diff")],
)
def test_state_and_action_that_never_meet_are_told_with_what_would_bring_them_together(
    low: float, high: float, says: str
) -> None:
    action, state = (([*DEGREES[0]], [*DEGREES[1]]) for _ in range(2))
    (action[0][1], action[1][1]), (state[0][1], state[1][1]) = (low, high), (-30, -10)
    doubt = only_doubt(policy(extremes(action), extremes(state)))
    assert not doubt.is_certain
    assert says in doubt.what


def test_percent_are_not_told_by_ends_where_a_joint_has_its_own() -> None:
    limits = {"action_low": (-99.0,) * 5 + (0.0,), "action_high": (99.0,) * 5 + (100.0,)}
    arm = replace(load_embodiment("so101"), **limits)  # type: ignore[arg-type]
    assert doubts(policy(extremes(([-99.5] * 5 + [1], [99.5] * 5 + [70]))), arm) == []


def test_a_sign_that_is_the_other_one_is_named_where_the_range_tells() -> None:
    doubt = only_doubt(policy(extremes(TURNED)))
    assert doubt.is_certain
    assert "gripper from -70 to -1 against 0 to 100: fits with its sign turned" in doubt.what


def test_a_sign_that_differs_between_state_and_action_is_named() -> None:
    action, state = (([*DEGREES[0]], [*DEGREES[1]]) for _ in range(2))
    action[0][1], action[1][1] = 20, 60
    state[0][1], state[1][1] = -60, -20
    doubt = only_doubt(policy(extremes(action), extremes(state)))
    assert doubt.is_certain
    assert doubt.what.startswith("shoulder_lift: action from 20 to 60, observation.state from -60 to -20")
    assert "the sign of one of them" in doubt.what


def test_state_and_action_in_different_units_are_named_although_each_is_in_range() -> None:
    doubt = only_doubt(policy(extremes(DEGREES), golden_checkpoint("act").state))
    assert doubt.is_certain
    assert doubt.what.startswith("action and observation.state are not in the same unit: shoulder_pan from -95 to 80")


@pytest.mark.parametrize("made", [extremes, quantiles, spread])
def test_turns_or_normalised_values_on_an_arm_in_degrees_are_named(made: type) -> None:
    low, high = ([value / 360 for value in ends] for ends in DEGREES)
    doubt = only_doubt(policy(made((low, high))))
    assert doubt.is_certain
    assert doubt.what.startswith("action and observation.state: no joint goes further than 0.")
    assert "degrees: these are turns or normalised" in doubt.what


@pytest.mark.parametrize("robot", ["so101", "so101_percent", "ur5"])
def test_an_arm_that_moved_by_a_degree_or_two_did_not_stand_still(robot: str) -> None:
    low, high = [-0.2, -1.6, -0.4, -0.1, -0.3, 0], [0.1, 0.2, 1.7, 0.2, 0.4, 20]
    assert not any("no joint" in doubt.what for doubt in doubts(policy(extremes((low, high))), robot))


def test_a_state_that_is_the_action_turned_over_is_named() -> None:
    action, state = (([*DEGREES[0]], [*DEGREES[1]]) for _ in range(2))
    action[0][1], action[1][1], state[0][1], state[1][1] = -10, 98, -97, 12
    doubt = only_doubt(policy(extremes(action), extremes(state)))
    assert not doubt.is_certain
    assert doubt.what.startswith("shoulder_lift: action from -10 to 98 is observation.state from -97 to 12 turned over")


@pytest.mark.parametrize("ends", [(-60, 70), (-10, 98), (-80, 40)])
def test_a_state_that_is_no_mirror_image_of_a_skewed_action_passes(ends: tuple[float, float]) -> None:
    action, state = (([*DEGREES[0]], [*DEGREES[1]]) for _ in range(2))
    action[0][1], action[1][1] = -10, 98
    state[0][1], state[1][1] = ends
    assert doubts(policy(extremes(action), extremes(state))) == []


def test_values_that_no_robot_has_are_told_of_every_axis() -> None:
    low, high = ([value * 1e30 for value in ends] for ends in DEGREES)
    found = doubts(policy(extremes((low, high))))
    names = load_embodiment("so101").action_names
    assert [doubt.is_certain for doubt in found] == [True] * 6
    assert all(f": {name} from " in doubt.what for name, doubt in zip(names, found, strict=True))


def test_three_axes_that_hardly_moved_are_no_other_unit() -> None:
    low, high = ([*ends] for ends in DEGREES)
    low[:3], high[:3] = (0, 0, 0), (1, 1, 1)
    assert doubts(policy(extremes(DEGREES), extremes((low, high)))) == []


def test_degrees_that_end_near_100_by_chance_pass_where_others_exceed_it() -> None:
    assert doubts(policy(extremes(([-99.5, -99, -60, -99.2, -160, 1], [99.2, 60, 99.5, 92, 160, 70])))) == []


def test_mean_and_deviation_of_an_axis_that_is_mostly_at_its_end_pass() -> None:
    normalizer = spread(DEGREES)
    mean, std = normalizer.statistics["mean"].copy(), normalizer.statistics["std"].copy()
    mean[5], std[5] = 75, 43.3  # a gripper that is open for three quarters of the time
    assert doubts(policy(Normalizer("MEAN_STD", {"mean": mean, "std": std}))) == []


def test_where_most_axes_do_not_fit_another_unit_is_no_explanation() -> None:
    found = doubts(policy(extremes(([90, -9, -6, -70, -150, 1], [250, 180, 175, 92, 160, 70]))), "so101_percent")
    assert {"out of range" in doubt.what for doubt in found} == {True}


@pytest.mark.parametrize(
    ("axis", "low", "high", "says"),
    [
        (1, -9, 125, "shoulder_lift from -9 to 125 against -100 to 100: out of range"),
        (5, 0, 1, "gripper from 0 to 1 against 0 to 100: it reads as a fraction"),
        (0, -130, 120, "shoulder_pan from -130 to 120 against -110 to 110: out of range"),
    ],
)
def test_what_is_odd_but_may_be_right_is_no_certain_doubt(axis: int, low: float, high: float, says: str) -> None:
    ends = ([*DEGREES[0]], [*DEGREES[1]])
    ends[0][axis], ends[1][axis] = low, high
    doubt = only_doubt(policy(extremes(ends)))
    assert not doubt.is_certain
    assert says in doubt.what


def test_an_axis_that_lies_wholly_elsewhere_is_certain() -> None:
    ends = ([500, *DEGREES[0][1:]], [700, *DEGREES[1][1:]])
    assert only_doubt(policy(extremes(ends))).is_certain


def test_relative_actions_have_no_range_to_be_held_against() -> None:
    steps = extremes(([-0.5] * 5 + [1], [0.5] * 5 + [70]))
    relative = RelativeActions((True,) * 5 + (False,))
    checkpoint = replace(policy(steps, extremes(DEGREES)), relative_actions=relative)
    assert doubts(checkpoint) == []


def test_a_policy_that_normalises_nothing_says_nothing() -> None:
    assert doubts(policy(Normalizer("IDENTITY"))) == []
