from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reflex_runner.simulation.eyes import CAMERAS, Eyes, Scene
from reflex_runner.simulation.world import World
from support.outside.drawing import skip_without_pictures
from support.waiting import HANGS_S

Picture = npt.NDArray[Any]


@pytest.fixture(scope="module")
def world() -> World:
    skip_without_pictures()
    return World(seed=1)


def redness(picture: Picture) -> Picture:
    colours = picture.astype(int)
    red: Picture = (colours[..., 0] > 120) & (colours[..., 1] < 70) & (colours[..., 2] < 70)
    return red


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64), (64, 128), (640, 480)])
def test_a_picture_of_any_size_is_drawn_by_each_camera(world: World, width: int, height: int) -> None:
    with Eyes(world.model, width, height) as eyes:
        pictures = eyes.look(Scene(world))
    assert tuple(pictures) == CAMERAS == ("front", "wrist")
    for picture in pictures.values():
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5, "something is to be seen"


def test_the_cube_is_seen_where_it_lies(world: World) -> None:
    lefts = []
    with Eyes(world.model, 128, 128, ("front",)) as eyes:
        for y in (-0.1, 0.1):
            world.cube.middle[:] = (0.18, y, 0.0125)
            world.advance(0.01)
            red = redness(eyes.look(Scene(world))["front"])
            assert 20 < red.sum() < 400
            lefts.append(np.argwhere(red)[:, 1].mean())
    assert lefts[0] < 50 < 78 < lefts[1], "the camera looks at the arm: its left is the arm's right"


def test_every_cube_lies_in_the_front_cameras_picture(world: World) -> None:
    with Eyes(world.model, 96, 96, ("front",)) as eyes:
        for seed in range(20):
            world.reset(seed)
            world.data.qpos[:] = 0.0  # upright: the arm hides nothing
            assert redness(eyes.look(Scene(world))["front"]).sum() >= 12, f"seed {seed}"


def test_both_of_two_cubes_are_in_the_front_cameras_picture() -> None:
    skip_without_pictures()
    world = World(wanted="green")
    with Eyes(world.model, 96, 96, ("front",)) as eyes:
        for seed in range(20):
            world.reset(seed)
            world.data.qpos[:] = 0.0  # upright: the arm hides nothing
            picture = eyes.look(Scene(world))["front"]
            green = (picture[..., 1] > 60) & (picture[..., 0] < 50) & (picture[..., 2] < 50)
            assert min(green.sum(), redness(picture).sum()) >= 12, f"seed {seed}"


def test_a_picture_is_of_its_moment_though_the_world_went_on(world: World) -> None:
    with Eyes(world.model, 64, 64) as eyes:
        world.reset(1)
        scene = Scene(world)
        before = eyes.look(scene)
        world.command(world.state() + np.float32(10.0))
        world.advance(0.5)
        np.testing.assert_array_equal(eyes.look(scene)["front"], before["front"])
        assert not np.array_equal(eyes.look(Scene(world))["front"], before["front"])


@pytest.mark.slow
def test_a_machine_that_cannot_draw_is_told_which_packages_it_lacks() -> None:
    code = (
        "from reflex_runner.errors import NoPicturesError\n"
        "from reflex_runner.simulation.eyes import Eyes\n"
        "from reflex_runner.simulation.world import World\n"
        "try: Eyes(World().model, 64, 64)\n"
        "except NoPicturesError as exc: print(exc)"
    )
    environment = {**os.environ, "MUJOCO_GL": "egl", "__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere.json"}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True, timeout=HANGS_S
    )
    assert "libegl1, libgl1 and libgl1-mesa-dri" in answer.stdout
    assert answer.stdout.count("\n") == 1, "one sentence"
