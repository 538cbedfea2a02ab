"""What `reflex bench adaptive` prints: the curve as a table or JSON, and whether it reaches the goal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from reflex.embodiments import Embodiment
from reflex.wording.nouns import counted
from reflex_analysis.adaptive.curve import (
    GOAL_ERROR,
    GOAL_SAVED,
    Observed,
    Point,
    best_of,
    point_at,
    point_of_steps,
)
from reflex_analysis.figures import Floats

__all__ = ["Curve", "as_json", "curve_of", "ranges_of", "table_lines", "verdict"]

HEAD: Final = ("rule", "mean steps", "saved", "error max", "error p95", "answers by steps")


@dataclass(frozen=True, slots=True)
class Curve:
    """The rule at each tolerance, and for comparison each number of steps for every answer."""

    rule: Sequence[Point]
    fixed: Sequence[Point]
    axes: Sequence[str]
    observations: int
    episodes: int

    @property
    def best(self) -> Point | None:
        return best_of(self.rule)


def ranges_of(embodiment: Embodiment) -> Floats:
    """How far each axis can go."""
    return np.asarray(embodiment.action_high, np.float64) - np.asarray(embodiment.action_low, np.float64)


def curve_of(observations: Sequence[Observed], embodiment: Embodiment, tolerances: Sequence[float]) -> Curve:
    """Of at least one observation."""
    ranges = ranges_of(embodiment)
    rule = [point_at(tolerance, observations, ranges) for tolerance in tolerances]
    steps = sorted(observations[0].answers, reverse=True)
    fixed = [point_of_steps(count, observations, ranges) for count in steps]
    episodes = len({observed.episode for observed in observations} - {None})
    return Curve(rule, fixed, embodiment.action_names, len(observations), episodes)


def table_lines(curve: Curve) -> list[str]:
    """One line for each tolerance, then one for each fixed number of steps."""
    rows = [list(HEAD), *(_row(point) for point in (*curve.rule, *curve.fixed))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def verdict(curve: Curve) -> str:
    """One sentence about the goal."""
    best, goal = curve.best, f"{GOAL_SAVED:.0%} of the steps at an error of {GOAL_ERROR:.0%} of each axis' range"
    over = f"{counted(curve.observations, 'observation')} of {counted(curve.episodes, 'episode')}"
    if best is None:
        return f"not reached: at no tolerance the rule saves steps within that error ({goal}), on {over}"
    found = (
        f"a tolerance of {best.tolerance:g} saves {best.saved:.0%} of the steps, with an error of at most "
        f"{best.worst:.2%} ({_worst_axis(best, curve.axes)})"
    )
    return f"{'reached' if best.reaches_goal else 'not reached'} ({goal}): {found}, on {over}"


def as_json(curve: Curve, model_version: str, skipped: dict[str, int]) -> dict[str, Any]:
    """The one value."""
    best = curve.best
    return {
        "policy": model_version,
        "observations": curve.observations,
        "episodes": curve.episodes,
        "skipped": skipped,
        "goal": {"saved": GOAL_SAVED, "error": GOAL_ERROR},
        "reached": best is not None and best.reaches_goal,
        "best_tolerance": None if best is None else best.tolerance,
        "rule": [_point_json(point, curve.axes) for point in curve.rule],
        "fixed": [_point_json(point, curve.axes) for point in curve.fixed],
    }


def _point_json(point: Point, axes: Sequence[str]) -> dict[str, Any]:
    whole = dataclasses.asdict(point)
    whole["taken"] = {str(steps): count for steps, count in point.taken.items()}
    whole["errors"] = dict(zip(axes, point.errors, strict=True))
    return whole | {"mean_steps": point.mean_steps, "error": point.worst}


def _row(point: Point) -> list[str]:
    name = f"tolerance {point.tolerance:g}" if point.tolerance is not None else f"always {next(iter(point.taken))}"
    taken = ", ".join(f"{steps}: {count}" for steps, count in point.taken.items())
    errors = (f"{point.worst:.3%}", f"{point.usual_error:.3%}")
    return [name, f"{point.mean_steps:.2f}", f"{point.saved:.0%}", *errors, taken]


def _worst_axis(point: Point, axes: Sequence[str]) -> str:
    return axes[int(np.argmax(point.errors))]
