"""Only hands move a robot, and in dry_run there are none."""

from __future__ import annotations

import pytest

from reflex.connector import ActionChunk
from reflex_runner.errors import HardwareError
from reflex_runner.loop.hands import Hands, hands_for
from support.runner.arms import pose
from support.runner.world import RecordingArm


def test_in_dry_run_there_is_nothing_that_could_move_anything() -> None:
    assert hands_for("dry_run", RecordingArm(), 0.1) is None


def test_a_command_goes_to_the_robot_as_a_chunk_of_one_step_that_is_its_own() -> None:
    class Arm(RecordingArm):
        def apply_action(self, chunk: ActionChunk) -> None:
            self.chunk = chunk

    arm, command = Arm(), pose(1, 2)
    hands = hands_for("apply_actions", arm, 0.125)
    assert hands is not None
    hands.apply(command)
    command[:] = 9
    assert arm.chunk.actions.tolist() == [[1, 2]]
    assert arm.chunk.step_s == 0.125


def test_to_hold_is_the_connectors_safe_stop_with_the_reason() -> None:
    arm = RecordingArm()
    Hands(arm, 0.1).do("hold", "the server is silent")
    assert [(done.what, done.reason) for done in arm.done] == [("safe_stop", "the server is silent")]


def test_to_release_needs_a_connector_that_can() -> None:
    arm = RecordingArm()
    Hands(arm, 0.1).do("release", "")
    assert arm.whats() == ["release"]

    class Stiff:
        pass

    with pytest.raises(HardwareError, match=r"no release\(\): the motors keep their torque"):
        Hands(Stiff(), 0.1).do("release", "")  # type: ignore[arg-type]
