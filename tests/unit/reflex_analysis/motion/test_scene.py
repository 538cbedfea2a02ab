from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reflex.embodiments import load_embodiment
from reflex_analysis.motion.scene import SWING, Scene
from support.motion.trials import served


def test_a_state_that_is_an_axis_is_its_position() -> None:
    scene = Scene(served().shape, load_embodiment("so101"))
    positions = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 60.0])

    assert scene.state(positions) == positions.tolist()
    assert scene.rest.tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, 50.0]


def test_a_state_that_is_none_swings_round_its_mean_as_the_arm_moves() -> None:
    """The Panda's state is the pose of its hand."""
    franka = load_embodiment("franka")
    scene = Scene(served().shape, franka)
    low = scene.state(np.array(franka.action_low))
    middle = scene.state(scene.rest)

    assert middle == pytest.approx(franka.mean_state)
    assert low == pytest.approx([mean - SWING for mean in franka.mean_state])


def test_pictures_have_the_size_that_each_camera_wants_and_change_with_the_arm() -> None:
    shape = dataclasses.replace(served().shape, cameras={"image": (64, 48), "wrist": (32, 32)})
    scene = Scene(shape, load_embodiment("franka"))
    here, there = scene.pictures(scene.rest), scene.pictures(scene.rest + 0.5)

    assert {name: picture.size for name, picture in here.items()} == shape.cameras
    assert here["image"].tobytes() != there["image"].tobytes()


def test_positions_beyond_the_range_are_drawn_at_its_end() -> None:
    franka = load_embodiment("franka")
    scene = Scene(served().shape, franka)
    beyond, end = np.array(franka.action_high) + 5.0, np.array(franka.action_high)

    assert scene.pictures(beyond)["image"].tobytes() == scene.pictures(end)["image"].tobytes()
