"""Whatever becomes of the runner, its watchdog stops the robot: once, by the first safe rung, and only if it moved."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reflex.embodiments import StopLadder
from reflex_runner.errors import RunnerError
from reflex_runner.loop.heartbeats import ARM, PATIENCE
from reflex_runner.loop.watch_handle import parse_handle
from reflex_runner.loop.watchdog import Unwatched, Watchdog
from support.runner.arms import HOLDS, RESTS
from support.runner.stoppable import noted
from support.waiting import let_pass, wait_until

RELEASES = replace(RESTS, rungs=("hold", "return_to_rest", "release"), release_is_safe=True)
MODULE = "support.runner.stoppable"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "stopped"


@pytest.fixture
def kennel() -> Iterator[list[Watchdog]]:
    """Those in it are dismissed in the end."""
    dogs: list[Watchdog] = []
    yield dogs
    for dog in dogs:
        if dog._process.stdin is not None and not dog._process.stdin.closed:
            dog.dismiss()


def started(
    kennel: list[Watchdog], path: Path, *, silence_s: float = 30.0, ladder: StopLadder = HOLDS, **handle: Any
) -> Watchdog:
    given = {"function": f"{MODULE}:note", "arguments": {"path": str(path)}} | handle
    dog = Watchdog(parse_handle(given), ladder, 0.01, silence_s=silence_s)
    kennel.append(dog)
    return dog


def dies(dog: Watchdog) -> None:
    """The runner: its end of the pipe is closed, and nothing was said before."""
    assert dog._process.stdin is not None
    dog._process.stdin.close()
    with dog._process:
        dog._process.wait(30)


def test_when_the_runner_dies_in_the_middle_of_a_motion_the_robot_is_held(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file)
    dog.arm()
    dog.beat()
    dies(dog)
    assert [what for _, what in noted(file)] == ["hold"]


@pytest.mark.slow
@pytest.mark.parametrize("said", [(), ("beat",), ("arm", "disarm"), ("arm", "beat", "disarm", "beat")])
def test_a_robot_that_has_not_moved_or_is_stopped_is_left_alone(
    said: tuple[str, ...], kennel: list[Watchdog], file: Path
) -> None:
    dog = started(kennel, file)
    for word in said:
        getattr(dog, word)()
    dies(dog)
    assert noted(file) == []


def test_after_a_farewell_nothing_is_done(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file)
    dog.arm()
    dog.dismiss()
    assert noted(file) == []


def test_a_control_loop_that_falls_silent_is_stopped_and_hears_that_it_was(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file, silence_s=0.2)
    assert dog.verdict() is None
    dog.arm()
    dog.beat()
    wait_until(lambda: noted(file), "the robot is held")
    wait_until(dog.verdict, "the runner hears of it")
    verdict = dog.verdict()
    assert verdict is not None
    assert verdict.has_acted
    assert "the watchdog has stopped the robot: hold" in verdict.message


@pytest.mark.slow
def test_the_first_command_may_take_longer_for_with_it_torque_goes_on(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file, silence_s=0.1)
    dog.arm()
    let_pass(0.4)
    assert dog.verdict() is None
    assert noted(file) == []


@pytest.mark.slow
def test_who_asks_for_patience_is_waited_for_and_a_beat_ends_it(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file, silence_s=0.2)
    dog._say(ARM + PATIENCE)  # at once: a busy machine may take long between the two
    let_pass(0.6)
    assert noted(file) == []
    dog.beat()
    wait_until(lambda: noted(file), "the robot is held")


@pytest.mark.slow
def test_a_slow_control_loop_is_not_silent_between_two_periods(kennel: list[Watchdog], file: Path) -> None:
    given = {"function": f"{MODULE}:note", "arguments": {"path": str(file)}}
    dog = Watchdog(parse_handle(given), HOLDS, period_s=20.0, silence_s=0.1)
    kennel.append(dog)
    dog.arm()
    dog.beat()
    let_pass(0.4)
    assert dog.verdict() is None
    assert noted(file) == []


@pytest.mark.slow
def test_before_the_first_command_nobody_is_silent(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file, silence_s=0.1)
    dog.beat()
    let_pass(0.4)
    assert dog.verdict() is None
    assert noted(file) == []


def test_a_bus_that_is_still_locked_is_tried_again(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file, function=f"{MODULE}:fails_first", arguments={"path": str(file), "times": 3})
    dog.arm()
    dies(dog)
    assert [what for _, what in noted(file)] == ["hold"]


def test_a_rung_that_fails_goes_to_the_next_that_is_safe(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file, function=f"{MODULE}:always_fails", ladder=RELEASES, rungs=["hold", "release"])
    dog.arm()
    dies(dog)
    assert [what for _, what in noted(file)] == ["release"]


def test_a_command_is_run_with_the_rung_as_its_last_word(kennel: list[Watchdog], file: Path) -> None:
    script = f'echo "1.0 $0" >> "{file}"'
    dog = Watchdog(parse_handle({"command": ["/bin/sh", "-c", script]}), HOLDS, 0.01)
    kennel.append(dog)
    dog.arm()
    dies(dog)
    assert noted(file) == [(1.0, "hold")]


def test_a_watchdog_that_died_is_noticed(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file)
    dog._process.kill()
    wait_until(dog.verdict, "it is noticed")
    verdict = dog.verdict()
    assert verdict is not None
    assert not verdict.has_acted
    assert "has died" in verdict.message
    dog.beat()


@pytest.mark.slow
def test_a_watchdog_that_stands_still_and_hears_nothing_is_noticed(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file)
    os.kill(dog.pid, signal.SIGSTOP)
    try:
        for _ in range(1 << 20):
            dog.beat()
            if dog.verdict() is not None:
                break
    finally:
        os.kill(dog.pid, signal.SIGCONT)
    verdict = dog.verdict()
    assert verdict is not None
    assert not verdict.has_acted
    assert "hears nothing any more" in verdict.message


def test_one_that_cannot_start_is_an_error_before_anything_moves(kennel: list[Watchdog], file: Path) -> None:
    with pytest.raises(RunnerError, match="the watchdog, which stops the robot if this process dies, did not start"):
        started(kennel, file, function=f"{MODULE}:no_such_function")


def test_ctrl_c_and_sigterm_pass_it_by(kennel: list[Watchdog], file: Path) -> None:
    dog = started(kennel, file)
    dog.arm()
    assert os.getsid(dog.pid) == dog.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(dog.pid, number)
    dies(dog)
    assert [what for _, what in noted(file)] == ["hold"]


def test_a_run_without_one_hears_nothing() -> None:
    unwatched = Unwatched()
    for word in (unwatched.beat, unwatched.arm, unwatched.disarm, unwatched.be_patient):
        word()
    assert unwatched.verdict() is None
