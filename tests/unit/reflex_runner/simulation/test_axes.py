from __future__ import annotations

import numpy as np
import pytest

from reflex_runner.simulation.axes import AXES, GRIPPER, SIMULATED, UNITS, to_radians, to_units


def test_the_axes_are_those_of_the_embodiment_in_degrees_and_the_gripper_in_percent() -> None:
    assert SIMULATED.simulation
    assert AXES == SIMULATED.state_names == SIMULATED.action_names
    assert UNITS == ("deg", "deg", "deg", "deg", "deg", "percent_open")
    assert AXES[GRIPPER] == "gripper"


def test_a_degree_is_a_degree_and_an_open_gripper_110_of_them() -> None:
    np.testing.assert_allclose(np.degrees(to_radians(np.array([90, -45, 0, 1, 180, 100]))), [90, -45, 0, 1, 180, 110])
    np.testing.assert_allclose(np.degrees(to_radians(np.array([0, 0, 0, 0, 0, 50]))), [0, 0, 0, 0, 0, 55])


def test_what_is_measured_is_what_was_commanded_in_its_unit() -> None:
    low, high = np.array(SIMULATED.action_low), np.array(SIMULATED.action_high)
    for share in (0.0, 0.1, 0.5, 1.0):
        pose = low + share * (high - low)
        np.testing.assert_allclose(to_units(to_radians(pose)), pose, atol=1e-4)
    assert to_units(to_radians(low)).dtype == np.float32


@pytest.mark.parametrize("beyond", [-0.01, 0.01])
def test_a_joint_pressed_beyond_its_end_stop_reads_as_the_end_stop(beyond: float) -> None:
    end = np.array(SIMULATED.action_high if beyond > 0 else SIMULATED.action_low)
    np.testing.assert_array_equal(to_units(to_radians(end) + beyond), end.astype(np.float32))
