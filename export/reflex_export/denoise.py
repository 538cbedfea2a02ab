"""Component `<policy>_denoise`: noise to actions, every Euler step inside one graph.

The loop is unrolled: an engine builder can then optimise across steps, and no runtime needs control flow. The steps
share their weights, so unrolling costs operators, not bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reflex_export.architecture import Architecture
from reflex_export.blocks import (
    attention,
    attention_bias,
    gated_mlp,
    head_projections,
    linear,
    merge_heads,
    rms_norm,
    rope_tables,
    rotate,
    silu,
)
from reflex_export.flow import euler_times, sinusoidal_embedding
from reflex_export.graph import Array, GraphBuilder, OnnxModel, Weights
from reflex_export.normalization import MeanStd, unnormalize

__all__ = ["build_denoise"]


@dataclass(frozen=True)
class _Prefix:
    """What every step reads: computed once, before the loop."""

    keys: tuple[ir.Value, ...]
    values: tuple[ir.Value, ...]
    bias: ir.Value
    tables: tuple[ir.Value, ir.Value]


def build_denoise(a: Architecture, weights: Weights, action_statistics: MeanStd) -> OnnxModel:
    """prefix_keys, prefix_values, prefix_mask, noise [horizon, noise_dim] -> actions, alike, in robot units."""
    g = GraphBuilder("denoise", weights)
    keys = g.input("prefix_keys", "FP32", a.cache_shape)
    values = g.input("prefix_values", "FP32", a.cache_shape)
    mask = g.input("prefix_mask", "BOOL", (a.prefix_tokens,))
    x = g.input("noise", "FP32", (a.horizon, a.noise_dim))

    prefix = _Prefix(_per_layer(g, a, keys), _per_layer(g, a, values), _key_bias(g, a, mask), _tables(g, a, mask))
    for time_bias in _time_biases(a, weights):
        velocity = _velocity(g, a, x, time_bias, prefix)
        x = g.op("Add", x, g.op("Mul", velocity, g.constant(-1.0 / a.denoising_steps)))
    g.output(unnormalize(g, x, action_statistics), "actions", "FP32", (a.horizon, a.noise_dim))
    return g.build()


def _velocity(g: GraphBuilder, a: Architecture, x: ir.Value, time_bias: Array, prefix: _Prefix) -> ir.Value:
    """The expert's answer v(x, t) [B, horizon, noise_dim]."""
    actions = linear(g, x, "expert.action_in")
    timed = g.op("Add", linear(g, actions, "expert.time_in.action", bias=False), g.constant(time_bias))
    hidden = linear(g, silu(g, timed), "expert.time_out")
    for layer in range(a.layers):
        hidden = _expert_layer(g, a, hidden, layer, prefix)
    return linear(g, rms_norm(g, hidden, "expert.norm"), "expert.action_out")


def _expert_layer(g: GraphBuilder, a: Architecture, x: ir.Value, layer: int, prefix: _Prefix) -> ir.Value:
    """Action tokens see the whole valid prefix and one another."""
    name = f"expert.layers.{layer}"
    normed = rms_norm(g, x, f"{name}.norm1")
    query_key, value = head_projections(g, normed, f"{name}.qkv", (a.heads + a.kv_heads, a.kv_heads), a.head_dim)
    query, key = g.op_n("Split", 2, rotate(g, query_key, prefix.tables), g.ints(a.heads, a.kv_heads), axis=1)
    all_keys = g.op("Concat", prefix.keys[layer], key, axis=2)
    all_values = g.op("Concat", prefix.values[layer], value, axis=2)
    mixed = attention(
        g, query, all_keys, all_values, prefix.bias, heads=a.heads, kv_heads=a.kv_heads, head_dim=a.head_dim
    )
    x = g.op("Add", x, linear(g, merge_heads(g, mixed, a.heads * a.head_dim), f"{name}.out", bias=False))
    return g.op("Add", x, gated_mlp(g, rms_norm(g, x, f"{name}.norm2"), f"{name}.mlp"))


def _time_biases(a: Architecture, weights: Weights) -> Array:
    """[steps, expert_width]: the time's share of Linear([action ; time]) + bias, which no input can change."""
    times = sinusoidal_embedding(euler_times(a.denoising_steps), a.expert_width, a.min_period, a.max_period)
    # In float64, so that rounding, and with it the policy's hash, does not depend on this machine's BLAS.
    product = times.astype(np.float64) @ weights["expert.time_in.time.weight"].astype(np.float64)
    biases: Array = (product + weights["expert.time_in.bias"]).astype(np.float32)
    return biases


def _per_layer(g: GraphBuilder, a: Architecture, cache: ir.Value) -> tuple[ir.Value, ...]:
    layers = g.op_n("Split", a.layers, cache, axis=1, num_outputs=a.layers)
    return tuple(g.op("Squeeze", layer, g.ints(1)) for layer in layers)


def _key_bias(g: GraphBuilder, a: Architecture, mask: ir.Value) -> ir.Value:
    """[B, 1, 1, prefix + horizon]: the same for every query."""
    wide = g.op("Pad", attention_bias(g, mask), g.ints(0, 0, 0, a.horizon), g.constant(0.0), mode="constant")
    return g.op("Unsqueeze", wide, g.ints(1, 2))


def _tables(g: GraphBuilder, a: Architecture, mask: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Rotations of the action tokens, whose positions follow the prefix's valid ones."""
    valid = g.op("ReduceSum", g.op("Cast", mask, to=int(ir.DataType.FLOAT)), g.ints(1), keepdims=1)
    positions = g.op("Add", valid, g.constant(np.arange(a.horizon)[None]))
    return rope_tables(g, positions, a.head_dim)
