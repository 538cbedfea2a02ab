"""A box of a plot with two linear scales, and the marks on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reflex_analysis.motion.canvas import Canvas, Point

__all__ = ["FAINT", "INK", "Panel", "round_marks"]

INK: Final = "#1f2328"
FAINT: Final = "#6e7781"
GRID: Final = "#e3e6ea"


@dataclass(frozen=True, slots=True)
class Panel:
    """Where values are in it; `grid` draws the marks."""

    canvas: Canvas
    left: float
    top: float
    right: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def at(self, x: float, y: float) -> Point:
        share_x = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        share_y = (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return self.left + share_x * (self.right - self.left), self.bottom - share_y * (self.bottom - self.top)

    def grid(self, xs: Sequence[float], *, x_labels: bool) -> None:
        for y in round_marks(*self.y_range):
            self.canvas.line((self.at(self.x_range[0], y), self.at(self.x_range[1], y)), GRID)
            self.canvas.text((self.left - 8, self.at(0, y)[1]), f"{y:g}", FAINT, 12, "rm")
        for x in xs:
            self.canvas.line((self.at(x, self.y_range[0]), self.at(x, self.y_range[1])), GRID)
            if x_labels:
                self.canvas.text((self.at(x, 0)[0], self.bottom + 6), f"{x:g}", FAINT, 12, "ma")


def round_marks(low: float, high: float, most: int = 5) -> list[float]:
    """1, 2 and 5 of a decade between two ends."""
    raw = (high - low) / most
    decade = 10.0 ** math.floor(math.log10(raw))
    step = next(digit * decade for digit in (1.0, 2.0, 5.0, 10.0) if digit * decade >= raw)
    first = math.ceil(low / step)
    return [round(index * step, 10) for index in range(first, math.floor(high / step) + 1)]
