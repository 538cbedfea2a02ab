"""What the simulated arm shows of itself: its state, and pictures of the size that the policy takes."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from reflex.client.check import ServedShape
from reflex.embodiments import Embodiment
from reflex_analysis.motion.arm import Vector

__all__ = ["Scene"]

SWING: Final = 0.1
"""In the state's unit: how far a value that is no axis of the arm moves with it."""
BACKGROUND: Final = (196, 190, 180)
FLOOR: Final = (120, 116, 110)
LINK: Final = (214, 96, 40)


class Scene:
    """One arm of `embodiment` before the cameras of `shape`."""

    def __init__(self, shape: ServedShape, embodiment: Embodiment) -> None:
        self._shape = shape
        self._embodiment = embodiment
        self.low = np.array(embodiment.action_low)
        self.ranges: Vector = np.array(embodiment.action_high) - self.low
        axes = list(zip(embodiment.action_names, embodiment.action_units, strict=True))
        states = zip(embodiment.state_names, embodiment.state_units, strict=True)
        self._axis_of = [axes.index(each) if each in axes else None for each in states]

    @property
    def rest(self) -> Vector:
        """The middle of every axis, or the typical state of those that are in it."""
        rest: Vector = self.low + self.ranges / 2.0
        for axis, mean in zip(self._axis_of, self._embodiment.mean_state, strict=True):
            if axis is not None:
                rest[axis] = mean
        return rest

    def state(self, positions: Vector) -> list[float]:
        """The position of each state that is an axis; any other swings round its mean, as the arm moves."""
        shares = self._shares(positions)
        found = []
        for index, (axis, mean) in enumerate(zip(self._axis_of, self._embodiment.mean_state, strict=True)):
            swing = SWING * float(shares[index % len(shares)])
            found.append(mean + swing if axis is None else float(positions[axis]))
        return found

    def pictures(self, positions: Vector) -> dict[str, Image.Image]:
        """By camera: a chain of links whose angles are those of the axes."""
        return {name: self._picture(size, positions) for name, size in self._shape.cameras.items()}

    def _picture(self, size: tuple[int, int], positions: Vector) -> Image.Image:
        width, height = size
        image = Image.new("RGB", size, BACKGROUND)
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, height * 0.85, width, height), fill=FLOOR)
        angle, x, y = np.pi / 2.0, width / 2.0, height * 0.85
        length = height * 0.75 / len(positions)
        for share in self._shares(positions):
            angle += float(share)
            after = (x + length * np.cos(angle), y - length * np.sin(angle))
            draw.line((x, y, *after), fill=LINK, width=max(2, width // 24))
            x, y = after
        return image

    def _shares(self, positions: Vector) -> Vector:
        """Each position between -1 and 1, the ends of its range."""
        shares: Vector = np.clip((positions - self.low) / self.ranges * 2.0 - 1.0, -1.0, 1.0)
        return shares
