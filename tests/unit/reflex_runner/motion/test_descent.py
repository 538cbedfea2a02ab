"""The stop ladder: rung after rung, a failing one goes to the next, and nothing is commanded that is not declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Rung, StopLadder
from reflex_runner.motion.command_guard import CommandGuard
from reflex_runner.motion.descent import HOLD_S, SETTLE_S, Descent, rungs_of
from support.runner.arms import HOLDS, RESTS, arm, pose

PERIOD_S = 0.125
ALL = replace(RESTS, rungs=("hold", "return_to_rest", "release"), release_is_safe=True)


def descent(
    rungs: tuple[Rung, ...] | None = None, ladder: StopLadder = RESTS, at: tuple[float, float] = (10.0, 5.0)
) -> Descent:
    guard = CommandGuard(arm(ladder=ladder), max_clamped_steps=30)
    guard.begin(pose(*at))
    return Descent(rungs or ladder.rungs, ladder, guard, PERIOD_S)


def go(
    descending: Descent, seconds: float, measured: npt.NDArray[np.float32] | None = None, *, since: float = 100.0
) -> tuple[list[str], list[list[float]]]:
    """Acts and commands of so many seconds; the robot is measured where it is commanded, or as is said."""
    acts: list[str] = []
    commands: list[list[float]] = []
    at = pose(10, 5) if measured is None else measured
    for count in range(round(seconds / PERIOD_S) + 1):
        command = descending.command(since + count * PERIOD_S, at)
        act = descending.take_act()
        if act is not None:
            acts.append(act)
        if command is not None:
            commands.append(command.tolist())
            at = command if measured is None else measured
    return acts, commands


def test_a_ladder_of_hold_holds_once_and_is_over() -> None:
    holding = descent(ladder=HOLDS)
    assert not holding.is_over
    assert go(holding, 2.0) == (["hold"], [])
    assert holding.is_over
    assert holding.failures == []


def test_a_hold_stands_for_its_time_before_the_robot_goes_anywhere() -> None:
    returning = descent()
    assert go(returning, HOLD_S) == (["hold"], [])
    assert returning.rung == "return_to_rest"


def test_it_returns_to_rest_from_where_it_is_measured_at_the_declared_speed_and_is_over() -> None:
    returning = descent()
    go(returning, HOLD_S)
    acts, commands = go(returning, 3.0, since=101.0)
    assert acts == []
    assert commands[0] == [10, 5]
    assert commands[1] == [8.75, 5]  # 10 a second
    assert commands[8] == commands[-1] == [0, 5]
    assert len(commands) == 9
    assert returning.is_over


def test_after_a_hold_it_counts_from_the_measured_pose_and_not_from_the_last_command() -> None:
    returning = descent(at=(90.0, 5.0))
    go(returning, HOLD_S)
    first = returning.command(101.0, pose(20, 5))
    assert first is not None
    assert first.tolist() == [20, 5]


def test_without_a_hold_or_after_one_that_failed_it_counts_from_the_last_command() -> None:
    straight = descent(("return_to_rest",))
    first = straight.command(100.0, pose(20, 5))
    assert first is not None
    assert first.tolist() == [8.75, 5]
    failing = descent()
    failing.command(100.0, pose(10, 5))
    failing.take_act()
    failing.fail("no answer")
    first = failing.command(100.125, pose(20, 5))
    assert first is not None
    assert first.tolist() == [8.75, 5]


def test_without_a_measured_pose_it_counts_from_the_last_command() -> None:
    returning = descent()
    go(returning, HOLD_S)
    first = returning.command(101.0, None)
    assert first is not None
    assert first.tolist() == [8.75, 5]


def test_a_robot_that_is_not_measured_at_rest_in_time_fails_and_is_held_there() -> None:
    stuck = descent()
    go(stuck, HOLD_S)
    acts, commands = go(stuck, 1.0 + SETTLE_S + 1.0, pose(10, 40), since=101.0)
    assert commands[-1] == [0, 5]
    assert acts == ["hold"]
    assert stuck.failures == [
        "return_to_rest: the robot was not measured in its rest pose: something may be in its way, or a motor is off"
    ]
    assert stuck.is_over


def test_a_rest_pose_counts_as_reached_within_a_twentieth_of_the_range() -> None:
    for measured, is_there in ((pose(10.0, 10.0), True), (pose(10.1, 5), False), (pose(0, 10.1), False)):
        settling = descent(("return_to_rest",), at=(0.0, 5.0))
        settling.command(100.0, measured)
        assert settling.is_over is is_there


def test_release_comes_last_and_once() -> None:
    released = descent(ladder=ALL)
    acts, _ = go(released, 10.0)
    assert acts == ["hold", "release"]
    assert released.is_over


def test_a_rung_that_fails_goes_to_the_next() -> None:
    failing = descent(ladder=ALL)
    failing.command(100.0, pose(10, 5))
    assert failing.take_act() == "hold"
    failing.fail("no answer")
    assert str(failing.rung) == "return_to_rest"
    assert failing.command(100.125, pose(10, 5)) is not None
    failing.fail("no answer either")
    assert str(failing.rung) == "release"
    assert go(failing, 1.0, since=100.25)[0] == ["release"]
    assert failing.failures == ["hold: no answer", "return_to_rest: no answer either"]


def test_the_last_rung_that_fails_is_named_too() -> None:
    for rungs, ladder, act in ((("hold",), HOLDS, "hold"), (("release",), ALL, "release")):
        failing = descent(rungs, ladder)  # type: ignore[arg-type]
        failing.command(100.0, pose(10, 5))
        assert failing.take_act() == act
        failing.fail("no answer")
        assert failing.failures == [f"{act}: no answer"]
        assert failing.is_over


def test_a_robot_that_is_measured_nowhere_cannot_return_and_is_held() -> None:
    lost = descent()
    go(lost, HOLD_S)
    assert lost.command(101.0, pose(float("nan"), 0)) is None
    assert lost.take_act() == "hold"
    assert "axis0 is measured as nan" in lost.failures[0]


def test_cut_short_it_holds_at_once_and_leaves_the_rest() -> None:
    impatient = descent(ladder=ALL)
    go(impatient, HOLD_S + 0.5)
    impatient.cut_short()
    assert go(impatient, 5.0, since=101.0) == (["hold"], [])
    assert impatient.is_over


def test_a_robot_that_this_run_has_not_moved_is_only_held() -> None:
    assert rungs_of(ALL, has_begun=False) == ("hold",)
    assert rungs_of(ALL, has_begun=True) == ("hold", "return_to_rest", "release")


def test_nothing_is_released_that_is_not_declared_safe() -> None:
    unsafe = replace(ALL, rungs=("hold",), rest_pose=None, rest_speed=None)
    object.__setattr__(unsafe, "rungs", ("hold", "release"))
    object.__setattr__(unsafe, "release_is_safe", False)
    assert rungs_of(unsafe, has_begun=True) == ("hold",)
