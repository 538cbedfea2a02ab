"""A curve over the steps of a run as an SVG drawing in the page: no script, no style of its own, nothing to load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from markupsafe import Markup

from reflex_control.dashboard.ticks import Axis, axis_over, figure_of

__all__ = ["LARGE", "SMALL", "Size", "curve_svg"]

LARGEST: Final = 1e100
"""What is farther from nothing is drawn no more than what is not finite: differences of such numbers overflow."""
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 10, 28

Point = tuple[int, float | None]
Placed = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Size:
    """Of a drawing, in its own units; a wide screen shows each as about one pixel."""

    name: str
    width: int
    height: int
    marks: int


LARGE: Final = Size("large", 720, 300, 5)
SMALL: Final = Size("small", 360, 136, 3)


def curve_svg(title: str, points: Sequence[Point], size: Size = SMALL, *, may_log: bool = False) -> Markup:
    """An SVG element, with what it shows in words; a value that is missing or not finite is a gap with a mark."""
    known = [(step, value) for step, value in points if _can_be_drawn(value)]
    label = _words(title, known, len(points) - len(known))
    body = _drawn(points, [value for _, value in known if value is not None], size, may_log) if known else Markup()
    return Markup('<svg class="curve {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        size.name, size.width, size.height, label, body
    )


def _drawn(points: Sequence[Point], values: Sequence[float], size: Size, may_log: bool) -> Markup:  # noqa: FBT001
    steps = axis_over(points[0][0], points[-1][0], 5)
    axis = axis_over(min(values), max(values), size.marks, may_log=may_log)

    def across(step: float) -> float:
        return LEFT + steps.share(step) * (size.width - LEFT - RIGHT)

    def up(value: float) -> float:
        return size.height - BOTTOM - axis.share(value) * (size.height - TOP - BOTTOM)

    parts = [_y_axis(axis, up, size), _x_axis(steps, across, size), *_lines(points, across, up)]
    parts += [_gap(across(step), size) for step, value in points if not _can_be_drawn(value)]
    return Markup().join(parts)


def _lines(points: Iterable[Point], across: Callable[[float], float], up: Callable[[float], float]) -> Iterable[Markup]:
    """One line from each gap to the next; where it is a single point, a dot."""
    for is_known, run in groupby(points, lambda point: _can_be_drawn(point[1])):
        if is_known:
            placed = [(across(step), up(value)) for step, value in run if value is not None]
            yield _line(placed)


def _line(placed: Sequence[Placed]) -> Markup:
    if len(placed) == 1:
        return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(*placed[0])
    return Markup('<polyline points="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in placed))


def _y_axis(axis: Axis, up: Callable[[float], float], size: Size) -> Markup:
    mark = Markup(
        '<path class="grid" d="M{left} {y:.1f}H{right}"/>'
        '<text class="y" x="{text}" y="{y:.1f}" dy=".35em">{words}</text>'
    )
    return Markup().join(
        mark.format(left=LEFT, right=size.width - RIGHT, text=LEFT - 6, y=up(tick), words=figure_of(tick))
        for tick in axis.ticks
    )


def _x_axis(axis: Axis, across: Callable[[float], float], size: Size) -> Markup:
    bottom = size.height - BOTTOM
    mark = Markup('<path class="tick" d="M{x:.1f} {y}v4"/><text class="x" x="{x:.1f}" y="{text}">{words}</text>')
    marks = [mark.format(x=across(tick), y=bottom, text=bottom + 20, words=_short(tick)) for tick in axis.ticks]
    return Markup('<path class="axis" d="M{} {}H{}"/>').format(LEFT, bottom, size.width - RIGHT) + Markup().join(marks)


def _gap(x: float, size: Size) -> Markup:
    return Markup('<path class="gap" d="M{:.1f} {}v-8"/>').format(x, size.height - BOTTOM)


def _short(step: float) -> str:
    """Of a step: 12k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(step) >= size:
            return f"{step / size:g}{unit}"
    return f"{step:g}"


def _words(title: str, known: Sequence[Point], gaps: int) -> str:
    if not known:
        return f"{title}: nothing yet"
    values = [value for _, value in known if value is not None]
    lacking = f", {gaps} without a number" if gaps else ""
    return (
        f"{title}: {figure_of(values[-1])} at step {known[-1][0]:,}, lowest {figure_of(min(values))},"
        f" highest {figure_of(max(values))}{lacking}"
    )


def _can_be_drawn(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and abs(value) <= LARGEST
