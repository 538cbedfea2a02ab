from __future__ import annotations

from dataclasses import replace
from typing import Any

from reflex.connector.marks import EpisodeMarks
from reflex_runner.running.instructed import instructed
from support.runner.quick import QuickArm


class Tasked(QuickArm):
    task: str | None = None

    def get_observation(self) -> Any:
        found: Any = super().get_observation()
        return found if found is None else replace(found, task=self.task)


def test_the_policy_is_told_what_is_to_be_done_in_the_open_episode() -> None:
    arm, marks = Tasked(), EpisodeMarks()
    robot = instructed(arm, marks)
    assert robot.get_observation().task is None
    marks.begin("pick")
    assert robot.get_observation().task == "pick"
    arm.task = "its own"
    assert robot.get_observation().task == "its own"
    marks.end()
    arm.task = None
    assert robot.get_observation().task is None
    arm.ends_after = 0
    assert robot.get_observation() is None


def test_in_all_else_it_is_the_robot() -> None:
    arm = Tasked()
    robot: Any = instructed(arm, EpisodeMarks())
    assert (robot.embodiment, robot.calibration_id) == (arm.embodiment, arm.calibration_id)
    robot.safe_stop("enough")
    assert arm.told == ["safe_stop enough"]
    assert getattr(robot, "watch_handle", None) is None
    assert instructed(arm, None) is arm
