"""The blocks of a transformer that ONNX has as one operator each since opset 23, and products with stored weights.

A runtime makes one or two kernels of each, where norms, rotations and attention spelled out are a dozen. Between the
blocks activations are *rows* [B * T, W], so that a weight is used as it is stored, [out, in]; where attention has to
know the sequences they are *tokens* [B, T, W]. One becomes the other without a copy. Heads lie side by side in a token.

Shapes: B batch, T query tokens, L key tokens, H heads, G key/value heads, D head width. `hidden` is FP32, `half` is
what the graph computes in (see `transformer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.transformer import ROPE_THETA, wavelengths
from reflex_export.graph.graph import FloatType, GraphBuilder

__all__ = [
    "UNSEEN",
    "Rotation",
    "attend",
    "dense",
    "merged_dense",
    "normed",
    "rotate_heads",
    "rotation",
    "rows",
    "split",
    "tokens",
    "visible_keys",
]

UNSEEN: Final = -3e4
"""Added to the score of a key that is not to be seen: within FP16's range, and finite, so that a row without any valid
key is some mean of values and never NaN."""

Rotation = tuple[ir.Value, ir.Value]
"""Cosine and sine of each token's angles, half [B, T, D / 2]."""


def rows(g: GraphBuilder, x: ir.Value, width: int) -> ir.Value:
    """[B, T, width] -> [B * T, width]."""
    return g.op("Reshape", x, g.ints(-1, width))


def tokens(g: GraphBuilder, x: ir.Value, count: int, width: int) -> ir.Value:
    """[B * count, width] -> [B, count, width]."""
    return g.op("Reshape", x, g.ints(-1, count, width))


def split(g: GraphBuilder, x: ir.Value, *widths: int) -> tuple[ir.Value, ...]:
    """The last axis, cut into parts of these widths."""
    return g.op_n("Split", len(widths), x, g.ints(*widths), axis=-1)


def dense(
    g: GraphBuilder,
    x: ir.Value,
    name: str,
    *,
    bias: bool = False,
    factor: float = 1.0,
    datatype: FloatType | None = None,
) -> ir.Value:
    """Rows [N, in] -> [N, out]: x @ weight.T (+ bias), times `factor`, in `datatype` or what the graph computes in."""
    return merged_dense(g, x, name, {name: factor}, bias=bias, datatype=datatype)


def merged_dense(
    g: GraphBuilder,
    x: ir.Value,
    name: str,
    layers: Mapping[str, float],
    *,
    bias: bool = False,
    datatype: FloatType | None = None,
) -> ir.Value:
    """Several layers as one of the name `name`, each with its factor: their outputs lie side by side."""
    kinds = ("weight", "bias") if bias else ("weight",)
    stored = [
        g.merged(f"{name}.{kind}", {f"{layer}.{kind}": factor for layer, factor in layers.items()}, datatype)
        for kind in kinds
    ]
    return g.op("Gemm", x, *stored, transB=1)


def normed(g: GraphBuilder, hidden: ir.Value, scale: ir.Value, epsilon: float) -> ir.Value:
    """x / rms(x) * scale along the last axis, all FP32."""
    return g.op("RMSNormalization", hidden, scale, axis=-1, epsilon=epsilon)


def rotation(g: GraphBuilder, positions: ir.Value, head_dim: int, theta: float = ROPE_THETA) -> Rotation:
    """What `rotate_heads` takes, from FP32 positions [B, T]; the angles are those of `transformer.rope_tables`."""
    angles = g.op("Div", g.op("Unsqueeze", positions, g.ints(2)), g.constant(wavelengths(head_dim, theta)))
    return g.halve(g.op("Cos", angles)), g.halve(g.op("Sin", angles))


def rotate_heads(g: GraphBuilder, half: ir.Value, tables: Rotation, heads: int) -> ir.Value:
    """Rotary position embedding (rotate-half) of tokens [B, T, heads * D]."""
    return g.op("RotaryEmbedding", half, *tables, num_heads=heads)


def visible_keys(g: GraphBuilder, valid: ir.Value, queries: int) -> ir.Value:
    """The mask of `attend` for BOOL [B, L], which keys all queries see: half [B, 1, queries, L], 0 or `UNSEEN`."""
    everyone = g.constant(np.ones((1, 1, queries, 1)), np.bool_)
    seen = g.op("And", g.op("Unsqueeze", valid, g.ints(1, 2)), everyone)
    return g.halve(g.op("Where", seen, g.constant(0.0), g.constant(UNSEEN)))


def attend(
    g: GraphBuilder,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    mask: ir.Value | None = None,
    *,
    heads: int,
    kv_heads: int,
    head_dim: int | None = None,
    factor: float = 1.0,
    valid_keys: ir.Value | None = None,
    is_causal: bool = False,
) -> ir.Value:
    """Grouped-query attention: half tokens [B, T, H * D], [B, L, G * D] twice -> [B, T, H * D].

    Scores are scaled by D^-0.5: without `head_dim` TensorRT works that out anew in every node, with ten layers; with it
    they are multiplied by `factor` too. `mask` is half and added to them; its last axes are [T, L], not broadcast.
    In its place `valid_keys` INT64 [B] says how many keys are seen, the first of all; the last of these are the
    queries' own where attention `is_causal`, and each query sees up to its own then.
    """
    scale = {} if head_dim is None else {"scale": factor * head_dim**-0.5}
    inputs = [query, key, value]
    if mask is not None:
        inputs.append(mask)
    counted = () if valid_keys is None else (None, None, None, valid_keys)
    order = {"is_causal": 1} if is_causal else {}
    return g.op("Attention", *inputs, *counted, q_num_heads=heads, kv_num_heads=kv_heads, **scale, **order)
