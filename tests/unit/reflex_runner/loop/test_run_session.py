"""Whole runs in this process: threads, a robot and a policy, from the first observation to the state it is left in."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reflex.connector import CameraFrame
from reflex.embodiments import Embodiment
from reflex.errors import SetupError, TransportError, service_error
from reflex_runner.errors import HardwareError
from reflex_runner.loop.hands import Mode
from reflex_runner.loop.run_session import Safety, run_session
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunnerResult, Tally
from reflex_runner.motion.descent import StopCause
from support.runner.arms import RESTS, arm
from support.runner.session import PATIENT, Arm, Policy, raising
from support.runner.world import Told
from support.waiting import HANGS_S, wait_until

ROBOT = arm(control_hz=50.0)
SLOW = arm(control_hz=4.0)
"""Even a busy machine reads this one in time."""


def run(
    robot: Arm, policy: Policy, mode: Mode = "apply_actions", *, safety: Safety = PATIENT, max_steps: int = 10,
    embodiment: Embodiment = ROBOT, **how: Any,
) -> RunnerResult:  # fmt: skip
    return run_session(robot, policy, None, mode, robot=embodiment, safety=safety, max_steps=max_steps, **how)


def test_a_run_moves_the_robot_by_the_policy_and_leaves_it_stopped_and_everything_closed() -> None:
    robot, policy, told = Arm(), Policy(), Told()
    result = run(robot, policy, max_steps=25, listeners=[told])
    assert result.ok, result.errors
    assert (result.steps, result.applied_steps, result.safe_stops) == (25, 25, 0)
    assert robot.whats[0] == "start"
    assert robot.whats.count("apply") >= 25
    assert robot.whats[-2:] == ["safe_stop", "stop"]
    assert 0 < robot.state[0] <= 20
    assert not policy.is_open
    assert result.last_action_chunk is not None
    assert set(result.latency_ms) == {"p50", "p95", "p99"}
    assert told.ticks
    assert told.chunks
    assert told.observations
    assert threading.active_count() == len([one for one in threading.enumerate() if "reflex" not in one.name])


def test_in_dry_run_the_robot_is_only_read() -> None:
    robot, told = Arm(), Told()
    result = run(robot, Policy(), "dry_run", listeners=[told])
    assert result.ok, result.errors
    assert (result.steps, result.applied_steps) == (10, 0)
    assert robot.whats == ["start", "stop"]
    assert [tick.command is not None for tick in told.ticks if tick.kind == "move"] == [True] * 10


def test_dry_run_is_what_happens_when_nobody_says_otherwise() -> None:
    robot = Arm()
    run_session(robot, Policy(), robot=ROBOT, max_steps=3, safety=PATIENT)
    assert robot.whats == ["start", "stop"]


def test_without_pipelining_the_policy_is_asked_while_the_robot_stands() -> None:
    policy = Policy()
    safety = Safety(hold_after_ms=100, stop_after_ms=20_000, ease_in_s=0.1)
    result = run(Arm(), policy, pipeline_inference=False, safety=safety)
    assert result.ok, result.errors
    assert result.steps == 10
    assert len(policy.asked) < 10


@pytest.mark.parametrize("what", ["start", "open"])
def test_what_cannot_begin_is_an_error_and_what_was_opened_is_closed(what: str) -> None:
    robot, policy = Arm(), Policy()
    robot.fault = raising("start", HardwareError("no bus")) if what == "start" else robot.fault
    if what == "open":
        policy.open = lambda: (_ for _ in ()).throw(TransportError("refused"))  # type: ignore[method-assign]
    with pytest.raises((HardwareError, TransportError)):
        run(robot, policy)
    assert robot.whats == ["start", "stop"]


def test_an_embodiment_without_a_stop_ladder_is_refused_before_anything_is_opened() -> None:
    robot = Arm()
    with pytest.raises(SetupError, match="does not say how it is stopped"):
        run(robot, Policy(), embodiment=arm(ladder=None))
    assert robot.whats == []


@pytest.mark.parametrize(
    ("where", "message"),
    [("apply", "applying failed: motor 3"), ("get_observation", "observing failed: motor 3")],
)
def test_a_robot_that_fails_stops_the_run_and_is_the_first_error(where: str, message: str) -> None:
    robot = Arm()
    robot.fault = raising(where, HardwareError("motor 3"), after=5)
    result = run(robot, Policy(), max_steps=0)
    assert (result.errors[0].code, result.errors[0].message) == ("hardware_error", message)
    assert result.safe_stops == 1
    assert robot.whats[-2:] == ["safe_stop", "stop"]


def test_what_fails_while_stopping_and_closing_comes_after_the_first_error() -> None:
    robot = Arm()

    def fault(what: str) -> None:
        if what in ("safe_stop", "stop") or (what == "apply" and robot.whats.count("apply") > 3):
            raise OSError(f"{what} broke")

    robot.fault = fault
    result = run(robot, Policy(), max_steps=0)
    assert [error.message for error in result.errors] == [
        "applying failed: apply broke",
        "a rung of the stop ladder failed: hold: safe_stop broke",
        "closing the connector failed: stop broke",
    ]


def test_a_policy_that_refuses_for_good_stops_the_run() -> None:
    policy = Policy()

    def fault(seq: int) -> None:
        if seq > 3:
            raise service_error("unauthorized", "the session has ended")

    policy.fault = fault
    result = run(Arm(), policy, max_steps=0)
    assert [error.code for error in result.errors] == ["unauthorized"]


@pytest.mark.slow
def test_a_policy_that_falls_silent_stops_the_run_and_why_comes_first() -> None:
    policy = Policy()

    def fault(seq: int) -> None:
        if seq > 3:
            raise service_error("circuit_open", "the model does not answer", retry_after_s=0.01)

    policy.fault = fault
    safety = Safety(hold_after_ms=600, stop_after_ms=1200, ease_in_s=0.1, begin_within_s=5.0)
    result = run(Arm(), policy, max_steps=0, safety=safety, embodiment=SLOW)
    assert [error.code for error in result.errors] == ["circuit_open", result.errors[-1].code]
    assert result.errors[-1].code in ("stale_chunk", "never_began")


@pytest.mark.slow
def test_a_frozen_camera_stops_the_run_though_the_policy_would_answer() -> None:
    class Frozen:
        def start(self) -> None:
            self.frame = CameraFrame(np.zeros((2, 2, 3), np.uint8))

        def latest(self) -> CameraFrame:
            return self.frame

        def stop(self) -> None:
            self.is_stopped = True

    camera = Frozen()
    result = run_session(
        Arm(), Policy(), {"wrist": camera}, "apply_actions", robot=SLOW,
        safety=Safety(hold_after_ms=300, stop_after_ms=900, begin_within_s=3.0, max_image_age_s={"wrist": 0.2}),
    )  # fmt: skip
    assert result.errors[0].code == "stale_observation"
    assert "camera wrist's picture is" in result.errors[0].message
    assert result.stale_observations > 0
    assert camera.is_stopped


def test_observations_that_end_end_the_run_without_an_error() -> None:
    robot = Arm()
    told = Told()
    stopper = threading.Timer(0.0, lambda: wait_until(lambda: "apply" in robot.whats, "it moves") and end(robot))
    stopper.start()
    result = run(robot, Policy(), max_steps=0, listeners=[told])
    assert result.ok, result.errors
    assert "observations_ended" in [event.code for event in told.events]


def end(robot: Arm) -> bool:
    robot.ends = True
    return True


def test_somebody_outside_can_stop_the_run_and_read_its_numbers() -> None:
    robot, stops, tally = Arm(), StopRequests(), Tally()

    def stop() -> None:
        wait_until(lambda: tally.result().applied_steps > 3, "it moves")
        stops.request(StopCause("superseded", "another runner has this robot"))

    thread = threading.Thread(target=stop)
    thread.start()
    result = run(robot, Policy(), max_steps=0, stops=stops, tally=tally)
    thread.join(HANGS_S)
    assert [error.code for error in result.errors] == ["superseded"]
    assert robot.whats[-2:] == ["safe_stop", "stop"]


def test_a_connector_that_hangs_in_the_end_is_left_behind_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reflex_runner.loop.run_session.JOIN_S", 0.1)
    robot, let_go = Arm(), threading.Event()

    def fault(what: str) -> None:
        if what == "get_observation" and robot.whats.count("apply") > 3:
            let_go.wait(HANGS_S)

    robot.fault = fault
    result = run(robot, Policy(), max_steps=0, safety=Safety(hold_after_ms=100, stop_after_ms=500, ease_in_s=0.0))
    let_go.set()
    assert "hangs" in [error.code for error in result.errors]
    assert result.errors[-1].message == "the connector does not come back from get_observation: it is left behind"
    assert robot.whats[-2:] == ["safe_stop", "stop"]


@pytest.mark.slow
def test_at_the_end_of_a_run_the_robot_is_brought_to_rest() -> None:
    robot = Arm()
    resting = arm(control_hz=50.0, ladder=RESTS)
    run(robot, Policy(goal=(2.0, 6.0)), embodiment=resting, max_steps=5)
    assert robot.state.tolist() == [0, 5]
    assert robot.whats[-1] == "stop"


def test_a_robot_that_nobody_would_stop_if_this_process_died_is_told_of() -> None:
    told = Told()
    run(Arm(), Policy(), listeners=[told], max_steps=1)
    assert "unwatched" in [event.code for event in told.events if event.level == "warning"]
    simulated = Told()
    run(Arm(), Policy(), listeners=[simulated], max_steps=1, embodiment=replace(ROBOT, simulation=True))
    assert "unwatched" not in [event.code for event in simulated.events]
