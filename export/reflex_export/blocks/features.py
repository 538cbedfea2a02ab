"""A checkpoint's own normalisation as operators: state on the way in, actions on the way out."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from reflex_export.checkpoint import Normalizer
from reflex_export.graph.graph import Array, GraphBuilder

__all__ = ["normalize_feature", "pad_last_axis", "unnormalize_feature"]

_BOUNDS = {"MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}


def normalize_feature(g: GraphBuilder, x: ir.Value, normalizer: Normalizer) -> ir.Value:
    """Robot units to what the model was trained on, FP32; see `Normalizer` for the formulas."""
    statistics = normalizer.statistics
    if normalizer.mode == "IDENTITY" or not statistics:
        return x
    if normalizer.mode == "MEAN_STD":
        scale = statistics["std"] + np.float32(normalizer.eps)
        return g.op("Div", g.op("Sub", x, g.constant(statistics["mean"])), g.constant(scale))
    low, extent = _range(normalizer)
    doubled = g.op("Mul", g.op("Sub", x, g.constant(low)), g.constant(2.0))
    return g.op("Sub", g.op("Div", doubled, g.constant(extent)), g.constant(1.0))


def unnormalize_feature(g: GraphBuilder, x: ir.Value, normalizer: Normalizer) -> ir.Value:
    """The inverse, without eps for MEAN_STD: training adds it on the way in only."""
    statistics = normalizer.statistics
    if normalizer.mode == "IDENTITY" or not statistics:
        return g.op("Identity", x)
    if normalizer.mode == "MEAN_STD":
        return g.op("Add", g.op("Mul", x, g.constant(statistics["std"])), g.constant(statistics["mean"]))
    low, extent = _range(normalizer)
    halved = g.op("Div", g.op("Add", x, g.constant(1.0)), g.constant(2.0))
    return g.op("Add", g.op("Mul", halved, g.constant(extent)), g.constant(low))


def pad_last_axis(g: GraphBuilder, x: ir.Value, rank: int, missing: int) -> ir.Value:
    """Zeros on the right of the last axis of x, which has `rank` axes."""
    if missing <= 0:
        return x
    return g.op("Pad", x, g.ints(*[0] * (2 * rank - 1), missing), g.constant(0.0), mode="constant")


def _range(normalizer: Normalizer) -> tuple[Array, Array]:
    low_name, high_name = _BOUNDS[normalizer.mode]
    low, high = normalizer.statistics[low_name], normalizer.statistics[high_name]
    extent = (high - low).astype(np.float32)
    return low, np.where(extent == 0, np.float32(normalizer.eps), extent)
