"""The control loop: on its grid, commanding only what the pilot decides, and stopping for whatever goes wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reflex_runner.errors import HardwareError
from reflex_runner.loop.tally import RunProblem
from reflex_runner.loop.watchdog import Verdict
from reflex_runner.motion.descent import StopCause
from support.runner.arms import RESTS, arm, chunk, pose
from support.runner.world import World


def fed(world: World, target: tuple[float, float] = (4.0, 50.0)) -> World:
    """A fresh chunk every period."""
    world.before = lambda period: world.answer(chunk(target, world.now_s, seq=period))
    return world


def test_in_apply_actions_every_command_is_handed_to_the_robot_and_said_to_be() -> None:
    world = fed(World())
    ticks = world.go(4)
    assert [tick.kind for tick in ticks] == ["move"] * 4
    assert all(tick.applied for tick in ticks)
    assert world.connector.whats() == ["apply"] * 4
    for tick, done in zip(ticks, world.connector.done, strict=True):
        assert tick.command is not None
        assert done.command is not None
        assert np.array_equal(done.command, tick.command)
    assert (world.tally.steps, world.tally.applied_steps) == (4, 4)
    assert [tick.step for tick in ticks] == [0, 1, 2, 3]


def test_in_dry_run_nothing_is_done_with_the_robot_and_what_would_be_sent_is_told() -> None:
    world = fed(World("dry_run", robot=arm(ladder=RESTS)))
    ticks = world.go(4)
    assert [tick.kind for tick in ticks] == ["move"] * 4
    assert all(tick.command is not None and not tick.applied for tick in ticks)
    world.before = lambda _: world.stops.request(StopCause("enough", "enough"))
    world.go(20)
    assert world.connector.done == []
    assert (world.tally.steps, world.tally.applied_steps, world.tally.safe_stops) == (4, 0, 1)
    assert "arm" not in world.watch.heard


def test_periods_begin_on_the_grid_and_oversleeping_does_not_move_it() -> None:
    world = World()
    world.oversleeps_s = lambda: 0.0078125
    ticks = world.go(50)
    assert [tick.at_s for tick in ticks[1:]] == [100.0 + count * 0.125 + 0.0078125 for count in range(1, 50)]
    assert {tick.late_s for tick in ticks[1:]} == {0.0078125}
    assert world.tally.overruns == 0


def test_missed_periods_are_counted_and_never_made_up_for_in_a_burst() -> None:
    world = World()
    naps = iter([0.0, 0.0, 0.4, 0.0, 0.0, 0.1, 0.0, 0.0])
    world.oversleeps_s = lambda: next(naps)
    moments = [tick.at_s for tick in world.go(8)]
    gaps = np.diff(moments)
    assert (gaps >= 0.125 * 0.5).all()
    assert moments == pytest.approx([100.0, 100.125, 100.25, 100.775, 100.875, 101.0, 101.225, 101.375])
    assert world.tally.overruns == 3 + 1


def test_a_command_that_fails_stops_the_run_and_is_the_first_error() -> None:
    world = fed(World(robot=arm(ladder=RESTS)))
    world.go(1)
    world.connector.done.clear()
    world.connector.faults = {"apply": HardwareError("motor 3 does not answer")}
    ticks = world.go(30)
    assert [tick.kind for tick in ticks[:2]] == ["move", "stop"]
    assert not ticks[0].applied
    assert world.tally.result().errors[0] == RunProblem("hardware_error", "applying failed: motor 3 does not answer")
    assert world.tally.result().errors[1].message == (
        "a rung of the stop ladder failed: return_to_rest: motor 3 does not answer"
    )
    assert world.connector.whats() == ["apply", "safe_stop", "apply", "safe_stop"]
    assert world.control.stopped.is_set()
    assert world.tally.safe_stops == 1


def test_a_robot_that_took_not_even_the_first_command_is_held_and_not_led_to_rest() -> None:
    world = fed(World(robot=arm(ladder=RESTS)))
    world.connector.faults = {"apply": HardwareError("motor 3 does not take torque")}
    world.before = lambda period: world.connector.faults.clear() if period else fed(world).before(0)
    assert {tick.kind for tick in world.go(20)} == {"move", "stop"}
    assert world.connector.whats() == ["apply", "safe_stop"]


def test_a_safe_stop_that_fails_never_hides_the_first_error() -> None:
    world = fed(World())
    world.connector.faults = {"apply": ValueError("first"), "safe_stop": OSError("second")}
    world.go(5)
    result = world.tally.result()
    assert [error.message for error in result.errors] == [
        "applying failed: first",
        "a rung of the stop ladder failed: hold: second",
    ]
    assert not result.ok


def test_so_many_steps_are_done_and_then_the_robot_is_brought_to_rest_without_any_error() -> None:
    world = fed(World(max_steps=3))
    ticks = world.go(6)
    assert [tick.kind for tick in ticks] == ["move"] * 3 + ["stop"] * 3
    assert world.connector.whats() == ["apply"] * 3 + ["safe_stop"]
    assert (world.tally.safe_stops, world.tally.result().ok) == (0, True)
    assert [(event.level, event.code, event.message) for event in world.told.events] == [
        ("info", "max_steps", "the run stops: 3 steps are done")
    ]


def test_what_the_session_refuses_is_not_applied_from_that_period_on() -> None:
    world = fed(World(robot=arm(ladder=RESTS)))
    world.go(2)
    world.permit.says = "the session has ended"
    ticks = world.go(3)
    assert {tick.kind for tick in ticks} == {"stop"}
    assert world.connector.whats() == ["apply", "apply", "safe_stop"]
    assert world.tally.result().errors == (RunProblem("not_permitted", "the session has ended"),)


def test_in_dry_run_a_session_that_allows_no_more_stops_nothing() -> None:
    world = fed(World("dry_run"))
    world.permit.says = "the session is dry_run"
    assert {tick.kind for tick in world.go(3)} == {"move"}


def test_after_the_watchdog_has_stopped_the_robot_nothing_is_done_with_it_any_more() -> None:
    world = fed(World(robot=arm(ladder=RESTS)))
    world.go(2)
    world.watch.says = Verdict("the loop was silent", has_acted=True)
    assert {tick.kind for tick in world.go(20)} == {"stop"}
    assert world.connector.whats() == ["apply", "apply"]
    assert world.tally.result().errors == (RunProblem("watchdog", "the loop was silent"),)


def test_a_loop_that_was_frozen_in_the_middle_of_a_period_hears_of_it_before_it_commands() -> None:
    world = fed(World(robot=arm(ladder=RESTS)))
    world.go(2)
    verdicts = iter([None, Verdict("the loop was silent", has_acted=True)])
    world.watch.verdict = lambda: next(verdicts, Verdict("the loop was silent", has_acted=True))  # type: ignore[method-assign]
    ticks = world.go(20)
    assert not any(tick.applied for tick in ticks)
    assert {tick.kind for tick in ticks[1:]} == {"stop"}
    assert world.connector.whats() == ["apply", "apply"]


def test_a_loop_that_was_frozen_on_its_way_to_rest_holds_and_goes_no_further() -> None:
    world = fed(World(robot=arm(ladder=RESTS), max_steps=3))
    world.go(10)
    assert world.connector.whats()[-2:] == ["apply", "apply"], "it returns to rest"
    before = len(world.connector.done)
    world.watch.says = Verdict("the loop was silent", has_acted=True)
    world.go(20)
    assert world.connector.whats()[before:] == ["safe_stop"]
    assert world.control.stopped.is_set()


@pytest.mark.parametrize(("frozen_s", "then"), [(0.75, ["safe_stop"]), (0.3125, ["safe_stop"]), (0.25, []), (0.0, [])])
def test_a_command_that_came_after_the_watchdogs_hold_is_held_again_and_nothing_else(
    frozen_s: float, then: list[str]
) -> None:
    world = fed(World(robot=arm(ladder=RESTS)))
    world.go(2)

    def freeze(_: object) -> None:
        """Between the last look at the watchdog and the robot."""
        world.now_s += frozen_s
        world.watch.says = Verdict("the loop was silent", has_acted=True)

    world.connector.before_apply = freeze
    world.go(20)
    assert world.connector.whats() == ["apply", "apply", "apply", *then]
    assert world.tally.result().errors == (RunProblem("watchdog", "the loop was silent"),)


def test_a_watchdog_that_died_stops_the_run_by_the_ladder() -> None:
    world = fed(World())
    world.watch.says = Verdict("it has died")
    world.go(3)
    assert world.connector.whats() == ["safe_stop"]


def test_the_watchdog_hears_every_period_and_when_the_robot_may_move() -> None:
    world = fed(World(max_steps=2))
    world.go(4)
    assert world.watch.heard == [
        "arm", "beat", "beat", "be_patient", "disarm", "beat", "beat"
    ]  # fmt: skip


def test_a_chunk_that_is_refused_is_counted_and_told_and_the_run_goes_on() -> None:
    world = fed(World())
    world.go(1)
    world.before = lambda _: world.answer(chunk((float("nan"), 0), world.now_s, seq=9))
    world.go(1)
    assert world.tally.refused_chunks == 1
    assert world.told.events[-1].code == "refused_chunk"
    assert "chunk 9 is not followed: the action at step 0" in world.told.events[-1].message


def test_a_hold_is_told_when_it_begins_with_what_is_known() -> None:
    world = fed(World())
    world.go(1)
    world.before = lambda _: None
    world.inference.trouble = RunProblem("warming_up", "asking the policy failed: the server starts")
    world.go(6)
    assert [event.message for event in world.told.events if event.code == "hold"] == [
        "asking the policy failed: the server starts"
    ]
    world.inference.trouble = None
    fed(world).go(1)
    world.before = lambda _: None
    world.go(4)
    assert "twice what the policy takes" in world.told.events[-1].message


def test_why_no_chunk_came_is_the_first_error_of_a_stop_for_want_of_one() -> None:
    world = fed(World())
    world.go(1)
    world.before = lambda _: None
    world.inference.trouble = RunProblem("warming_up", "asking the policy failed: the server starts")
    world.go(12)
    assert [error.code for error in world.tally.result().errors] == ["warming_up", "stale_chunk"]


def test_ctrl_c_goes_down_the_ladder_and_pressed_again_it_holds_and_leaves_the_rest() -> None:
    world = fed(World(robot=arm(ladder=RESTS)), (40, 50))
    world.go(3)
    world.before = lambda period: world.stops.interrupt() if period in (1, 9) else None
    ticks = world.go(20)
    commanded = [count for count, tick in enumerate(ticks) if tick.kind == "stop" and tick.command is not None]
    assert commanded == [6, 7, 8, 9]
    assert world.connector.whats()[-1] == "safe_stop"
    assert world.tally.result().ok, "somebody wanted it"
    assert world.tally.safe_stops == 1
    assert world.control.stopped.is_set()


def test_only_resume_moves_the_robot_again_and_from_where_it_is_measured() -> None:
    world = fed(World())
    world.stops.request(StopCause("observe_failed", "the bus is gone"))
    assert {tick.kind for tick in world.go(10)} == {"stop"}
    world.control.resume()
    world.measure(pose(20, 30))
    ticks = world.go(3)
    assert [tick.kind for tick in ticks] == ["wait", "move", "move"], "nothing that came before counts"
    assert ticks[1].command is not None
    assert ticks[1].command.tolist() == [20, 30]
    assert world.told.events[-1].code == "resumed"
    assert not world.tally.result().ok, "what went wrong stays told"


def test_a_fault_of_the_loop_itself_holds_the_robot() -> None:
    world = fed(World())
    world.go(1)
    world.senses.measured = lambda _: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    world.go(3)
    assert world.connector.whats() == ["apply", "safe_stop"]
    assert world.control.stopped.is_set()
    assert world.tally.result().errors == (RunProblem("internal", "the control loop failed: division by zero"),)


def test_a_listener_that_fails_is_told_no_more_and_disturbs_nobody() -> None:
    world = fed(World())
    world.told.ticked = lambda _: 1 / 0  # type: ignore[assignment,method-assign]
    world.go(4)
    assert world.connector.whats() == ["apply"] * 4


def test_after_a_sleep_of_the_computer_no_fresh_looking_chunk_is_followed_any_more() -> None:
    world = fed(World())
    world.go(2)
    world.slept_s = 3600.0
    assert {tick.kind for tick in world.go(3)} == {"stop"}
    assert world.connector.whats() == ["apply", "apply", "safe_stop"]
    (error,) = world.tally.result().errors
    assert error.code == "slept"
    assert "slept for 3600.0 s" in error.message
    world.control.resume()
    assert world.go(2)[-1].kind == "move"


@pytest.mark.parametrize("pause", ["stood still", "slept"])
def test_a_command_is_not_applied_after_a_pause_between_its_decision_and_the_hands(pause: str) -> None:
    world = fed(World())
    world.go(1)
    measured = world.senses.measured

    def slow(now: float) -> Any:
        world.senses.measured = measured  # type: ignore[method-assign]
        if pause == "slept":
            world.slept_s = 60.0
        else:
            world.now_s += 0.6
        return measured(now)

    world.senses.measured = slow  # type: ignore[method-assign]
    ticks = world.go(3)
    assert [tick.applied for tick in ticks] == [False] * 3
    assert world.connector.whats() == ["apply", "safe_stop"]
    assert pause in world.tally.result().errors[0].message


def test_an_apply_that_wants_to_end_the_program_stops_the_robot() -> None:
    world = fed(World())
    world.connector.faults = {"apply": SystemExit("bye")}  # type: ignore[dict-item]
    world.go(3)
    assert world.control.stopped.is_set()
    assert world.connector.whats() == ["apply", "safe_stop"]
    assert world.tally.result().errors[0].message == "applying failed: bye"
