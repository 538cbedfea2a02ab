"""A run in steps is a run like any other, but that nobody waits: the simulation stands while the policy thinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reflex.errors import TransportError, service_error
from reflex_runner.loop.lockstep import run_in_steps
from reflex_runner.loop.run_session import Safety
from reflex_runner.loop.step_time import StepTime
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunnerResult, Tally
from reflex_runner.motion.descent import StopCause
from reflex_runner.tick import Tick
from support.runner.reaching import REACHING, Reaching, ReachingExpert

PERIOD_S = 1 / 30


class Patience:
    """The computer's clock, that nobody has to wait for."""

    def __init__(self) -> None:
        self.slept = 0
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def sleep_until(self, moment: float) -> None:
        self.slept, self.now_s = self.slept + 1, moment


class Ticks:
    """Ends the run after so many steps."""

    def __init__(self, stops: StopRequests, most: int) -> None:
        self.ticks: list[Tick] = []
        self._stops, self._most = stops, most

    def ticked(self, tick: Tick) -> None:
        self.ticks.append(tick)
        if len(self.ticks) >= self._most:
            self._stops.request(StopCause("enough", "enough", "end"))

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_: None


def played(
    arm: Reaching, most: int = 30, *, safety: Safety | None = None, **given: Any
) -> tuple[RunnerResult, list[Tick], ReachingExpert]:
    stops, expert = StopRequests(), arm.expert()
    listener = Ticks(stops, most)
    result = run_in_steps(
        arm, expert, robot=REACHING, safety=safety or Safety(ease_in_s=0.2), period_s=PERIOD_S, time=StepTime(50.0),
        stops=stops, tally=Tally(), listeners=[listener], **given,
    )  # fmt: skip
    return result, listener.ticks, expert


def test_the_arm_goes_where_the_policy_says_in_even_periods_of_its_own_time() -> None:
    arm = Reaching()
    result, ticks, expert = played(arm)
    assert result.ok, result.errors
    assert (result.steps, result.applied_steps, result.overruns, result.holds) == (30, 30, 0, 0)
    np.testing.assert_allclose(np.diff([tick.at_s for tick in ticks[:30]]), PERIOD_S, atol=1e-9)
    assert ticks[0].at_s == 50.0
    assert np.abs(arm.state - arm.goal).max() < 0.5
    assert [observation.captured_s for observation, _ in expert.asked] == pytest.approx(
        [50.0 + step * PERIOD_S for step in range(30)]
    )
    assert arm.told == ["open", "safe_stop enough", "close"], "a run in steps ends held where it is"


def test_so_many_actions_of_a_chunk_are_followed_before_the_next_is_asked_for() -> None:
    result, ticks, expert = played(Reaching(), steps_per_chunk=10)
    assert result.ok, result.errors
    assert [tick.chunk_seq for tick in ticks[:30]] == [0] * 10 + [1] * 10 + [2] * 10
    assert [executed for _, executed in expert.asked] == [None, 10, 10]
    assert result.holds == 0, "a chunk that is followed on purpose is not stale"


def test_a_server_that_is_away_for_a_moment_is_waited_for_while_the_simulation_stands() -> None:
    arm, wall, asked = Reaching(), Patience(), list[int]()

    def fault(seq: int) -> None:
        asked.append(seq)
        if len(asked) in (3, 4, 5):
            raise TransportError("away")

    arm.fault = fault
    result, _, _ = played(arm, wall=wall)
    assert result.ok, result.errors
    assert (wall.slept, result.holds, result.steps) == (3, 0, 30)
    assert asked[:6] == [0, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("error", "code", "slept"),
    [
        (TransportError("away"), "unreachable", 10),
        (service_error("unauthorized", "no such key"), "unauthorized", 0),
        (ZeroDivisionError(), "infer_failed", 0),
    ],
)
def test_a_server_that_stays_away_or_refuses_ends_the_run(error: Exception, code: str, slept: int) -> None:
    arm, wall = Reaching(), Patience()

    def fault(_seq: int) -> None:
        raise error

    arm.fault = fault
    result, _, _ = played(arm, wall=wall, patience_s=0.95)
    assert [each.code for each in result.errors] == [code]
    assert (result.steps, wall.slept) == (0, slept)


def test_a_robot_that_cannot_be_observed_or_has_another_shape_ends_the_run() -> None:
    class Broken(Reaching):
        def get_observation(self) -> Any:
            raise OSError("no bus")

    class Short(Reaching):
        def get_observation(self) -> Any:
            self.state = self.state[:3]
            return super().get_observation()

    assert played(Broken())[0].errors[0].code == "observe_failed"
    assert "an array of 6 numbers" in played(Short())[0].errors[0].message


def test_a_camera_that_is_frozen_holds_and_stops_the_run() -> None:
    class Frozen(Reaching):
        def get_observation(self) -> Any:
            found = super().get_observation()
            self.frames = getattr(self, "frames", found.cameras)
            return type(found)(found.state, self.frames, captured_s=found.captured_s)

    result, _, _ = played(Frozen(), most=200)
    assert [each.code for each in result.errors] == ["stale_observation", "stale_chunk"]
    assert result.holds > 0
