"""An outage of the queue costs nothing; a lease that is lost ends it all; after the end nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex.training.port import MAX_LINES_A_BEAT, Ending, LeaseLostError, Metric
from reflex.training.request import TrainingRequest
from reflex_learning.training.journal import Journal
from reflex_learning.training.reporting import Pace, Reporter
from support.trainer.stub import MemoryQueue, claimed


class Time:
    """One that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def pass_by(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    @property
    def pace(self) -> Pace:
        return Pace(sleep=self.pass_by, now=lambda: self.now_s)


def reporter(folder: Path, queue: MemoryQueue, time: Time) -> Reporter:
    run = claimed(TrainingRequest(dataset_id="d", base="act"), folder)
    return Reporter(queue, run, Journal(folder), time.pace)


def test_it_beats_once_a_second_at_most(tmp_path: Path) -> None:
    queue, time = MemoryQueue([]), Time()
    told = reporter(tmp_path, queue, time)
    for _ in range(30):
        told.beat("running", 1)
        time.pass_by(0.1)

    assert len(queue.steps) == 3


def test_what_was_said_during_an_outage_is_told_after_it(tmp_path: Path) -> None:
    queue, time = MemoryQueue([], unreachable=5), Time()
    told = reporter(tmp_path, queue, time)
    for step in range(300):
        told.journal.say(f"line {step}")
        told.journal.measured(Metric(step=step))
        assert told.beat("running", step) is False
        time.pass_by(0.1)
    told.end(Ending(state="succeeded", reason="r", steps=300))

    assert queue.log == [f"line {step}" for step in range(300)]
    assert [metric.step for metric in queue.metrics] == list(range(300))
    assert queue.ending is not None


def test_an_ending_is_said_until_it_is_heard(tmp_path: Path) -> None:
    queue, time = MemoryQueue([], unreachable=9), Time()
    told = reporter(tmp_path, queue, time)
    for number in range(2 * MAX_LINES_A_BEAT + 1):
        told.journal.say(str(number))
    told.end(Ending(state="failed", reason="r", steps=1))

    assert len(queue.log) == 2 * MAX_LINES_A_BEAT + 1
    assert max(time.slept) == pytest.approx(5.0)


def test_a_lost_lease_is_not_asked_about_again(tmp_path: Path) -> None:
    told = reporter(tmp_path, MemoryQueue([], is_lost=True), Time())

    with pytest.raises(LeaseLostError):
        told.beat("running", 1)
    with pytest.raises(LeaseLostError):
        told.end(Ending(state="succeeded", reason="r", steps=1))


def test_a_cancelled_run_is_told_so(tmp_path: Path) -> None:
    assert reporter(tmp_path, MemoryQueue([], is_cancelled=True), Time()).beat("running", 1) is True
