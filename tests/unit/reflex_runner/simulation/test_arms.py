from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.errors import HardwareError
from reflex_runner.simulation.arms import LiveArm, SteppedArm
from reflex_runner.simulation.eyes import Scene
from reflex_runner.simulation.faults import FaultInjector, Faults
from reflex_runner.simulation.world import World
from support.waiting import wait_until

PICTURE = np.zeros((4, 4, 3), np.uint8)


class Blind:
    """A studio without OpenGL: its pictures say when they were taken."""

    def __init__(self) -> None:
        self.is_closed, self.fails = False, False

    def look(self, scene: Scene) -> dict[str, Any]:
        if self.fails:
            raise OSError("the driver is gone")
        return {"front": PICTURE + np.uint8(min(255, scene.time_s * 10)), "wrist": PICTURE}

    def close(self) -> None:
        self.is_closed = True


def arm_of(kind: type[SteppedArm], faults: Faults | None = None) -> tuple[Any, World, Blind]:
    world, studio = World(), Blind()
    return kind(world, studio, FaultInjector(faults or Faults(), 0)), world, studio  # type: ignore[arg-type]


@pytest.fixture
def live() -> Iterator[tuple[LiveArm, World, Blind]]:
    arm, world, studio = arm_of(LiveArm)
    arm.start()
    yield arm, world, studio
    arm.stop()


def test_a_stepped_arm_goes_on_by_its_commands_alone() -> None:
    arm, world, _ = arm_of(SteppedArm)
    state, _ = arm.measure()
    assert world.time_s == 0.0
    arm.command(np.stack([state, state + 4, state + 8]).astype(np.float32), 0.1)
    assert world.time_s == pytest.approx(0.3, abs=0.02)
    np.testing.assert_allclose(arm.measure()[0], state + 8, atol=4.0)
    assert arm.pictures()["front"].image[0, 0, 0] == 3, "of now"


def test_a_live_arm_goes_on_by_itself_and_holds_where_it_is_held(live: tuple[LiveArm, World, Blind]) -> None:
    arm, world, _ = live
    before, _ = arm.measure()
    wait_until(lambda: world.time_s > 0.2, "time passes")
    np.testing.assert_allclose(arm.measure()[0], before, atol=0.1)
    goal = before + np.float32(10.0)
    arm.command(goal[None], 1 / 30)
    wait_until(lambda: np.abs(arm.measure()[0] - goal).max() < 0.5, "the arm goes where it is told")
    arm.command(np.stack([goal, goal + 8]), 5.0)
    arm.hold()
    held_s = world.time_s
    wait_until(lambda: world.time_s > held_s + 0.3, "time passes")
    np.testing.assert_allclose(arm.measure()[0], goal, atol=1.0)


def test_a_live_arm_says_when_it_measured_and_when_it_saw(live: tuple[LiveArm, World, Blind]) -> None:
    arm, _, _ = live
    began = SYSTEM_CLOCK.now()
    wait_until(lambda: arm.measure()[1] > began, "a newer state")
    wait_until(lambda: arm.pictures()["front"].captured_s > began, "a newer picture")
    first = arm.measure()[1]
    wait_until(lambda: arm.measure()[1] > first, "and on it goes")
    assert arm.measure()[1] <= SYSTEM_CLOCK.now()


def test_a_simulation_that_ended_by_itself_says_why_to_whoever_asks_next(live: tuple[LiveArm, World, Blind]) -> None:
    arm, _, studio = live
    studio.fails = True

    def has_failed() -> bool:
        try:
            arm.measure()
        except HardwareError as exc:
            return "the simulation has ended: the driver is gone" in str(exc)
        return False

    wait_until(has_failed, "the failure of a thread is told")
    with pytest.raises(HardwareError):
        arm.pictures()
    with pytest.raises(HardwareError):
        arm.command(np.zeros((1, 6), np.float32), 0.1)
    arm.hold()


def test_a_stopped_arm_leaves_no_thread_and_no_open_camera() -> None:
    before = set(threading.enumerate())
    arm, _, studio = arm_of(LiveArm)
    arm.start()
    assert set(threading.enumerate()) > before
    arm.stop()
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
    assert studio.is_closed


def test_faults_reach_both_kinds_of_arm() -> None:
    arm, world, _ = arm_of(SteppedArm, Faults(jammed_axis="shoulder_pan", frozen_camera="front", dropped_readings=1.0))
    first, moment = arm.measure()
    arm.pictures()
    arm.command((first + 5)[None].repeat(30, 0).astype(np.float32), 1 / 30)
    assert world.state()[0] == pytest.approx(first[0], abs=0.05)
    assert arm.measure()[1] == moment
    assert arm.pictures()["front"].image[0, 0, 0] == 0
