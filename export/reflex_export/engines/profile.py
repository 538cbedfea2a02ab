"""Optimisation profiles: the sizes that an engine must take, and those that it is fastest at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reflex_export.engines.errors import EngineError
from reflex_export.engines.onnx_file import GraphInput

__all__ = ["IMAGE_SIDE_PX", "Profile", "ShapeRange", "Sizes", "profile_of"]

Sizes = tuple[int, int, int]
"""Least, best, greatest."""

IMAGE_SIDE_PX: Final[Sizes] = (1, 480, 1920)
"""An absent camera is sent as one pixel; 640 x 480 is what robots' cameras usually give."""


@dataclass(frozen=True)
class ShapeRange:
    """One input's shapes with the batch axis; the engine takes everything between `minimum` and `maximum`."""

    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]

    def __post_init__(self) -> None:
        axes = zip(self.minimum, self.optimum, self.maximum, strict=True)
        if not all(1 <= least <= best <= greatest for least, best, greatest in axes):
            raise EngineError(f"a profile must rise from 1: {self.minimum} to {self.optimum} to {self.maximum}")


Profile = Mapping[str, ShapeRange]
"""By input name, fixed inputs too."""


def profile_of(
    inputs: Sequence[GraphInput], *, max_batch: int, best_batch: int = 1, image_side_px: Sizes = IMAGE_SIDE_PX
) -> Profile:
    """A profile for a graph whose dynamic first axes are the batch and whose other dynamic axes are images' sides.

    `best_batch` is 1 unless you know better: one robot's latency is what people wait for.
    """
    batch = (1, min(best_batch, max_batch), max_batch)
    return {tensor.name: _range(tensor.shape, batch, image_side_px) for tensor in inputs}


def _range(shape: tuple[int, ...], batch: Sizes, side: Sizes) -> ShapeRange:
    axes = [
        (size, size, size) if size != -1 else batch if axis == 0 else side  # a fixed axis has one size only
        for axis, size in enumerate(shape)
    ]
    minimum, optimum, maximum = (tuple(axis[kind] for axis in axes) for kind in range(3))
    return ShapeRange(minimum, optimum, maximum)
