"""The rule of `reflex.serving.step_rule` on observations that every variant has answered: steps saved against error.

The error is that of the answer which the rule chooses to the one with all steps and the same noise, as a share of each
axis' range: the largest over all steps of the chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reflex.serving.step_rule import StepRule, StepState
from reflex_analysis.figures import Floats

__all__ = ["GOAL_ERROR", "GOAL_SAVED", "Answer", "Observed", "Point", "best_of", "point_at", "point_of_steps"]

GOAL_SAVED: Final = 0.30
GOAL_ERROR: Final = 0.02
USUAL: Final = 95.0
"""Percent of the answers whose error is told beside the largest."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one variant made of an observation."""

    actions: Floats
    """[horizon, axes], before the guard."""
    change: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """One observation, answered by all variants with the same noise, by their numbers of steps."""

    episode: Hashable | None
    answers: Mapping[int, Answer]

    @property
    def full(self) -> int:
        return max(self.answers)


@dataclass(frozen=True, slots=True)
class Point:
    """One place on the curve: `tolerance` of the rule, or None where every answer took the same number of steps."""

    tolerance: float | None
    taken: Mapping[int, int]
    """How many answers took how many steps."""
    saved: float
    """Of the steps, as a share."""
    errors: tuple[float, ...]
    """The largest of each axis, as a share of its range."""
    usual_error: float
    """That of its worst axis, of 95 % of the answers."""

    @property
    def mean_steps(self) -> float:
        return sum(steps * count for steps, count in self.taken.items()) / sum(self.taken.values())

    @property
    def worst(self) -> float:
        return max(self.errors)

    @property
    def reaches_goal(self) -> bool:
        return self.saved >= GOAL_SAVED and self.worst <= GOAL_ERROR


def point_at(tolerance: float, observations: Sequence[Observed], ranges: Floats) -> Point:
    """Each episode by the rule, from its first observation on; what belongs to no episode takes all steps."""
    states: dict[Hashable, StepState] = {}
    taken = []
    for observed in observations:
        rule = StepRule.over(observed.answers, tolerance)
        state = states.get(observed.episode, rule.first) if observed.episode is not None else rule.first
        taken.append(state.steps)
        if observed.episode is not None:
            states[observed.episode] = rule.after(state, observed.answers[state.steps].change)
    return _point(tolerance, observations, taken, ranges)


def point_of_steps(steps: int, observations: Sequence[Observed], ranges: Floats) -> Point:
    """Every answer with the same number."""
    return _point(None, observations, [steps] * len(observations), ranges)


def best_of(points: Iterable[Point]) -> Point | None:
    """The rule that saves most of those whose error is within the goal; None where none of them saves anything."""
    within = [
        point for point in points if point.tolerance is not None and point.worst <= GOAL_ERROR and point.saved > 0
    ]
    return max(within, key=lambda point: (point.saved, -point.worst), default=None)


def _point(tolerance: float | None, observations: Sequence[Observed], taken: Sequence[int], ranges: Floats) -> Point:
    pairs = zip(observations, taken, strict=True)
    errors = np.stack([_error(observed, steps, ranges) for observed, steps in pairs])
    full = sum(observed.full for observed in observations)
    usual = float(np.percentile(errors.max(axis=1), USUAL))
    largest = tuple(float(each) for each in errors.max(axis=0))
    counted = dict(sorted(Counter(taken).items(), reverse=True))
    return Point(tolerance, counted, 1.0 - sum(taken) / full, largest, usual)


def _error(observed: Observed, steps: int, ranges: Floats) -> Floats:
    """[axes]."""
    difference = observed.answers[steps].actions - observed.answers[observed.full].actions
    share: Floats = np.abs(difference).max(axis=0) / ranges
    return share
