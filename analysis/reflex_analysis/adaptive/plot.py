"""The picture of the curve: steps that the rule takes, and the error that this costs, over the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from reflex_analysis.adaptive.curve import GOAL_ERROR, Point
from reflex_analysis.adaptive.report import Curve, verdict
from reflex_analysis.motion.canvas import Canvas
from reflex_analysis.motion.panel import FAINT, INK, Panel

__all__ = ["RULE", "draw_curve"]

WIDTH: Final = 1100
HEIGHT: Final = 380
TOP: Final = 110
BOTTOM: Final = 320
RULE: Final = "#0072b2"
GOAL: Final = "#d55e00"
PERCENT: Final = 100.0


def draw_curve(file: Path, curve: Curve, title: str) -> None:
    """Write the picture; `SetupError` when the file cannot be written."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text((26, 18), title, INK, 16)
    canvas.text((26, 44), verdict(curve), FAINT, 12)
    _panel(canvas, curve, 60.0, "mean denoising steps", lambda point: point.mean_steps)
    errors = _panel(canvas, curve, 560.0, "largest error, % of an axis' range", lambda point: PERCENT * point.worst)
    if errors.y_range[1] >= PERCENT * GOAL_ERROR:
        ends = (errors.x_range[0], errors.x_range[1])
        canvas.line([errors.at(x, PERCENT * GOAL_ERROR) for x in ends], GOAL, 1.5)
    canvas.save(file)


def _panel(canvas: Canvas, curve: Curve, left: float, title: str, value_of: Callable[[Point], float]) -> Panel:
    """The points of the rule beside each other, whatever their tolerances are."""
    values = [value_of(point) for point in curve.rule]
    most = max([*values, *map(value_of, curve.fixed)]) * 1.08 or 1.0
    panel = Panel(canvas, left, TOP, left + 410.0, BOTTOM, (-0.3, len(values) - 0.7), (0.0, most))
    canvas.text((left - 34, TOP - 30), title, INK, 14)
    panel.grid(range(len(values)), x_labels=False)
    for index, point in enumerate(curve.rule):
        canvas.text((panel.at(index, 0)[0], BOTTOM + 6), f"{point.tolerance:g}", FAINT, 12, "ma")
    canvas.text((panel.right, BOTTOM + 24), "--adaptive-tolerance", FAINT, 12, "ra")
    canvas.line([panel.at(index, value) for index, value in enumerate(values)], RULE, 2.5)
    for index, value in enumerate(values):
        canvas.dot(panel.at(index, value), RULE)
    return panel
