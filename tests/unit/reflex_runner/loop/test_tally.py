"""The numbers of a run, and its errors: the first stays the first."""

from __future__ import annotations

import json

import numpy as np

from reflex.guard import Violation
from reflex_runner.loop.tally import LATENCIES, RunProblem, Tally
from reflex_runner.tick import Tick
from support.runner.arms import chunk, pose


def test_steps_are_periods_that_follow_a_chunk_and_applied_those_that_reached_the_robot() -> None:
    tally = Tally()
    for kind, applied in (("wait", False), ("move", True), ("move", False), ("hold", True), ("stop", True)):
        tally.ticked(Tick(0, 0.0, kind, applied=applied))  # type: ignore[arg-type]
    result = tally.result()
    assert (result.steps, result.applied_steps, result.holds) == (2, 1, 1)


def test_commands_that_the_guard_changed_are_counted_once_however_many_axes_it_held() -> None:
    tally = Tally()
    changed = Violation(0, 0, "axis0", 9.0, 8.0, "step_limit")
    for violations in ((), (changed, changed), (changed,)):
        tally.ticked(Tick(0, 0.0, "move", violations=violations))
    assert tally.result().clamped_steps == 2


def test_latency_is_told_in_milliseconds_to_three_places() -> None:
    tally = Tally()
    tally.answered(chunk(pose(0, 0), 0.0), 0.0123456)
    assert tally.result().latency_ms["p50"] == 12.346


def test_errors_keep_their_order_and_each_is_told_once() -> None:
    tally = Tally()
    assert tally.result().ok
    for code in ("first", "second", "first"):
        tally.failed(code, "what happened")
    assert tally.result().errors == (RunProblem("first", "what happened"), RunProblem("second", "what happened"))
    assert not tally.result().ok


def test_latency_is_told_in_percentiles_of_the_newest_answers_and_memory_does_not_grow() -> None:
    tally = Tally()
    assert tally.result().latency_ms == {}
    for count in range(LATENCIES + 5000):
        tally.answered(chunk(pose(count, 0), 0.0), 0.001 if count < 5000 else 0.002)
    result = tally.result()
    assert result.latency_ms == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
    assert len(tally._latencies_ms) == LATENCIES == 10_000
    assert result.last_action_chunk is not None
    assert np.all(result.last_action_chunk[:, 0] == LATENCIES + 4999)


def test_the_result_is_json_with_the_names_of_the_document() -> None:
    tally = Tally()
    tally.answered(chunk([[1.0, 2.0]], 0.0), 0.25)
    tally.failed("stale_chunk", "silent")
    told = json.loads(json.dumps(tally.result().as_dict()))
    assert told == {
        "ok": False, "steps": 0, "appliedSteps": 0, "safeStops": 0,
        "errors": [{"code": "stale_chunk", "message": "silent"}], "lastActionChunk": [[1.0, 2.0]],
        "latencyMs": {"p50": 250.0, "p95": 250.0, "p99": 250.0}, "overruns": 0, "staleObservations": 0, "holds": 0,
        "clampedSteps": 0, "refusedChunks": 0,
    }  # fmt: skip
