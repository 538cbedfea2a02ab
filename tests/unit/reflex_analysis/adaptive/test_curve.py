"""The rule on observations whose ways and errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from reflex.serving.step_rule import CALM_ANSWERS
from reflex_analysis.adaptive.curve import Answer, Observed, best_of, point_at, point_of_steps

RANGES = np.array([2.0, 10.0])
STEPS = (10, 5, 3)
ERRORS = {10: (0.0, 0.0), 5: (0.02, 0.05), 3: (0.2, 0.3)}
"""Of each axis, in its units."""


def observed(bend: float = 0.01, episode: str | None = "e", scale: float = 1.0) -> Observed:
    """Three steps of an answer, of which one is wrong."""
    answers = {}
    for steps in STEPS:
        actions = np.ones((3, 2))
        actions[1] += np.array(ERRORS[steps]) * scale
        answers[steps] = Answer(actions, (0.0, *[bend / steps] * (steps - 1)))
    return Observed(episode, answers)


def test_an_easy_episode_saves_what_the_rule_takes_down_and_its_errors_are_told_by_axis() -> None:
    point = point_at(0.05, [observed() for _ in range(10)], RANGES)

    assert point.taken == {10: CALM_ANSWERS, 5: CALM_ANSWERS, 3: 10 - 2 * CALM_ANSWERS}
    assert point.mean_steps == pytest.approx(5.7)
    assert point.saved == pytest.approx(0.43)
    assert list(point.errors) == pytest.approx([0.1, 0.03])
    assert point.worst == pytest.approx(0.1)


def test_episodes_go_by_their_own_answers_however_they_are_mixed() -> None:
    mixed = [each for _ in range(6) for each in (observed(episode="easy"), observed(1e3, episode="hard"))]

    assert point_at(0.05, mixed, RANGES).taken == {10: 6 + CALM_ANSWERS, 5: CALM_ANSWERS}


def test_what_belongs_to_no_episode_takes_all_steps() -> None:
    point = point_at(1.0, [observed(episode=None) for _ in range(9)], RANGES)

    assert (point.taken, point.saved, point.worst) == ({10: 9}, 0.0, 0.0)


def test_the_usual_error_leaves_out_what_is_rare() -> None:
    point = point_of_steps(5, [*[observed(scale=1.0)] * 99, observed(scale=100.0)], RANGES)

    assert [point.worst, point.usual_error] == pytest.approx([1.0, 0.01])
    assert point.saved == pytest.approx(0.5)


def test_the_best_saves_most_within_the_goal_and_nothing_is_best_where_nothing_is_saved() -> None:
    easy, bent = [observed(scale=0.1)] * 9, [observed(1e3)] * 9
    points = [point_at(tolerance, easy, RANGES) for tolerance in (1e-4, 1e-3, 1.0)]

    best = best_of(points)
    assert best is not None
    assert best.saved == max(point.saved for point in points)
    assert best.reaches_goal
    assert best_of([point_at(0.05, [observed()] * 9, RANGES)]) is None, "its error is 10 %"
    assert best_of([point_at(0.05, bent, RANGES)]) is None
    assert best_of([point_of_steps(5, easy, RANGES)]) is None, "that is no rule"
