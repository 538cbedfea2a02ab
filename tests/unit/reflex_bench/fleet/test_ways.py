"""How far a fleet is looked for, and what is done on a machine that is busy with other things."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest

from reflex_bench.fleet import ways
from reflex_bench.fleet.measured import MEASURED
from reflex_bench.fleet.report import Report
from reflex_bench.fleet.robots import Robot, Score
from reflex_bench.fleet.trial import Way
from reflex_bench.fleet.ways import ONE_QUEUE, TOGETHER, Plan, measure

PLAN = Plan(seconds=1.0, rounds=3, most=20)


def measured(monkeypatch: pytest.MonkeyPatch, scores: Sequence[Score], plan: Plan = PLAN) -> tuple[Report, list[int]]:
    """With one trial after the other as told, and the last for ever."""
    tried: list[int] = []

    async def drive(_way: Way, robots: Sequence[Robot], _seconds: float, seed: int = 0) -> Score:
        tried.append(len(robots))
        return scores[min(len(tried), len(scores)) - 1]

    async def recovered(_port: int) -> None:
        pass

    monkeypatch.setattr(ways, "drive", drive)
    monkeypatch.setattr(ways, "_recovered", recovered)
    report = Report("pi0", "one")
    nothing: Any = None
    both = [Way(name, 1, nothing, nothing) for name in (TOGETHER, ONE_QUEUE)]
    asyncio.run(measure(both, plan, report, compares_lone=False))
    return report, tried


def test_no_more_robots_are_tried_than_a_gpu_with_these_times_could_serve() -> None:
    assert PLAN.bounded_by(None) is PLAN
    most = PLAN.bounded_by(MEASURED["pi0"]).most
    assert most == int(MEASURED["pi0"].most_per_s(8) / 0.92) + 1 == 50


def test_both_ways_are_measured_and_what_was_tried_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    report, tried = measured(monkeypatch, [Score(kept=100)])
    assert [served.robots for served in report.served.values()] == [20, 20]
    assert report.served[TOGETHER].asks_per_s == pytest.approx(18.4)
    assert tried[0] in report.served[TOGETHER].trials


def test_a_disturbed_trial_is_made_again_and_the_best_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = Score(kept=50, late=50, woken=100, woken_late=50)
    report, tried = measured(monkeypatch, [disturbed, disturbed, Score(kept=100)])
    assert tried[:3] == [10, 10, 10]
    assert report.served[TOGETHER].trials[10].kept == 100
    _, tried = measured(monkeypatch, [disturbed, Score(kept=100)], Plan(1.0, 3, 20, patient_s=-math.inf))
    assert tried[:2] == [10, 5]


def test_each_way_has_as_much_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes by trials here: the first way's take longer than a way's patience."""
    now = iter(range(10_000))
    monkeypatch.setattr("reflex_bench.fleet.ways.time.monotonic", lambda: float(next(now)))
    disturbed = Score(kept=50, late=50, woken=100, woken_late=50)
    _, tried = measured(monkeypatch, [disturbed], Plan(1.0, 3, 1, patient_s=2.5))
    assert tried == [1, 1, 1] * 2


def test_what_was_mixed_up_in_a_trial_that_does_not_count_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = Score(kept=50, mixed_up=1, wrong=49)
    report, _ = measured(monkeypatch, [disturbed, Score(kept=100)])
    assert report.served[TOGETHER].trials[10].mixed_up == 1
    assert "1 robots were given another robot's chunk, target 0" in report.missed()
