"""The parts that transformers are made of, as operators; `name` is always the prefix of the weights' names.

Shapes: B batch, T query tokens, L key tokens, H heads, G key/value heads, D head width.
Linear weights are stored [in, out].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.graph import GraphBuilder

__all__ = [
    "MASKED",
    "attention",
    "attention_bias",
    "gated_mlp",
    "gelu_mlp",
    "head_projections",
    "layer_norm",
    "linear",
    "merge_heads",
    "rms_norm",
    "rope_tables",
    "rotate",
]

MASKED: Final = -1e9
"""Added to a masked score: finite, so that a row without any valid key is uniform and never NaN."""
NORM_EPSILON: Final = 1e-6
ROPE_THETA: Final = 10_000.0


def linear(g: GraphBuilder, x: ir.Value, name: str, *, bias: bool = True) -> ir.Value:
    """x @ weight (+ bias)."""
    product = g.op("MatMul", x, g.weight(f"{name}.weight"))
    return g.op("Add", product, g.weight(f"{name}.bias")) if bias else product


def rms_norm(g: GraphBuilder, x: ir.Value, name: str) -> ir.Value:
    """x / sqrt(mean(x^2) + eps) * weight, in the form that runtimes recognise and fuse."""
    mean_square = g.op("ReduceMean", g.op("Pow", x, g.constant(2.0)), g.ints(-1), keepdims=1)
    root = g.op("Sqrt", g.op("Add", mean_square, g.constant(NORM_EPSILON)))
    return g.op("Mul", g.op("Div", x, root), g.weight(f"{name}.weight"))


def layer_norm(g: GraphBuilder, x: ir.Value, name: str) -> ir.Value:
    """Layer normalisation over the last axis."""
    weight, bias = g.weight(f"{name}.weight"), g.weight(f"{name}.bias")
    return g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=NORM_EPSILON)


def gelu_mlp(g: GraphBuilder, x: ir.Value, name: str) -> ir.Value:
    """down(gelu_tanh(up(x))), with biases: the vision tower's."""
    return linear(g, g.op("Gelu", linear(g, x, f"{name}.up"), approximate="tanh"), f"{name}.down")


def gated_mlp(g: GraphBuilder, x: ir.Value, name: str) -> ir.Value:
    """down(silu(gate(x)) * up(x)), without biases: the decoder's."""
    gate = silu(g, linear(g, x, f"{name}.gate", bias=False))
    return linear(g, g.op("Mul", gate, linear(g, x, f"{name}.up", bias=False)), f"{name}.down", bias=False)


def silu(g: GraphBuilder, x: ir.Value) -> ir.Value:
    """x * sigmoid(x)."""
    return g.op("Mul", x, g.op("Sigmoid", x))


def head_projections(
    g: GraphBuilder, x: ir.Value, name: str, heads: Sequence[int], head_dim: int, *, bias: bool = False
) -> tuple[ir.Value, ...]:
    """One matrix product for several projections, split by heads: a [B, heads[i], T, D] for each i."""
    grid = g.op("Reshape", linear(g, x, name, bias=bias), g.ints(0, 0, sum(heads), head_dim))
    transposed = g.op("Transpose", grid, perm=[0, 2, 1, 3])
    if len(heads) == 1:
        return (transposed,)
    return g.op_n("Split", len(heads), transposed, g.ints(*heads), axis=1)


def rope_tables(g: GraphBuilder, positions: ir.Value, head_dim: int) -> tuple[ir.Value, ir.Value]:
    """Cosine and sine [B, 1, T, D] of rotary embeddings for float positions [B, T].

    The minus sign of rotate-half is in the sine's first half, so that `rotate` is five operators.
    """
    frequencies = ROPE_THETA ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = g.op("Mul", g.op("Unsqueeze", positions, g.ints(1, 3)), g.constant(frequencies))
    cosine, sine = g.op("Cos", angles), g.op("Sin", angles)
    return g.op("Concat", cosine, cosine, axis=-1), g.op("Concat", g.op("Neg", sine), sine, axis=-1)


def rotate(g: GraphBuilder, x: ir.Value, tables: tuple[ir.Value, ir.Value]) -> ir.Value:
    """Rotary position embedding (rotate-half) of x [B, heads, T, D]."""
    first, second = g.op_n("Split", 2, x, axis=-1, num_outputs=2)
    swapped = g.op("Concat", second, first, axis=-1)
    return g.op("Add", g.op("Mul", x, tables[0]), g.op("Mul", swapped, tables[1]))


def attention_bias(g: GraphBuilder, visible: ir.Value) -> ir.Value:
    """0 where `visible` (BOOL, any shape), `MASKED` elsewhere."""
    return g.op("Where", visible, g.constant(0.0), g.constant(MASKED))


def attention(
    g: GraphBuilder,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    bias: ir.Value | None,
    *,
    heads: int,
    kv_heads: int,
    head_dim: int,
) -> ir.Value:
    """Grouped-query attention: query [B, H, T, D], key and value [B, G, L, D] -> [B, H, T, D].

    The query heads of a group are stacked along the token axis, so `bias` must broadcast to [B, G, H/G * T, L].
    """
    grouped = query if heads == kv_heads else g.op("Reshape", query, g.ints(0, kv_heads, -1, head_dim))
    scaled = g.op("Mul", grouped, g.constant(head_dim**-0.5))
    scores = g.op("MatMul", scaled, g.op("Transpose", key, perm=[0, 1, 3, 2]))
    if bias is not None:
        scores = g.op("Add", scores, bias)
    mixed = g.op("MatMul", g.op("Softmax", scores, axis=-1), value)
    return mixed if heads == kv_heads else g.op("Reshape", mixed, g.ints(0, heads, -1, head_dim))


def merge_heads(g: GraphBuilder, x: ir.Value, width: int) -> ir.Value:
    """[B, H, T, D] -> [B, T, H * D = width]."""
    return g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.ints(0, 0, width))
