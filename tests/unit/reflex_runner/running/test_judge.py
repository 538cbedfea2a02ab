from __future__ import annotations

import pytest

from reflex_runner.loop.stopping import StopRequests
from reflex_runner.running.judge import Judge, success_of
from reflex_runner.tick import Tick


class Marks:
    def __init__(self) -> None:
        self.told: list[object] = []

    def begin_episode(self, instruction: str | None = None) -> None:
        self.told.append(instruction)

    def end_episode(self, *, success: bool | None = None) -> None:
        self.told.append(success)


class Robot:
    def __init__(self, succeeded: object = False) -> None:
        self.succeeded = succeeded


def judged(robot: object, most: int = 3) -> tuple[Judge, Marks, StopRequests]:
    marks, stops = Marks(), StopRequests()
    judge = Judge(robot, marks, stops, most)
    judge.begin("pick")
    return judge, marks, stops


@pytest.mark.parametrize(("said", "known"), [(True, True), (False, False), (None, None), ("yes", None), (1, None)])
def test_only_a_robot_that_says_so_knows_whether_it_has_succeeded(said: object, known: bool | None) -> None:
    assert success_of(Robot(said)) is known
    assert success_of(object()) is None


def test_the_step_that_decided_it_is_the_last_of_the_episode() -> None:
    robot = Robot()
    judge, marks, stops = judged(robot)
    judge.ticked(Tick(0, 0.0, "move"))
    robot.succeeded = True
    judge.ticked(Tick(1, 0.1, "move"))
    assert stops.cause is not None
    assert (stops.cause.code, stops.cause.kind) == ("success", "end")
    assert (judge.success, judge.steps, marks.told) == (True, 2, ["pick", True])
    robot.succeeded = False
    judge.ticked(Tick(2, 0.2, "stop"))
    judge.end()
    assert (judge.success, marks.told) == (True, ["pick", True]), "it is ended once"


def test_an_episode_that_takes_too_long_has_failed_and_waiting_is_no_step() -> None:
    judge, marks, stops = judged(Robot())
    for kind in ("wait", "move", "hold", "move", "move"):
        assert stops.cause is None
        judge.ticked(Tick(0, 0.0, kind))
    assert stops.cause is not None
    assert (stops.cause.code, judge.success, marks.told) == ("max_steps", False, ["pick", False])


def test_whatever_ends_the_run_ends_the_episode_and_nobody_needs_to_record() -> None:
    judge, marks, stops = judged(Robot(None))
    judge.end()
    assert (judge.success, stops.cause, marks.told) == (None, None, ["pick", None])
    silent = Judge(Robot(True), None, StopRequests(), 3)
    silent.begin("pick")
    silent.end()
    assert silent.success is True
