"""The control plane is told the counts of a whole session, and of each safe stop once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reflex_runner.loop.tally import Tally
from reflex_runner.running.reporting import ChunkJudge, Counts, StopReporter
from reflex_runner.tick import DatedChunk, Event, Tick

MOVED = Tick(0, 0.0, "move", command=np.zeros(1, np.float32), applied=True)


class Session:
    def __init__(self) -> None:
        self.stops: list[str] = []

    def note_safe_stop(self, reason: str) -> None:
        self.stops.append(reason)


def test_the_runs_of_a_session_add_up() -> None:
    counts = Counts()
    counts.calibration_id = "sha256:1"
    counts.tally.ticked(MOVED)
    counts.next_run().ticked(MOVED)
    counts.tally.safe_stops = 1
    report = counts.heartbeat()
    assert (report["steps"], report["applied_steps"], report["safe_stops"]) == (2, 2, 1)
    assert (report["calibration_id"], report["latency_ms"]) == ("sha256:1", None)
    assert counts.numbers()["steps"] == 1
    assert "lastActionChunk" not in counts.numbers()


@pytest.mark.parametrize(("told", "sent"), [("", None), ("left\narm", r"left\narm"), ("a" * 201, "a" * 200)])
def test_whatever_a_connector_calls_its_calibration_its_heartbeats_are_taken(told: str, sent: str | None) -> None:
    counts = Counts()
    counts.calibration_id = told
    assert counts.heartbeat()["calibration_id"] == sent


def test_a_safe_stop_is_reported_once_with_what_was_noted_of_it() -> None:
    session, tally = Session(), Tally()
    reporter = StopReporter(session, tally)
    reporter.noted(Event(0.0, "warning", "refused_chunk", "too late"))
    tally.safe_stops = 1
    reporter.noted(Event(0.0, "error", "stale_chunk", "the run stops: silence"))
    reporter.noted(Event(0.0, "info", "resumed", "again"))
    assert session.stops == ["stale_chunk: the run stops: silence"]


def chunk(actions: Any) -> DatedChunk:
    return DatedChunk(0, 0.0, 0.0, np.asarray(actions, np.float32), 0.1)


def test_a_chunk_counts_as_refused_when_no_robot_could_follow_it_and_not_when_it_was_overtaken() -> None:
    counts = Counts()
    judge = ChunkJudge(counts, 2)
    judge.answered(chunk([[1, 2], [3, 4]]))
    counts.tally.refused_chunks = 3
    assert counts.heartbeat()["refused_chunks"] == 0
    for unusable in ([[1, 2, 3]], [[1, np.nan]], [1, 2]):
        judge.answered(chunk(unusable))
    assert counts.heartbeat()["refused_chunks"] == 3
