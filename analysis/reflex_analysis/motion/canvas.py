"""A picture to draw plots on, twice as large while it is drawn: Pillow's own lines have steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from reflex.errors import SetupError

__all__ = ["Canvas", "Colour", "Point"]

Colour: TypeAlias = str
Point: TypeAlias = tuple[float, float]
Anchor: TypeAlias = Literal["la", "ma", "ra", "lm", "mm", "rm", "ls", "ms", "rs"]
"""Of a text, as Pillow names them: left, middle, right; ascender, middle, baseline."""

DRAWN: Final = 2
BACKGROUND: Final = "#ffffff"


class Canvas:
    """Positions and sizes are pixels of the picture that is saved."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * DRAWN, height * DRAWN), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1.0) -> None:
        if len(points) > 1:
            self._draw.line(_larger(points), fill=colour, width=round(width * DRAWN), joint="curve")

    def box(self, corner: Point, opposite: Point, colour: Colour) -> None:
        self._draw.rectangle(_larger((corner, opposite)), fill=colour)

    def dot(self, centre: Point, colour: Colour, radius: float = 4.0) -> None:
        (x, y) = centre
        self._draw.ellipse(_larger(((x - radius, y - radius), (x + radius, y + radius))), fill=colour)

    def text(self, at: Point, text: str, colour: Colour, size: float = 13.0, anchor: Anchor = "la") -> None:
        font = ImageFont.load_default(size * DRAWN)
        self._draw.text((at[0] * DRAWN, at[1] * DRAWN), text, fill=colour, font=font, anchor=anchor)

    def save(self, file: Path) -> None:
        """Write a PNG; `SetupError` when the file cannot be written."""
        smaller = self._image.reduce(DRAWN)
        try:
            smaller.quantize(128).save(file, "PNG", optimize=True)
        except OSError as exc:
            raise SetupError(f"--plot {file} cannot be written ({exc.strerror or exc})") from exc


def _larger(points: Sequence[Point]) -> list[float]:
    return [value * DRAWN for point in points for value in point]
