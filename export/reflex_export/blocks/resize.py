"""Raw pixels of any size to a vision tower's input, as training resized them: ratio kept, bilinear, not antialiased.

The source coordinates are PyTorch's, in float32. ONNX's own Resize computes them in another order, which moves a
1920-pixel-wide image by 3e-4; this moves none by more than 1e-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from reflex_export.graph.graph import GraphBuilder, OnnxModel

__all__ = ["Placement", "build_resizing_preprocess", "resize_with_padding"]

Placement = Literal["centred", "bottom_right"]
"""Where the picture lies in the padded frame; centred, the odd pixel of padding is right and below."""


def build_resizing_preprocess(cameras: Sequence[str], size: tuple[int, int], placement: Placement) -> OnnxModel:
    """image.<camera> UINT8 [h, w, 3] -> pixels.<camera> FP32 [3, *size] in -1..1; `size` is (height, width)."""
    g = GraphBuilder("preprocess")
    images = {camera: g.input(f"image.{camera}", "UINT8", (-1, -1, 3)) for camera in cameras}
    for camera, image in images.items():
        g.output(resize_with_padding(g, image, size, placement), f"pixels.{camera}", "FP32", (3, *size))
    return g.build()


def resize_with_padding(g: GraphBuilder, image: ir.Value, size: tuple[int, int], placement: Placement) -> ir.Value:
    """UINT8 [B, h, w, 3] -> FP32 [B, 3, *size] in -1..1, padded with -1."""
    outer = g.op("Shape", image, start=1, end=3)
    inner = _inner_size(g, outer, size)
    rows = _interpolate(g, image, _side(g, outer, 0), _side(g, inner, 0), axis=1)
    resized = _interpolate(g, rows, _side(g, outer, 1), _side(g, inner, 1), axis=2)
    scaled = g.op("Sub", g.op("Mul", resized, g.constant(2 / 255)), g.constant(1.0))
    padded = g.op("Pad", scaled, _pads(g, inner, size, placement), g.constant(-1.0), mode="constant")
    # The shape is known here and not to a runtime: what follows is fixed in size.
    fixed = g.op("Reshape", padded, g.ints(0, *size, 3))
    return g.op("Transpose", fixed, perm=[0, 3, 1, 2])


def _inner_size(g: GraphBuilder, outer: ir.Value, size: tuple[int, int]) -> ir.Value:
    """INT64 [2]: height and width of the picture inside the frame, in float64 and rounded down, never below one."""
    sides = g.op("Cast", outer, to=int(ir.DataType.DOUBLE))
    ratios = g.op("Div", sides, g.constant(size, np.float64))
    ratio = g.op("ReduceMax", ratios, g.ints(0), keepdims=1)
    inner = g.op("Cast", g.op("Floor", g.op("Div", sides, ratio)), to=int(ir.DataType.INT64))
    return g.op("Min", g.op("Max", inner, g.ints(1)), g.ints(*size))


def _side(g: GraphBuilder, sides: ir.Value, index: int) -> ir.Value:
    return g.op("Gather", sides, g.constant(index, np.int64), axis=0)


def _interpolate(g: GraphBuilder, image: ir.Value, before: ir.Value, after: ir.Value, *, axis: int) -> ir.Value:
    """`before` pixels along `axis` (1 or 2 of [B, h, w, 3]) become `after`; FP32 of the same 0..255."""
    position = _source_positions(g, before, after)
    last = g.op("Sub", before, g.constant(1, np.int64))
    lower = g.op("Min", g.op("Cast", position, to=int(ir.DataType.INT64)), last)
    upper = g.op("Min", g.op("Add", lower, g.constant(1, np.int64)), last)
    share = g.op("Sub", position, g.op("Cast", lower, to=int(ir.DataType.FLOAT)))
    weight = g.op("Unsqueeze", g.op("Min", share, g.constant(1.0)), g.ints(*range(1, 4 - axis)))
    first, second = (
        g.op("Cast", g.op("Gather", image, index, axis=axis), to=int(ir.DataType.FLOAT)) for index in (lower, upper)
    )
    rest = g.op("Sub", g.constant(1.0), weight)
    return g.op("Add", g.op("Mul", first, rest), g.op("Mul", second, weight))


def _source_positions(g: GraphBuilder, before: ir.Value, after: ir.Value) -> ir.Value:
    """FP32 [after]: where the centre of each target pixel lies among the source's, not left of its first centre."""
    to_float = {"to": int(ir.DataType.FLOAT)}
    scale = g.op("Div", g.op("Cast", before, **to_float), g.op("Cast", after, **to_float))
    target = g.op("Cast", g.op("Range", g.constant(0, np.int64), after, g.constant(1, np.int64)), **to_float)
    position = g.op("Mul", scale, g.op("Add", target, g.constant(0.5)))
    return g.op("Max", g.op("Sub", position, g.constant(0.5)), g.constant(0.0))


def _pads(g: GraphBuilder, inner: ir.Value, size: tuple[int, int], placement: Placement) -> ir.Value:
    """INT64 [8] for [B, h, w, 3]: begins, then ends."""
    missing = g.op("Sub", g.ints(*size), inner)
    before = missing if placement == "bottom_right" else g.op("Div", missing, g.ints(2))
    after = g.op("Sub", missing, before)
    return g.op("Concat", g.ints(0), before, g.ints(0), g.ints(0), after, g.ints(0), axis=0)
