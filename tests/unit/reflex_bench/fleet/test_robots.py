"""Who asks when: the load that the promise is made for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reflex_bench.fleet.robots import JITTER, RATES_HZ, Robot, Score, asks_per_s, due_times, fleet


def test_a_quick_robot_asks_often_and_has_little_time() -> None:
    quick, slow = Robot(0, 50), Robot(1, 5, left=10)
    assert (quick.period_s, quick.deadline_s) == (0.5, 0.5)
    assert (slow.period_s, slow.deadline_s) == (8.0, 2.0)


def test_a_larger_fleet_is_a_smaller_one_and_more_of_every_rate() -> None:
    assert fleet(12)[:7] == fleet(7)
    assert {robot.rate_hz for robot in fleet(5)} == set(RATES_HZ)
    assert asks_per_s(fleet(10)) == pytest.approx(2 * asks_per_s(fleet(5))) == pytest.approx(9.2)


def test_a_robot_asks_at_the_same_times_in_every_fleet_and_others_at_others() -> None:
    times = list(due_times(Robot(3, 50), 20))
    assert times == list(due_times(Robot(3, 50), 20))
    assert times != list(due_times(Robot(4, 50), 20))
    assert 0 <= times[0] < 0.5
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(0.5 * (1 - JITTER) <= gap <= 0.5 * (1 + JITTER) for gap in gaps)


def test_what_is_late_refused_or_wrong_is_not_kept_and_nothing_is_no_success() -> None:
    assert Score(kept=98, late=1, refused=1).kept_share == 0.98
    assert Score(kept=1, wrong=1).kept_share == 0.5
    assert Score().kept_share == 0.0


def test_a_machine_that_wakes_robots_late_or_loses_its_model_measures_other_programs() -> None:
    score = Score(kept=200)
    for _ in range(198):
        score.woke(0.001)
    score.woke(0.1)
    assert not score.is_disturbed
    score.woke(0.1)
    score.woke(0.1)
    assert score.is_disturbed
    assert Score(kept=99, wrong=1).is_disturbed
