"""Component `<policy>_preprocess`: raw pixels of any size to the tensor that the vision tower takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from reflex_export.graph import GraphBuilder, OnnxModel

__all__ = ["build_preprocess", "resize_with_padding"]


def build_preprocess(cameras: Sequence[str], size: int) -> OnnxModel:
    """image.<camera> UINT8 [height, width, 3] each -> pixels FP32 [cameras, 3, size, size] in -1..1."""
    g = GraphBuilder("preprocess")
    images = [g.input(f"image.{camera}", "UINT8", (-1, -1, 3)) for camera in cameras]
    resized = [g.op("Unsqueeze", resize_with_padding(g, image, size), g.ints(1)) for image in images]
    g.output(g.op("Concat", *resized, axis=1), "pixels", "FP32", (len(cameras), 3, size, size))
    return g.build()


def resize_with_padding(g: GraphBuilder, image: ir.Value, size: int) -> ir.Value:
    """UINT8 [B, h, w, 3] -> FP32 [B, 3, size, size]: the ratio kept, bilinear without antialiasing, centred on -1.

    The same arithmetic as the training code's: sizes in float64 and rounded down, the odd pixel of padding right and
    below. A side never gets smaller than one pixel.
    """
    pixels = g.op("Cast", g.op("Transpose", image, perm=[0, 3, 1, 2]), to=int(ir.DataType.FLOAT))
    inner = _inner_size(g, image, size)
    target = g.op("Concat", g.op("Shape", pixels, start=0, end=2), inner, axis=0)
    resized = g.op(
        "Resize", pixels, None, None, target, mode="linear", coordinate_transformation_mode="half_pixel", antialias=0
    )
    padded = g.op("Pad", resized, _centred_pads(g, inner, size), g.constant(0.0), mode="constant")
    return g.op("Sub", g.op("Mul", padded, g.constant(2 / 255)), g.constant(1.0))


def _inner_size(g: GraphBuilder, image: ir.Value, size: int) -> ir.Value:
    """INT64 [2]: height and width of the picture inside the square."""
    sides = g.op("Cast", g.op("Shape", image, start=1, end=3), to=int(ir.DataType.DOUBLE))
    ratio = g.op("ReduceMax", g.op("Div", sides, g.constant(float(size), np.float64)), g.ints(0), keepdims=1)
    inner = g.op("Cast", g.op("Floor", g.op("Div", sides, ratio)), to=int(ir.DataType.INT64))
    return g.op("Min", g.op("Max", inner, g.ints(1)), g.ints(size))


def _centred_pads(g: GraphBuilder, inner: ir.Value, size: int) -> ir.Value:
    """INT64 [8] for [B, 3, h, w]: begins, then ends."""
    missing = g.op("Sub", g.ints(size), inner)
    before = g.op("Div", missing, g.ints(2))
    after = g.op("Sub", missing, before)
    return g.op("Concat", g.ints(0, 0), before, g.ints(0, 0), after, axis=0)
