from __future__ import annotations

import numpy as np

from reflex.connector import CameraFrame, Observation
from reflex.guard import Violation
from reflex_runner.page.live_view import LiveView
from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.tick import DatedChunk, Event, Tick

PICTURE = np.zeros((4, 4, 3), np.uint8)
STATE = np.zeros(6, np.float32)
CLAMPED = Violation(0, 1, "shoulder_lift", 120.0, 100.0, "above_range")


def test_it_keeps_the_newest_by_reference_and_counts() -> None:
    view = LiveView(SIMULATED, mode="dry_run")
    observation = Observation(STATE, {"front": CameraFrame(PICTURE, 1.0)}, captured_s=1.0)
    chunk = DatedChunk(0, 1.0, 1.25, np.zeros((4, 6), np.float32), 1 / 30)
    view.observed(0, observation)
    view.answered(chunk)
    for step in range(3):
        view.ticked(Tick(step, step / 30, "move", applied=step > 0, violations=(CLAMPED,) if step == 2 else ()))
    view.noted(Event(2.0, "info", "begun", "the run has begun"))

    assert view.observation is observation
    assert view.chunk is chunk
    assert (view.applied_steps, view.clamped_steps, len(view.clamped), list(view.answer_s)) == (2, 1, 1, [0.25])
    assert view.newest_frames()["front"].image is PICTURE


def test_pictures_come_from_the_cameras_where_it_is_told_of_them() -> None:
    newer = {"wrist": CameraFrame(PICTURE, 2.0)}
    view = LiveView(SIMULATED, mode="dry_run", frames=lambda: newer)
    view.observed(0, Observation(STATE, {"front": CameraFrame(PICTURE, 1.0)}))
    assert view.newest_frames() is newer
    assert LiveView(SIMULATED, mode="dry_run").newest_frames() == {}


def test_a_long_run_takes_no_more_room_than_a_short_one() -> None:
    view = LiveView(SIMULATED, mode="apply_actions")
    for step in range(5000):
        view.ticked(Tick(step, step / 30, "move", violations=(CLAMPED,)))
        view.noted(Event(0.0, "info", "x", "y"))
        view.answered(DatedChunk(step, 0.0, 0.1, np.zeros((1, 6), np.float32), 0.1))
    assert view.clamped_steps == 5000
    assert max(len(view.ticks), len(view.clamped), len(view.events), len(view.answer_s)) <= 2000
