"""After a stop for a fault a person says whether the run goes on: for what can go on, and against no other word."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from reflex.errors import service_error
from reflex_runner.errors import HardwareError
from reflex_runner.loop.run_session import run_session
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.loop.watchdog import Verdict
from reflex_runner.motion.descent import StopCause
from support.runner.arms import arm, chunk
from support.runner.session import PATIENT, Arm, Policy, raising
from support.runner.world import Told, World
from support.waiting import wait_until

PROMOTED = StopCause("promoted", "the session was promoted", "end")


def run(robot: Arm, policy: Policy, **how: Any) -> RunnerResult:
    return run_session(robot, policy, None, "apply_actions", robot=arm(control_hz=50.0), safety=PATIENT, **how)


def test_after_a_fault_an_operator_may_let_the_run_go_on_and_without_one_it_ends() -> None:
    robot, asked = Arm(), []
    robot.fault = lambda what: fail_once(robot, what)

    def consent(cause: StopCause) -> bool:
        asked.append(cause.code)
        return True

    result = run(robot, Policy(), consent=consent, max_steps=20)
    assert asked == ["hardware_error"]
    assert result.applied_steps >= 19
    assert [error.code for error in result.errors] == ["hardware_error"]


def fail_once(robot: Arm, what: str) -> None:
    if what == "apply" and robot.whats.count("apply") == 5:
        raise HardwareError("a lost packet")


def test_an_operator_who_does_not_consent_ends_the_run() -> None:
    robot = Arm()
    robot.fault = raising("apply", HardwareError("motor 3"), after=5)
    result = run(robot, Policy(), consent=lambda cause: cause.code != "hardware_error", max_steps=0)
    assert result.safe_stops == 1


def yes(asked: list[StopCause]) -> Callable[[StopCause], bool]:
    """Whoever is asked is remembered, and lets the run go on."""

    def consent(cause: StopCause) -> bool:
        asked.append(cause)
        return True

    return consent


@pytest.mark.parametrize(("answer", "ended_by"), [(False, "hardware_error"), (True, "promoted")])
def test_what_ends_a_run_while_the_question_is_open_waits_for_the_answer(answer: object, ended_by: str) -> None:
    """After a promotion a run that moves begins: never against a no, and a yes does not lose it."""
    robot, stops = Arm(), StopRequests()
    robot.fault = lambda what: fail_once(robot, what)

    def consent(_: StopCause) -> bool:
        stops.request(PROMOTED)
        return bool(answer)

    result = run(robot, Policy(), consent=consent, max_steps=0, stops=stops)
    assert stops.cause is not None
    assert stops.cause.code == ended_by
    assert [error.code for error in result.errors] == ["hardware_error"]


def test_a_run_that_is_never_asked_about_ended_by_what_stopped_it() -> None:
    robot, stops, told = Arm(), StopRequests(), Told()
    robot.fault = lambda what: fail_once(robot, what)
    told.noted = lambda event: stops.request(PROMOTED) if event.code == "hardware_error" else None  # type: ignore[method-assign]
    run(robot, Policy(), max_steps=0, stops=stops, listeners=[told])
    assert stops.cause is not None
    assert stops.cause.code == "hardware_error"


def dead_reader(robot: Arm, _policy: Policy, _monkeypatch: pytest.MonkeyPatch) -> str:
    robot.fault = raising("get_observation", HardwareError("the bus is gone"), after=5)
    return "hardware_error"


def dead_asker(_robot: Arm, policy: Policy, _monkeypatch: pytest.MonkeyPatch) -> str:
    def fault(seq: int) -> None:
        if seq > 3:
            raise service_error("unauthorized", "the key was taken back")

    policy.fault = fault
    return "unauthorized"


def dead_loop(_robot: Arm, _policy: Policy, monkeypatch: pytest.MonkeyPatch) -> str:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("reflex_runner.loop.tally.Tally.ticked", broken)
    return "internal"


@pytest.mark.parametrize("dies", [dead_reader, dead_asker, dead_loop])
def test_nobody_is_asked_whether_a_run_goes_on_that_cannot(
    dies: Callable[[Arm, Policy, pytest.MonkeyPatch], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    robot, policy, told, asked = Arm(), Policy(), Told(), list[StopCause]()
    code = dies(robot, policy, monkeypatch)
    result = run(robot, policy, consent=yes(asked), max_steps=0, listeners=[told])
    assert (asked, result.errors[0].code) == ([], code)
    assert [event.message for event in told.events if event.code == "not_resumable"] == [
        "this run cannot go on: mend what failed, and begin a new one"
    ]


def test_who_pressed_ctrl_c_while_the_robot_stopped_is_not_asked() -> None:
    robot, stops, asked = Arm(), StopRequests(), list[StopCause]()

    def fault(what: str) -> None:
        fail_once(robot, what)
        if what == "safe_stop":
            stops.interrupt()

    robot.fault = fault
    run(robot, Policy(), consent=yes(asked), max_steps=0, stops=stops)
    assert asked == []
    assert stops.cause is not None
    assert stops.cause.code == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_at_the_question_whether_to_go_on_says_no(number: signal.Signals) -> None:
    robot = Arm()
    robot.fault = raising("apply", HardwareError("motor 3 is silent"), after=0)

    def consent(_: StopCause) -> bool:
        os.kill(os.getpid(), number)
        wait_until(lambda: False, "the question is over")
        return True

    result = run(robot, Policy(), consent=consent, max_steps=0)
    assert result.safe_stops == 1
    assert robot.whats[-2:] == ["safe_stop", "stop"]


def fed(world: World) -> World:
    """A fresh chunk every period."""
    world.before = lambda period: world.answer(chunk((4.0, 50.0), world.now_s, seq=period))
    return world


def test_a_period_that_is_under_way_when_the_run_goes_on_does_not_stop_it_again() -> None:
    """The terminal's thread says so at any moment: here after the loop has looked for it, and before it concludes."""
    world = fed(World())
    world.go(1)
    world.before = lambda _: world.stops.request(StopCause("stale_chunk", "a silence"))
    world.go(3)
    assert world.control.stopped.is_set()
    heard = len(world.watch.heard)
    world.before = lambda _: None

    def verdict() -> Verdict | None:
        if not world.control._resumes.is_set():
            world.control.resume()
        return None

    world.watch.verdict = verdict  # type: ignore[method-assign]
    world.go(1)
    assert not world.control.stopped.is_set(), "nobody is asked a second time"
    assert world.watch.heard[heard:] == ["beat"]
    del world.watch.verdict
    assert [tick.kind for tick in fed(world).go(2)] == ["wait", "move"], "it goes on, with an answer of its own"


def test_a_whole_period_while_the_run_is_let_go_on_does_not_stop_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fed(World())
    world.stops.request(StopCause("stale_chunk", "a silence"))
    world.go(3)
    clear = world.control.stopped.clear

    def meanwhile() -> None:
        clear()
        monkeypatch.undo()
        world.go(1)
        world.control._may_end.clear()

    monkeypatch.setattr(world.control.stopped, "clear", meanwhile)
    world.control.resume()
    assert not world.control.stopped.is_set()
    assert not world.pilot.is_over


def test_who_lets_a_loop_go_on_that_has_just_failed_does_not_wait_for_it() -> None:
    world = fed(World())
    world.go(1)
    world.senses.measured = lambda _: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    world.go(2)
    world.control.let_end()
    world.control.resume()
    assert world.control.stopped.is_set()
