"""The picture of a bench: figures over latency, and below them what one axis was commanded, strategy by strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from reflex_analysis.motion.arm import Vector
from reflex_analysis.motion.canvas import Canvas, Colour
from reflex_analysis.motion.measures import Figures
from reflex_analysis.motion.panel import FAINT, INK, Panel, round_marks
from reflex_analysis.motion.report import heading, medians
from reflex_analysis.motion.trials import Bench, Served, Trial, pace_of

__all__ = ["draw_plot"]

WIDTH: Final = 1200
MARGIN: Final = 26
HEAD: Final = 64
TOP_HEIGHT: Final = 250
ROW_HEIGHT: Final = 150
LEFT: Final = 64
"""Of a panel, for the numbers of its axis."""
NARROW: Final = 44
SHOWN_S: Final = 4.0
USUAL_MS: Final = 100.0
ARM: Final = "#9aa4ae"
PAUSE: Final = "#fbe3d6"
COLOURS: Final = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by all eyes (Okabe and Ito)."""
PANELS: Final[tuple[tuple[str, str, Callable[[Figures], float]], ...]] = (
    ("discontinuity at the seams, mean", "% of range", lambda of: of.discontinuity_mean),
    ("kink from the seam on, mean", "% of range", lambda of: of.kink_mean),
    ("longest pause", "control periods", lambda of: float(of.longest_pause)),
    ("jerk of the arm, RMS", "ranges per second cubed", lambda of: of.jerk_rms),
)


def draw_plot(file: Path, bench: Bench, served: Served, trials: Sequence[Trial]) -> None:
    """Write the picture of at least one trial; `SetupError` when the file cannot be written."""
    names = list(dict.fromkeys(trial.strategy for trial in trials))
    colours = dict(zip(names, COLOURS * len(names), strict=False))
    height = HEAD + TOP_HEIGHT + 58 + ROW_HEIGHT * len(names) + 34
    canvas = Canvas(WIDTH, height)
    canvas.text((MARGIN, 18), heading(bench, served), INK, 16)
    _legend(canvas, colours)
    _over_latency(canvas, trials, colours)
    _courses(canvas, bench, served, trials, colours)
    canvas.save(file)


def _legend(canvas: Canvas, colours: dict[str, Colour]) -> None:
    x = float(MARGIN)
    for name, colour in colours.items():
        canvas.line(((x, 51), (x + 22, 51)), colour, 3)
        canvas.text((x + 30, 51), name, INK, 13, "lm")
        x += 56 + 8 * len(name)


def _over_latency(canvas: Canvas, trials: Sequence[Trial], colours: dict[str, Colour]) -> None:
    figures = medians(trials)
    latencies = sorted({latency for _, latency in figures})
    width = (WIDTH - 2 * MARGIN) / len(PANELS)
    for index, (title, unit, value_of) in enumerate(PANELS):
        left = MARGIN + index * width
        top, bottom = HEAD + 40.0, HEAD + TOP_HEIGHT - 30.0
        most = max((value_of(each) for each in figures.values()), default=0.0) * 1.08 or 1.0
        spread = (latencies[0], max(latencies[-1], latencies[0] + 1.0))
        panel = Panel(canvas, left + NARROW, top, left + width - 18, bottom, spread, (0.0, most))
        canvas.text((left + 10, top - 36), title, INK, 14)
        canvas.text((left + 10, top - 20), unit, FAINT, 12)
        panel.grid(latencies, x_labels=True)
        canvas.text((panel.right, bottom + 22), "latency added, ms", FAINT, 12, "ra")
        for name, colour in colours.items():
            points = [panel.at(ms, value_of(each)) for (own, ms), each in figures.items() if own == name]
            canvas.line(sorted(points), colour, 2.5)
            for point in points:
                canvas.dot(point, colour)


def _courses(canvas: Canvas, bench: Bench, served: Served, trials: Sequence[Trial], colours: dict[str, Colour]) -> None:
    hz = pace_of(bench, served).control_hz
    latency = min((trial.latency_ms for trial in trials), key=lambda ms: (abs(ms - USUAL_MS), ms))
    shown = {trial.strategy: trial for trial in reversed(trials) if trial.latency_ms == latency}
    axis = _liveliest(list(shown.values()))
    name, unit = served.embodiment.action_names[axis], served.embodiment.action_units[axis]
    top = float(HEAD + TOP_HEIGHT + 30)
    words = f"{name} at {latency:g} ms: commanded (colour), where the arm is (grey); a mark at each seam, pauses shaded"
    canvas.text((MARGIN + 10, top - 18), words, INK, 14)
    canvas.text((MARGIN + 10, top + 2), unit, FAINT, 12)
    reach = _reach(list(shown.values()), axis, hz)
    for row, (strategy, trial) in enumerate((each, shown[each]) for each in colours if each in shown):
        box = (MARGIN + LEFT, top + 22 + row * ROW_HEIGHT, WIDTH - MARGIN - 18, top - 4 + (row + 1) * ROW_HEIGHT)
        panel = Panel(canvas, *box, *reach)
        _course(panel, trial, axis, hz, colours[strategy], is_last=row == len(shown) - 1)


def _reach(trials: Sequence[Trial], axis: int, hz: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """The seconds and the values that are shown of all strategies: they are to be compared."""
    count = min(max(len(trial.course.commands) for trial in trials), round(SHOWN_S * hz))
    courses = (rows[:count] for trial in trials for rows in (trial.course.commands, trial.course.positions))
    values = [float(row[axis]) for rows in courses for row in rows]
    room = (max(values) - min(values)) * 0.08 or 1.0
    return (0.0, max(count, 1) / hz), (min(values) - room, max(values) + room)


def _course(panel: Panel, trial: Trial, axis: int, hz: float, colour: Colour, *, is_last: bool) -> None:
    count, canvas = round(panel.x_range[1] * hz), panel.canvas
    low, high = panel.y_range
    for tick in (tick for tick, is_held in enumerate(trial.course.is_held[:count]) if is_held):
        canvas.box(panel.at(tick / hz, high), panel.at((tick + 1) / hz, low), PAUSE)
    panel.grid(round_marks(*panel.x_range, 9), x_labels=is_last)
    for tick in (seam.tick for seam in trial.course.seams if seam.tick < count):
        x, y = panel.at(tick / hz, low)
        canvas.line(((x, y), (x, y - 9)), INK, 2)
    ends = enumerate(trial.course.positions[:count], 1)
    canvas.line([panel.at(tick / hz, float(row[axis])) for tick, row in ends], ARM, 2)
    begins = enumerate(trial.course.commands[:count])
    canvas.line([panel.at(tick / hz, float(row[axis])) for tick, row in begins], colour, 2)
    canvas.text((panel.right, panel.top - 5), trial.strategy, colour, 14, "rs")
    if is_last:
        canvas.text((panel.right, panel.bottom + 22), "seconds", FAINT, 12, "ra")


def _liveliest(trials: Sequence[Trial]) -> int:
    """The axis that moves over most of what it is commanded anywhere: flat lines show nothing."""
    commands: Vector = np.concatenate([np.stack(trial.course.commands) for trial in trials])
    spread = np.ptp(commands, axis=0)
    return int(np.argmax(spread))
