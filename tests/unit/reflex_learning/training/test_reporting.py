"""An outage of the queue costs nothing; a lease that is lost ends it all; after the end nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import ServiceError, service_error
from reflex.training.port import MAX_LINES_A_BEAT, Ending, Exported, LeaseLostError, Metric, Progress
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


UNHEARD = "an unheard-of measure"
EXPORTED = Exported(policy="pick", model_hash="sha256:0", repository="models", parity={UNHEARD: 0})


def of_another_version(said: Progress | Ending) -> ServiceError | None:
    """A control plane that knows nothing of what this worker has to say."""
    return service_error("invalid_value", "reason: unheard of") if UNHEARD in repr(said) else None


def test_an_ending_that_is_refused_is_said_with_less(tmp_path: Path) -> None:
    queue, time = MemoryQueue([], refusal_of=of_another_version), Time()
    told = reporter(tmp_path, queue, time)
    told.journal.say("last")
    told.end(Ending(state="succeeded", reason="r", steps=9, exported=EXPORTED))

    assert queue.ending is not None
    assert (queue.ending.state, queue.ending.steps, queue.ending.log) == ("succeeded", 9, ())
    assert queue.ending.exported == Exported(policy="pick", model_hash="sha256:0", repository="models")
    assert queue.ending.reason.endswith("refused to hear more, which lies in runs/run_1 on its worker")
    assert len(time.slept) == 1


def test_lines_and_metrics_that_are_refused_keep_no_ending_back(tmp_path: Path) -> None:
    queue, time = MemoryQueue([], refusal_of=of_another_version), Time()
    told = reporter(tmp_path, queue, time)
    told.journal.measured(Metric(step=1, others={UNHEARD: 1.0}))
    told.journal.say(UNHEARD)
    assert told.beat("running", 1) is False
    time.pass_by(1_000.0)
    told.end(Ending(state="failed", reason="r", steps=1))

    assert queue.ending is not None
    assert queue.ending.state == "failed"


def test_a_beat_that_is_refused_keeps_the_lease_and_hears_of_a_cancellation(tmp_path: Path) -> None:
    queue, time = MemoryQueue([], refusal_of=of_another_version, is_cancelled=True), Time()
    told = reporter(tmp_path, queue, time)
    told.journal.say(UNHEARD)
    assert told.beat("running", 7) is True
    (kept,) = queue.beats
    assert (kept.state, kept.step, kept.log, kept.metrics) == ("running", 7, (), ())


@pytest.mark.parametrize("code", ["not_found", "unauthorized", "forbidden"])
def test_a_run_whose_ending_nobody_hears_is_given_up_after_a_lease(tmp_path: Path, code: str) -> None:
    def unknown(_said: Progress | Ending) -> ServiceError:
        return service_error(code, "there is no such run in this organisation")

    queue, time = MemoryQueue([], refusal_of=unknown), Time()
    with pytest.raises(LeaseLostError):
        reporter(tmp_path, queue, time).end(Ending(state="failed", reason="r", steps=1))
    assert sum(time.slept) == pytest.approx(60.0, abs=5.0)


def test_what_is_refused_for_a_moment_is_said_whole_after_it(tmp_path: Path) -> None:
    refusals = [service_error("not_found", "no healthy server behind this proxy")] * 4
    queue, time = MemoryQueue([], refusal_of=lambda _: refusals.pop() if refusals else None), Time()
    ending = Ending(state="failed", reason="r", steps=1)
    reporter(tmp_path, queue, time).end(ending)

    assert queue.ending == ending


@pytest.mark.parametrize("code", ["not_found", "unauthorized"])
def test_what_is_refused_for_a_moment_costs_no_line_and_no_metric(tmp_path: Path, code: str) -> None:
    refusals = [service_error(code, "it is starting")]
    queue, time = MemoryQueue([], refusal_of=lambda _: refusals.pop() if refusals else None), Time()
    told = reporter(tmp_path, queue, time)
    for number in range(1_200):
        told.journal.say(f"line {number}")
    for step in range(300):
        told.journal.measured(Metric(step=step, loss=0.5))
    told.end(Ending(state="succeeded", reason="r", steps=300))

    assert (len(queue.lines), len(queue.metrics)) == (1_200, 300)
    assert queue.ending is not None


def test_a_cancelled_run_is_told_so(tmp_path: Path) -> None:
    assert reporter(tmp_path, MemoryQueue([], is_cancelled=True), Time()).beat("running", 1) is True
