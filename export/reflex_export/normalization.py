"""Normalisation inside the graphs, so that every client speaks robot units whatever its language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from reflex_export.graph import GraphBuilder

__all__ = ["MeanStd", "normalize", "unnormalize"]

EPSILON: Final = 1e-8
"""Keeps a joint that never moved (std 0) finite. Training adds it on the way in only, so the inverse has none."""


@dataclass(frozen=True)
class MeanStd:
    """Per-axis statistics of the training data, in robot units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means but {len(self.std)} standard deviations")


def normalize(g: GraphBuilder, x: ir.Value, statistics: MeanStd) -> ir.Value:
    """(x - mean) / (std + eps)."""
    centred = g.op("Sub", x, g.constant(statistics.mean))
    return g.op("Div", centred, g.constant([std + EPSILON for std in statistics.std]))


def unnormalize(g: GraphBuilder, x: ir.Value, statistics: MeanStd) -> ir.Value:
    """x * std + mean."""
    return g.op("Add", g.op("Mul", x, g.constant(statistics.std)), g.constant(statistics.mean))
