from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.embodiments import load_embodiment
from reflex.errors import SetupError
from reflex_runner.so101.calibration import Calibration
from reflex_runner.so101.units import Scale, scale_for, unit_of
from support.servos.arms import CALIBRATION

REVERSED = Calibration(tuple(dataclasses.replace(joint, drive_mode=1) for joint in CALIBRATION.joints))
LOW = tuple(joint.range_min for joint in CALIBRATION.joints)
HIGH = tuple(joint.range_max for joint in CALIBRATION.joints)


def scale(name: str, calibration: Calibration = CALIBRATION) -> Scale:
    return scale_for(name, calibration)[0]


def test_degrees_count_from_the_middle_of_the_range_and_are_not_clipped() -> None:
    middle = [(low + high) / 2 for low, high in zip(LOW, HIGH, strict=True)]
    state = scale("so101").state([int(step) + 1024 for step in middle[:-1]] + [LOW[-1]])

    expected = [(int(step) + 1024 - step) * 360 / 4095 for step in middle[:-1]]
    assert state.tolist() == pytest.approx([*expected, 0.0], abs=1e-4)


def test_percent_are_of_half_the_range_and_clipped_to_it() -> None:
    percent = scale("so101_percent")

    assert percent.state(LOW).tolist() == [-100, -100, -100, -100, -100, 0]
    assert percent.state([step + 500 for step in HIGH]).tolist() == [100, 100, 100, 100, 100, 100]


def test_a_reversed_motor_counts_backwards_in_percent_and_not_in_degrees() -> None:
    assert scale("so101_percent", REVERSED).state(LOW).tolist() == [100, 100, 100, 100, 100, 100]
    assert scale("so101", REVERSED).state(LOW)[:-1].tolist() == scale("so101").state(LOW)[:-1].tolist()


@pytest.mark.parametrize("name", ["so101", "so101_percent"])
@pytest.mark.parametrize("calibration", [CALIBRATION, REVERSED], ids=["as built", "reversed"])
def test_every_step_comes_back_as_itself(name: str, calibration: Calibration) -> None:
    both = scale(name, calibration)
    for share in np.linspace(0, 1, 23):
        steps = tuple(int(low + share * (high - low)) for low, high in zip(LOW, HIGH, strict=True))
        assert both.steps(both.state(steps)) == steps


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_no_command_leaves_the_calibrated_range(values: list[float]) -> None:
    steps = scale("so101").steps(np.array(values, np.float32))

    assert all(low <= step <= high for low, step, high in zip(LOW, steps, HIGH, strict=True))


@pytest.mark.parametrize("values", [[0.0] * 5, [0.0] * 5 + [float("nan")], [float("inf")] + [0.0] * 5])
def test_what_is_no_action_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="6 finite numbers"):
        scale("so101").steps(np.array(values, np.float32))


def test_units_that_contradict_the_embodiment_are_refused() -> None:
    assert unit_of(load_embodiment("so101")) == "degrees"
    assert unit_of(load_embodiment("so101_percent")) == "percent"
    with pytest.raises(SetupError, match=r"`units: percent` contradicts .*so101, .*`embodiment: so101_percent`"):
        scale_for("so101", CALIBRATION, "percent")
    with pytest.raises(SetupError, match="`units: degrees` contradicts the embodiment so101_percent"):
        scale_for("so101_percent", CALIBRATION, "degrees")


def test_another_robot_and_other_units_are_refused() -> None:
    with pytest.raises(SetupError, match="franka is not an SO-101's"):
        scale_for("franka", CALIBRATION)
    so101 = load_embodiment("so101")
    with pytest.raises(SetupError, match=r"in units that an SO-101 is not driven in \(rad\)"):
        unit_of(dataclasses.replace(so101, state_units=("rad",) * 6, action_units=("rad",) * 6))
