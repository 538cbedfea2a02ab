from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from reflex.connector import CameraFrame
from reflex.guard import Violation
from reflex_runner.page.live_view import LiveView
from reflex_runner.page.telling import MOST_POINTS, told
from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.tick import DatedChunk, Event, Tick, TickKind


class At:
    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def now(self) -> float:
        return self.now_s

    def sleep_until(self, moment: float) -> None:
        self.now_s = moment


def view_at(now_s: float) -> LiveView:
    frames = {"front": CameraFrame(b"", now_s - 0.02), "wrist": CameraFrame(b"", now_s - 3.0)}
    return LiveView(SIMULATED, mode="apply_actions", frames=lambda: frames, clock=At(now_s))


def through_json(view: LiveView) -> Any:
    return json.loads(json.dumps(told(view), allow_nan=False))


def test_a_run_that_has_not_begun_can_be_told() -> None:
    run = through_json(LiveView(SIMULATED, mode="dry_run", clock=At(5.0)))
    assert (run["robot"], run["mode"], run["motion"]) == ("so101_sim", "dry_run", "wait")
    assert (run["step"], run["chunk"], run["latencyMs"], run["cameras"], run["guard"]) == (None, None, None, {}, [])
    assert [axis["name"] for axis in run["axes"]] == list(SIMULATED.action_names)


def test_the_newest_period_says_what_the_robot_does_and_every_axis_where_it_is_and_goes() -> None:
    view = view_at(10.0)
    measured, command = np.arange(6, dtype=np.float32), np.arange(6, dtype=np.float32) + 2
    view.answered(DatedChunk(4, 9.9, 9.95, np.tile(command, (3, 1)), 0.1))
    view.ticked(Tick(7, 9.98, "move", measured=measured, command=command, applied=True, late_s=0.004))
    run = through_json(view)
    assert (run["motion"], run["step"], run["appliedSteps"], run["lateMs"]) == ("move", 7, 1, 4.0)
    assert run["chunk"] == {"seq": 4, "age": 0.1, "steps": 3}
    assert run["latencyMs"] == {"last": 50.0, "p50": 50.0, "p99": 50.0}
    lift = run["axes"][1]
    assert (lift["name"], lift["unit"], lift["low"], lift["high"]) == ("shoulder_lift", "deg", -100.0, 100.0)
    assert (lift["measured"], lift["command"]) == ([[-0.02, 1.0]], [[-0.02, 3.0]])
    assert lift["chunk"] == [[-0.1, 3.0], [0.0, 3.0], [0.1, 3.0]], "each action at its moment"
    assert run["cameras"] == {"front": 0.02, "wrist": 3.0}


@pytest.mark.parametrize("kind", ["wait", "move", "hold", "stop"])
def test_every_kind_of_period_is_told(kind: TickKind) -> None:
    view = view_at(1.0)
    view.ticked(Tick(0, 1.0, kind))
    assert through_json(view)["motion"] == kind


def test_what_the_guard_changed_is_told_newest_first() -> None:
    view = view_at(3.0)
    for step in range(30):
        view.ticked(
            Tick(step, step / 10, "move", violations=(Violation(0, 5, "gripper", 130.0 + step, 100.0, "above_range"),))
        )
    run = through_json(view)
    assert run["clampedSteps"] == 30
    assert len(run["guard"]) == 12
    assert run["guard"][0] == {
        "age": 0.1, "step": 29, "axis": "gripper", "kind": "above_range", "value": 159.0, "limit": 100.0
    }  # fmt: skip


def test_events_are_told_newest_first() -> None:
    view = view_at(3.0)
    for number in range(20):
        view.noted(Event(number / 10, "warning", f"code_{number}", "said"))
    events = through_json(view)["events"]
    assert [event["code"] for event in events] == [f"code_{number}" for number in range(19, 7, -1)]
    assert events[0] == {"age": 1.1, "level": "warning", "code": "code_19", "message": "said"}


def test_a_number_that_json_does_not_know_is_null() -> None:
    view = view_at(1.0)
    view.ticked(Tick(0, 1.0, "hold", measured=np.full(6, math.nan, np.float32)))
    view.answered(DatedChunk(0, 0.9, 1.0, np.full((1, 6), math.inf, np.float32), 0.1))
    axis = through_json(view)["axes"][0]
    assert (axis["measured"], axis["chunk"]) == ([[0.0, None]], [[-0.1, None]])


def test_a_long_past_is_thinned_and_ends_with_the_newest() -> None:
    view = view_at(100.0)
    for step in range(2000):
        view.ticked(Tick(step, 100.0 - (1999 - step) / 200, "move", measured=np.full(6, step, np.float32)))
    line = through_json(view)["axes"][0]["measured"]
    assert MOST_POINTS / 2 < len(line) <= MOST_POINTS
    assert line[-1] == [0.0, 1999.0]
    assert line[0][0] >= -8.0


def test_a_camera_that_has_a_problem_is_told_with_its_words_also_before_its_first_picture() -> None:
    said = {"wrist": "wrist is frozen or covered", "top": "top: no picture since it was started"}
    frames = {"wrist": CameraFrame(b"", 7.0), "front": CameraFrame(b"", 9.0)}
    view = LiveView(SIMULATED, mode="dry_run", frames=lambda: frames, problems=lambda: said, clock=At(10.0))
    run = through_json(view)
    assert run["cameras"] == {"wrist": 3.0, "top": None, "front": 1.0}
    assert run["problems"] == said
    assert through_json(view_at(1.0))["problems"] == {}
