"""Small operators that every transformer here is made of.

Shapes: B batch, T query tokens, L key tokens, H heads, D head width.
"""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from reflex_export.graph import GraphBuilder

__all__ = ["MASKED", "attention_bias", "merge_heads", "rotate", "silu"]

MASKED: Final = -1e9
"""Added to a masked score: finite, so that a row without any valid key is uniform and never NaN."""


def silu(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """x * sigmoid(x)."""
    return g.op("Mul", x, g.op("Sigmoid", x))


def rotate(g: GraphBuilder, x: ir.Value, tables: tuple[ir.Value, ir.Value]) -> ir.Value:
    """Rotary position embedding (rotate-half) of x [B, heads, T, D]; the tables are those of `rope_tables`."""
    first, second = g.op_n("Split", 2, x, axis=-1, num_outputs=2)
    swapped = g.op("Concat", second, first, axis=-1)
    return g.op("Add", g.op("Mul", x, tables[0]), g.op("Mul", swapped, tables[1]))


def attention_bias(g: GraphBuilder, visible: ir.Value) -> ir.Value:
    """0 where `visible` (BOOL, any shape), `MASKED` elsewhere."""
    return g.op("Where", visible, g.constant(0.0), g.constant(MASKED))


def merge_heads(g: GraphBuilder, x: ir.Value, width: int) -> ir.Value:
    """[B, H, T, D] -> [B, T, H * D = width]."""
    return g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.ints(0, 0, width))
