"""What the vision-language-action families share: norms, projections, attention, and the Euler loop.

Shapes: B batch, T query tokens, L key tokens, H heads, G key/value heads, D head width. Linear weights are PyTorch's,
[out, in]. In an FP16 graph matrix products are FP16; the residual stream, norms, rotations, softmax and everything the
Euler loop adds up are FP32. `hidden` below is FP32, `half` is what the graph computes in. A value is halved once, just
before the product that takes it: each rounding more is an error more. Inside `GraphBuilder.attention_block`, half may
be FP32 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.graph.graph import Array, FloatType, GraphBuilder

__all__ = [
    "MASKED",
    "attention",
    "attention_bias",
    "group_bias",
    "layer_norm",
    "linear",
    "merge_heads",
    "prefix_positions",
    "rms_norm",
    "rms_unit",
    "rope_tables",
    "rotate",
    "silu",
    "silu_mlp",
    "split_heads",
    "split_layers",
    "stack_layers",
    "time_bias",
    "wavelengths",
    "wide_linear",
]

MASKED: Final = -1e9
"""Added to a masked score: finite, so that a row without any valid key is uniform and never NaN."""

ROPE_THETA: Final = 10_000.0


def linear(
    g: GraphBuilder, x: ir.Value, name: str, *, bias: bool = True, datatype: FloatType | None = None
) -> ir.Value:
    """x @ weight.T (+ bias), in `datatype` or what the graph computes in; x must be of that type."""
    product = g.op("MatMul", x, g.transposed_weight(f"{name}.weight", datatype))
    return g.op("Add", product, g.weight(f"{name}.bias", datatype)) if bias else product


def wide_linear(g: GraphBuilder, half: ir.Value, name: str, *, bias: bool = True) -> ir.Value:
    """`linear` with its result, and the bias, in FP32: for what is added, rotated or activated before it is halved."""
    product = g.widen(g.op("MatMul", half, g.transposed_weight(f"{name}.weight")))
    return g.op("Add", product, g.weight(f"{name}.bias", "FP32")) if bias else product


def rms_unit(g: GraphBuilder, hidden: ir.Value, epsilon: float) -> ir.Value:
    """x / sqrt(mean(x^2) + eps), FP32, without a weight."""
    mean_square = g.op("ReduceMean", g.op("Mul", hidden, hidden), g.ints(-1), keepdims=1)
    return g.op("Div", hidden, g.op("Sqrt", g.op("Add", mean_square, g.constant(epsilon))))


def rms_norm(g: GraphBuilder, hidden: ir.Value, weight: ir.Value, epsilon: float) -> ir.Value:
    """FP32 in, half out; `weight` is FP32 (Gemma's is 1 + w: see `GraphBuilder.derived`)."""
    return g.halve(g.op("Mul", rms_unit(g, hidden, epsilon), weight))


def layer_norm(g: GraphBuilder, hidden: ir.Value, name: str, epsilon: float) -> ir.Value:
    """FP32 in, half out."""
    weight, bias = g.weight(f"{name}.weight", "FP32"), g.weight(f"{name}.bias", "FP32")
    return g.halve(g.op("LayerNormalization", hidden, weight, bias, axis=-1, epsilon=epsilon))


def silu_mlp(g: GraphBuilder, half: ir.Value, name: str) -> ir.Value:
    """down(silu(gate(x)) * up(x)), without biases, half in, FP32 out."""
    gate, up = (wide_linear(g, half, f"{name}.{part}_proj", bias=False) for part in ("gate", "up"))
    return wide_linear(g, g.halve(g.op("Mul", silu(g, gate), up)), f"{name}.down_proj", bias=False)


def split_heads(g: GraphBuilder, x: ir.Value, heads: int, head_dim: int) -> ir.Value:
    """[B, T, H * D] -> [B, H, T, D]."""
    return g.op("Transpose", g.op("Reshape", x, g.ints(0, 0, heads, head_dim)), perm=[0, 2, 1, 3])


def rope_tables(
    g: GraphBuilder, positions: ir.Value, head_dim: int, theta: float = ROPE_THETA
) -> tuple[ir.Value, ir.Value]:
    """Cosine and sine [B, 1, T, D], FP32, for `rotate` (rotate-half), from FP32 positions [B, T]."""
    angles = g.op("Div", g.op("Unsqueeze", positions, g.ints(1, 3)), g.constant(wavelengths(head_dim, theta)))
    cosine, sine = g.op("Cos", angles), g.op("Sin", angles)
    return g.op("Concat", cosine, cosine, axis=-1), g.op("Concat", g.op("Neg", sine), sine, axis=-1)


def wavelengths(head_dim: int, theta: float = ROPE_THETA) -> Array:
    """[D / 2], float32, as training computed them: an angle is position / wavelength."""
    exponents = np.float32(2.0 / head_dim) * np.arange(head_dim // 2, dtype=np.float32)
    lengths: Array = np.float32(theta) ** exponents
    return lengths


def prefix_positions(g: GraphBuilder, mask: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Positions of a prefix's tokens [B, L] and how many are valid [B, 1], FP32: invalid tokens take no position."""
    counted = g.op("Cast", mask, to=int(ir.DataType.FLOAT))
    running = g.op("CumSum", counted, g.constant(1, np.int64))
    return g.op("Sub", running, g.constant(1.0)), g.op("ReduceSum", counted, g.ints(1), keepdims=1)


def group_bias(g: GraphBuilder, bias: ir.Value, heads: int, kv_heads: int) -> ir.Value:
    """[B, 1, T, L] -> [B, 1, H/G * T, L]: the heads of a group lie along the token axis in `attention`."""
    return bias if heads == kv_heads else g.op("Concat", *[bias] * (heads // kv_heads), axis=2)


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
    """Grouped-query attention: query FP32 [B, H, T, D], key and value half [B, G, L, D] -> half [B, H, T, D].

    `bias` is FP32 and broadcasts to [B, G, H/G * T, L] (see `group_bias`). The query is scaled before the product, so
    that FP16 scores stay small.
    """
    grouped = query if heads == kv_heads else g.op("Reshape", query, g.ints(0, kv_heads, -1, head_dim))
    scaled = g.halve(g.op("Mul", grouped, g.constant(head_dim**-0.5)))
    scores = g.widen(g.op("MatMul", scaled, g.op("Transpose", key, perm=[0, 1, 3, 2])))
    if bias is not None:
        scores = g.op("Add", scores, bias)
    mixed = g.op("MatMul", g.halve(g.op("Softmax", scores, axis=-1)), value)
    return mixed if heads == kv_heads else g.op("Reshape", mixed, g.ints(0, heads, -1, head_dim))


def stack_layers(g: GraphBuilder, layers: Sequence[ir.Value]) -> ir.Value:
    """A [B, G, L, D] of each layer -> [B, layers, G, L, D]."""
    return g.op("Concat", *[g.op("Unsqueeze", layer, g.ints(1)) for layer in layers], axis=1)


def split_layers(g: GraphBuilder, cache: ir.Value, layers: int) -> tuple[ir.Value, ...]:
    """The inverse of `stack_layers`."""
    parts = g.op_n("Split", layers, cache, axis=1, num_outputs=layers) if layers > 1 else (cache,)
    return tuple(g.op("Squeeze", part, g.ints(1)) for part in parts)


def time_bias(g: GraphBuilder, name: str, embedding: Array, action_width: int) -> Array:
    """The time's share of Linear([action ; time]) [steps, out], float32: `embedding` is [steps, time width]."""
    weight = g.tensor(f"{name}.weight")[:, action_width:].astype(np.float64)
    shares: Array = (embedding.astype(np.float64) @ weight.T + g.tensor(f"{name}.bias")).astype(np.float32)
    return shares


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
