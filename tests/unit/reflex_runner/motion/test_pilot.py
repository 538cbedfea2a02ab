"""What is commanded in each period: wait, move, hold, stop; each rule by itself, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reflex.embodiments import StopLadder
from reflex.errors import SetupError
from reflex_runner.motion.descent import StopCause
from reflex_runner.motion.pilot import Pilot
from reflex_runner.motion.settings import MotionSettings
from reflex_runner.tick import Tick
from support.runner.arms import HOLDS, RESTS, arm, chunk, pose

PERIOD_S = 0.125
HERE = pose(10, 50)
ENOUGH = StopCause("enough", "somebody said so", "operator")


def pilot(*, ladder: StopLadder | None = HOLDS, applies: bool = True, **settings: Any) -> Pilot:
    given = {"ease_in_s": 0.0, "period_s": PERIOD_S} | settings
    return Pilot(MotionSettings(robot=arm(ladder=ladder), **given), applies=applies)


def moving(now: float = 100.0, **settings: Any) -> Pilot:
    """It has begun at HERE, by a chunk of `now`."""
    made = pilot(**settings)
    assert made.admit(chunk(HERE, now), now) is None
    assert made.tick(now, HERE).kind == "move"
    return made


def commanded(tick: Tick) -> list[float]:
    assert tick.command is not None
    values: list[float] = tick.command.tolist()
    return values


def test_nothing_is_commanded_before_a_chunk_and_a_measured_pose_are_here() -> None:
    waiting = pilot()
    assert (waiting.tick(100.0, HERE).kind, waiting.tick(100.1, HERE).command) == ("wait", None)
    waiting.admit(chunk((50, 50), 100.1), 100.1)
    assert waiting.tick(100.2, None).kind == "wait"
    assert not waiting.has_begun
    assert commanded(waiting.tick(100.25, HERE)) == [10, 50]


def test_the_first_command_is_the_measured_pose_and_the_way_from_there_is_eased() -> None:
    easing = pilot(ease_in_s=1.0, hold_after_ms=990)
    easing.admit(chunk((18, 50), 100.0), 100.0)
    ticks = [easing.tick(100.0 + count * PERIOD_S, HERE) for count in range(8)]
    assert [commanded(tick)[0] for tick in ticks] == [10, 11, 12, 13, 14, 15, 16, 17]


def test_from_far_away_it_eases_in_below_the_step_limit_without_any_help_of_the_guard() -> None:
    easing = pilot(ease_in_s=0.5)
    before = HERE
    for count in range(60):
        now = 100.0 + count * PERIOD_S
        easing.admit(chunk((-90, 0), now, seq=count), now)
        tick = easing.tick(now, HERE)
        assert tick.violations == ()
        assert tick.command is not None
        assert (np.abs(tick.command - before) <= (2.001, 4.001)).all(), "a quarter of the top speed"
        before = tick.command
    assert before == pytest.approx([-90, 0], abs=1.0)


def test_a_chunk_is_followed_by_the_time_of_its_observation() -> None:
    followed = moving(hold_after_ms=900)
    ramp = chunk([[10 + 2.0 * step, 50] for step in range(16)], 100.0625, seq=1)
    followed.admit(ramp, 100.25)
    ticks = [followed.tick(100.25 + count * PERIOD_S / 2, HERE) for count in range(4)]
    assert [tick.wanted is not None and tick.wanted.tolist()[0] for tick in ticks] == [13, 14, 15, 16]
    assert ticks[0].chunk_seq == 1


@pytest.mark.parametrize(("age_s", "kind"), [(0.2499, "move"), (0.25, "hold"), (0.9999, "hold"), (1.0, "stop")])
def test_it_holds_without_a_young_chunk_and_stops_without_one_that_is_not_old(age_s: float, kind: str) -> None:
    silent = moving()
    tick = silent.tick(100.0 + age_s, HERE)
    assert tick.kind == kind
    assert (silent.cause is not None) == (kind == "stop")
    if kind == "hold":
        assert commanded(tick) == [10, 50]


def test_a_stop_for_silence_says_how_old_the_newest_answered_observation_is() -> None:
    silent = moving()
    silent.tick(101.5, HERE)
    assert silent.cause is not None
    assert silent.cause.code == "stale_chunk"
    assert "is 1.50 s old: the server is silent or too slow" in silent.cause.message


def test_a_chunk_that_came_late_is_as_old_as_its_observation() -> None:
    late = moving()
    late.admit(chunk((12, 50), 100.1, seq=1), 100.4)
    assert late.tick(100.4, HERE).kind == "hold"


def test_a_chunk_that_is_used_up_is_held_though_it_is_young() -> None:
    short = pilot(hold_after_ms=900)
    short.admit(chunk([[10.0, 50.0], [10.0, 50.0]], 100.0), 100.0)
    assert [short.tick(100.0 + count * PERIOD_S, HERE).kind for count in range(3)] == ["move", "move", "hold"]


def test_a_new_chunk_ends_a_hold_from_the_last_command() -> None:
    held = moving()
    assert held.tick(100.5, HERE).kind == "hold"
    held.admit(chunk((14, 50), 100.6, seq=1), 100.625)
    tick = held.tick(100.625, pose(70, 70))
    assert tick.kind == "move"
    assert commanded(tick) == [10, 50]
    assert 10 < commanded(held.tick(100.75, pose(70, 70)))[0] < 14


def test_a_new_chunk_is_blended_in_over_some_periods() -> None:
    blended = moving(hold_after_ms=900)
    blended.admit(chunk((20, 50), 100.1, seq=1), 100.1)
    commands = [commanded(blended.tick(100.0 + count * PERIOD_S, HERE))[0] for count in range(1, 8)]
    assert commands == sorted(commands)
    assert commands[0] < 13
    assert commands[-1] == 20


def test_what_the_server_has_joined_is_not_blended_again_but_for_what_is_left() -> None:
    joined = moving(hold_after_ms=900)
    joined.admit(chunk((14, 50), 100.1, seq=1, rtc_applied=True), 100.1)
    assert commanded(joined.tick(100.125, HERE)) == [14, 50]
    stood = moving()
    stood.tick(100.5, HERE)
    stood.admit(chunk((14, 50), 100.6, seq=1, rtc_applied=True), 100.6)
    assert commanded(stood.tick(100.625, HERE)) == [10, 50], "it stood, so there is nothing to be continued"


def test_every_command_is_held_to_the_limits_from_the_last_one_and_says_so() -> None:
    wild = moving(hold_after_ms=900)
    wild.admit(chunk((100, 130), 100.1, seq=1, rtc_applied=True), 100.1)
    tick = wild.tick(100.125, pose(90, 90))
    assert commanded(tick) == [18, 66]
    assert [(violation.axis, violation.kind) for violation in tick.violations] == [
        (0, "step_limit"),
        (1, "above_range"),
    ]
    assert commanded(wild.tick(100.25, pose(90, 90))) == [26, 82]


def test_too_many_changed_commands_in_a_row_stop() -> None:
    wild = moving(max_clamped_steps=3, hold_after_ms=900)
    wild.admit(chunk((100, 50), 100.1, seq=1, rtc_applied=True), 100.1)
    kinds = [wild.tick(100.0 + count * PERIOD_S, HERE).kind for count in range(1, 6)]
    assert kinds == ["move", "move", "move", "stop", "stop"]
    assert wild.cause is not None
    assert wild.cause.code == "clamped_steps"
    assert "3 commands in a row" in wild.cause.message


def test_a_chunk_that_is_not_finite_is_refused_and_the_one_before_it_goes_on() -> None:
    poisoned = moving()
    refusal = poisoned.admit(chunk((float("nan"), 50), 100.1, seq=1), 100.1)
    assert refusal is not None
    assert "not a finite float32" in refusal
    assert poisoned.tick(100.125, HERE).chunk_seq == 0


def test_a_robot_that_stands_outside_its_range_stops_before_anything_is_commanded() -> None:
    outside = pilot()
    outside.admit(chunk(HERE, 100.0), 100.0)
    tick = outside.tick(100.0, pose(10, -40))
    assert (tick.kind, tick.command) == ("stop", None)
    assert outside.cause is not None
    assert outside.cause.code == "previous_action"
    assert outside.take_act() == "hold"
    assert outside.is_over


def test_a_stop_latches_whatever_comes_afterwards() -> None:
    stopped = moving()
    stopped.stop(ENOUGH)
    stopped.stop(StopCause("later", "another reason"))
    assert stopped.cause is ENOUGH
    acts = []
    for count in range(1, 20):
        now = 100.0 + count * PERIOD_S
        assert stopped.admit(chunk((50, 50), now, seq=count), now) == "the run has stopped"
        tick = stopped.tick(now, HERE)
        assert (tick.kind, tick.command) == ("stop", None)
        acts.append(stopped.take_act())
    assert acts == ["hold", *[None] * 18]
    assert stopped.is_over


def test_a_stop_goes_down_the_ladder_at_the_declared_speed() -> None:
    stopped = moving(ladder=RESTS)
    stopped.stop(ENOUGH)
    commands = []
    for count in range(1, 8):
        commands.append(stopped.tick(100.0 + count * PERIOD_S, HERE).command)
        stopped.take_act()
    assert [None if one is None else one.tolist() for one in commands] == [
        None, None, None, None, None, [10, 50], [8.75, 47.5]
    ]  # fmt: skip


def test_a_run_that_has_moved_nothing_does_not_begin_to_when_it_stops() -> None:
    stopped = pilot(ladder=RESTS)
    stopped.stop(ENOUGH)
    assert stopped.tick(100.0, HERE).command is None
    assert stopped.take_act() == "hold"
    assert stopped.is_over


@pytest.mark.parametrize(("applies", "is_stopped_already"), [(False, False), (True, True)])
def test_a_stop_of_a_robot_that_nobody_moves_or_that_is_stopped_already_does_nothing_to_it(
    applies: bool, is_stopped_already: bool
) -> None:
    dry = moving(ladder=RESTS, applies=applies)
    dry.stop(ENOUGH, is_stopped_already=is_stopped_already)
    ticks = [dry.tick(100.0 + count, HERE) for count in range(1, 9)]
    assert {(tick.kind, tick.command) for tick in ticks} == {("stop", None)}
    assert dry.take_act() is None
    if not applies:
        dry.cut_short()
        assert dry.take_act() is None
    assert dry.is_over


def test_the_second_ctrl_c_holds_and_leaves_the_rest_of_the_ladder() -> None:
    stopped = moving(ladder=RESTS)
    stopped.stop(ENOUGH)
    for count in range(1, 8):
        stopped.tick(100.0 + count * PERIOD_S, HERE)
        stopped.take_act()
    stopped.cut_short()
    assert stopped.tick(101.0, HERE).command is None
    assert stopped.take_act() == "hold"
    assert stopped.is_over


def test_a_rung_that_fails_is_told_and_does_not_hide_the_cause() -> None:
    failing = moving()
    failing.stop(ENOUGH)
    failing.tick(100.125, HERE)
    assert failing.take_act() == "hold"
    failing.fail("the bus is gone")
    assert failing.failures == ("hold: the bus is gone",)
    assert failing.cause is ENOUGH


def test_only_an_operator_resumes_and_from_the_measured_pose_by_a_new_chunk() -> None:
    stopped = moving()
    stopped.stop(ENOUGH)
    stopped.tick(100.125, HERE)
    stopped.resume()
    assert stopped.cause is None
    assert stopped.tick(100.25, HERE).kind == "wait"
    stopped.admit(chunk((50, 50), 100.3), 100.3)
    assert commanded(stopped.tick(100.375, pose(20, 30))) == [20, 30]


def test_a_run_that_cannot_begin_in_time_ends_and_says_why() -> None:
    silent, slow = pilot(begin_within_s=10.0), pilot(begin_within_s=10.0)
    for waiting in (silent, slow):
        waiting.tick(100.0, HERE)
    slow.admit(chunk([HERE] * 500, 109.0), 109.5)
    assert (silent.tick(109.9, HERE).kind, slow.tick(109.9, HERE).kind) == ("wait", "wait")
    assert (silent.tick(110.0, HERE).kind, slow.tick(110.0, HERE).kind) == ("stop", "stop")
    assert silent.cause is not None
    assert silent.cause.message == "nothing could be commanded within 10 s: no chunk came from the policy"
    assert slow.cause is not None
    assert slow.cause.message.endswith("is 1.00 s old, and hold_after_ms is 250")


def test_a_run_that_cannot_begin_since_its_chunks_are_refused_says_that_they_are() -> None:
    refused = pilot(begin_within_s=10.0)
    refused.tick(100.0, HERE)
    assert refused.admit(chunk([[1.0, 2.0, 3.0]], 100.0), 100.0) is not None
    assert refused.tick(110.0, HERE).kind == "stop"
    assert refused.cause is not None
    assert "the policy's chunks are refused (a chunk for test is an array" in refused.cause.message


def test_what_is_executed_is_told_and_all_of_it_while_the_robot_does_not_follow() -> None:
    asked = moving()
    followed = asked._buffer.newest
    assert followed is not None
    assert asked.executed_steps(followed, 100.2) == 2
    asked.tick(100.5, HERE)
    assert asked.executed_steps(followed, 100.5) == len(followed.actions) == 16


def test_of_an_answer_that_was_not_taken_yet_is_told_what_its_own_observation_left_behind() -> None:
    """The policy is asked again at once, and the control loop takes the answer in its next period."""
    asked, answer = moving(), chunk((10, 50), 100.1)
    assert asked.executed_steps(answer, 100.2) == 1
    assert asked.admit(answer, 100.2) is None
    assert asked.executed_steps(answer, 100.2) == 1


def test_all_is_told_of_an_answer_that_was_refused_for_it_is_never_followed() -> None:
    asked = moving()
    refused, late = chunk([[1.0, 2.0, 3.0]] * 8, 100.1), chunk((10, 50), 100.2)
    assert asked.admit(refused, 100.2) is not None
    assert asked.executed_steps(refused, 100.2) == 8
    asked.stop(StopCause("stale_chunk", "it stopped"))
    assert asked.admit(late, 100.3) is not None
    assert asked.executed_steps(late, 100.3) == len(late.actions)


def test_a_first_command_that_is_taken_back_has_moved_nothing_and_its_stop_only_holds() -> None:
    asked = moving(ladder=RESTS)
    assert asked.has_begun
    asked.take_back()
    assert not asked.has_begun
    asked.stop(StopCause("apply_failed", "the motor takes no torque"))
    commands = [asked.tick(100.0 + count * PERIOD_S, HERE).command for count in range(1, 20)]
    assert commands == [None] * 19, "it is not led to rest"


def test_a_robot_whose_axes_stand_elsewhere_in_its_state_is_read_by_name() -> None:
    turned = replace(arm(), state_names=("axis1", "axis0"), mean_state=(50.0, 0.0))
    made = Pilot(MotionSettings(robot=turned, period_s=PERIOD_S), applies=True)
    made.admit(chunk((10, 50), 100.0), 100.0)
    assert commanded(made.tick(100.0, pose(30, -20))) == [-20, 30]


def test_an_embodiment_that_does_not_say_how_it_is_stopped_is_refused() -> None:
    with pytest.raises(SetupError, match=r"test does not say how it is stopped.*give it a stop_ladder"):
        pilot(ladder=None)


def test_a_tick_says_which_period_it_was_how_late_and_what_was_measured() -> None:
    tick = moving().tick(100.125, HERE, step=7, late_s=0.25)
    assert (tick.step, tick.late_s, tick.at_s, tick.applied) == (7, 0.25, 100.125, False)
    assert tick.measured is HERE
