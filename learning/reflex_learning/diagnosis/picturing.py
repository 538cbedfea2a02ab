"""What may have happened to a picture between camera and policy, undone: uint8 [height, width, 3] to the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = [
    "as_square",
    "brighter",
    "cropped",
    "darker",
    "letterboxed",
    "mirrored",
    "padded",
    "quarter_turned",
    "reversed_colours",
    "square_middle",
    "turned",
    "upside_down",
]

Pixels = npt.NDArray[np.uint8]
Changed = Callable[[Pixels], Pixels]


def _whole(pixels: npt.NDArray[np.uint8]) -> Pixels:
    return np.ascontiguousarray(pixels)


def reversed_colours(pixels: Pixels) -> Pixels:
    return _whole(pixels[..., ::-1])


def mirrored(pixels: Pixels) -> Pixels:
    return _whole(pixels[:, ::-1])


def upside_down(pixels: Pixels) -> Pixels:
    return _whole(pixels[::-1])


def turned(pixels: Pixels) -> Pixels:
    """By half a turn."""
    return _whole(pixels[::-1, ::-1])


def quarter_turned(times: int) -> Changed:
    return lambda pixels: _whole(np.rot90(pixels, times))


def brighter(times: float) -> Changed:
    return lambda pixels: np.clip(pixels * times, 0, 255).astype(np.uint8)


def darker(power: float) -> Changed:
    """By a gamma: black and white stay."""
    return lambda pixels: (255.0 * (pixels / 255.0) ** power).astype(np.uint8)


def cropped(share: float) -> Changed:
    """The middle, so much of each side, as large as before."""

    def crop(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        down, across = (round(side * (1 - share) / 2) for side in (height, width))
        return _sized(pixels[down : height - down, across : width - across], height, width)

    return crop


def padded(share: float) -> Changed:
    """The reverse: what is shown fills so much of each side; what was cut off cannot come back, its edge stands in."""

    def pad(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        down, across = (round(side * (1 / share - 1) / 2) for side in (height, width))
        return _sized(np.pad(pixels, ((down, down), (across, across), (0, 0)), mode="edge"), height, width)

    return pad


def as_square(pixels: Pixels) -> Pixels:
    """Stretched: the whole picture, its sides as long as the shorter one."""
    side = min(pixels.shape[:2])
    return _sized(pixels, side, side)


def square_middle(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    side = min(height, width)
    down, across = (height - side) // 2, (width - side) // 2
    return _whole(pixels[down : down + side, across : across + side])


def letterboxed(pixels: Pixels) -> Pixels:
    """A square, black beside the picture."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    down, across = side - height, side - width
    sides = ((down // 2, down - down // 2), (across // 2, across - across // 2), (0, 0))
    return np.pad(pixels, sides)


def _sized(pixels: npt.NDArray[np.uint8], height: int, width: int) -> Pixels:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.uint8)
