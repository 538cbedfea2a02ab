"""SmolVLA: a SmolVLM prefix, and an action expert whose layers attend to its cache in two ways.

The prefix is [camera tokens ..., instruction, state]: pictures and words do not see the state, the state sees all.
Every other expert layer is self-attention (prefix's keys, then the actions', causal); the rest are cross-attention to
projections of the prefix's keys and values, which do not depend on the step and are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.aloha import aloha_action_from_model
from reflex_export.blocks.euler import euler_loop, guidance_inputs, tap_outputs, velocity_output
from reflex_export.blocks.features import unnormalize_feature
from reflex_export.blocks.flow import euler_times, sinusoidal_embedding
from reflex_export.blocks.resize import build_resizing_preprocess
from reflex_export.blocks.transformer import (
    attention,
    attention_bias,
    group_bias,
    linear,
    merge_heads,
    prefix_positions,
    rms_norm,
    rms_unit,
    rope_tables,
    rotate,
    silu,
    silu_mlp,
    split_heads,
    split_layers,
    time_bias,
    wide_linear,
)
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import Arithmetic, FamilyGraphs, empty_graph
from reflex_export.families.smolvla_prefix import build_encoder
from reflex_export.families.smolvla_sizes import ExpertLayer, SmolVlaSizes, read_sizes
from reflex_export.graph.graph import Array, GraphBuilder, OnnxModel

__all__ = ["build"]


def build(
    checkpoint: Checkpoint, *, steps: Sequence[int], precision: Arithmetic = "fp32", taps: bool = False
) -> FamilyGraphs:
    """`steps` are the step counts to build; see `families.common` for the rest."""
    sizes = read_sizes(checkpoint)
    return FamilyGraphs(
        preprocess=build_resizing_preprocess(sizes.cameras, sizes.image_size, "bottom_right"),
        encoder=build_encoder(checkpoint, sizes, precision=precision, taps=taps),
        denoise={count: _build_denoise(checkpoint, sizes, count, precision, taps=taps) for count in steps},
    )


@dataclass(frozen=True)
class _Context:
    """What every step reads: computed once, before the loop."""

    keys: tuple[ir.Value, ...]
    values: tuple[ir.Value, ...]
    self_bias: ir.Value
    cross_bias: ir.Value
    self_tables: tuple[ir.Value, ir.Value]
    cross_tables: tuple[ir.Value, ir.Value]


def _build_denoise(
    checkpoint: Checkpoint, s: SmolVlaSizes, steps: int, precision: Arithmetic, *, taps: bool
) -> OnnxModel:
    """prefix_keys, prefix_values, prefix_mask, noise, guidance -> actions, actions_normalized, velocity_change."""
    g = empty_graph("denoise", checkpoint, precision)
    with g.attention_block():
        keys = g.input("prefix_keys", g.compute, s.cache_shape)
        values = g.input("prefix_values", g.compute, s.cache_shape)
    mask = g.input("prefix_mask", "BOOL", (s.prefix_tokens,))
    noise = g.input("noise", "FP32", (s.horizon, s.max_action_dim))
    guidance = guidance_inputs(g, s.horizon, s.max_action_dim)

    context = _context(g, s, keys, values, mask)
    biases = _time_biases(g, s, steps)
    trace = euler_loop(g, noise, steps, lambda x, step: _velocity(g, s, x, biases[step], context), guidance)

    chunk = g.op("Slice", trace.final, g.ints(0), g.ints(s.action_dim), g.ints(2))
    robot = aloha_action_from_model(g, chunk, s.action_dim) if s.is_aloha else chunk
    g.output(unnormalize_feature(g, robot, checkpoint.action), "actions", "FP32", (s.horizon, s.action_dim))
    g.output(chunk, "actions_normalized", "FP32", (s.horizon, s.action_dim))
    velocity_output(g, trace, s.action_dim)
    if taps:
        tap_outputs(g, trace, s.horizon, s.max_action_dim)
    return g.build()


def _context(g: GraphBuilder, s: SmolVlaSizes, keys: ir.Value, values: ir.Value, mask: ir.Value) -> _Context:
    layers = len(s.expert)
    parts = zip(s.expert, split_layers(g, keys, layers), split_layers(g, values, layers), strict=True)
    with g.attention_block():
        caches = [_cache(g, s, layer, key, value) for layer, key, value in parts]
    _, valid = prefix_positions(g, mask)
    steps_ahead = g.constant(np.arange(s.horizon)[None])
    return _Context(
        keys=tuple(key for key, _ in caches),
        values=tuple(value for _, value in caches),
        self_bias=_self_bias(g, s, mask),
        cross_bias=g.op("Unsqueeze", attention_bias(g, mask), g.ints(1, 2)),
        self_tables=rope_tables(g, g.op("Add", valid, steps_ahead), s.head_dim),
        cross_tables=rope_tables(g, steps_ahead, s.head_dim),
    )


def _cache(
    g: GraphBuilder, s: SmolVlaSizes, layer: ExpertLayer, key: ir.Value, value: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """A cross-attention layer projects the cache of all heads together, after its rotation."""
    if layer.is_self_attention:
        return key, value
    width = s.kv_heads * s.head_dim
    projected = (
        linear(g, merge_heads(g, cache, width), f"{layer.name}.self_attn.{part}_proj", bias=False)
        for cache, part in ((key, "k"), (value, "v"))
    )
    new_key, new_value = (split_heads(g, x, s.kv_heads, s.head_dim) for x in projected)
    return new_key, new_value


def _self_bias(g: GraphBuilder, s: SmolVlaSizes, mask: ir.Value) -> ir.Value:
    """[B, 1, H/G * T, L + T]: the valid prefix, and the actions up to and with one's own."""
    everyone = g.constant(np.ones((1, 1, s.horizon, 1)), np.bool_)
    prefix = g.op("And", g.op("Unsqueeze", mask, g.ints(1, 2)), everyone)
    # Broadcast over the batch without knowing it: the causal part is the same for all.
    always = g.op("Or", g.op("Slice", prefix, g.ints(0), g.ints(1), g.ints(3)), g.constant([True], np.bool_))
    causal = g.op("And", always, g.constant(np.tri(s.horizon)[None, None], np.bool_))
    visible = g.op("Concat", prefix, causal, axis=3)
    return group_bias(g, attention_bias(g, visible), s.heads, s.kv_heads)


def _time_biases(g: GraphBuilder, s: SmolVlaSizes, steps: int) -> Array:
    times = sinusoidal_embedding(euler_times(steps), s.expert_width, s.min_period, s.max_period)
    return time_bias(g, f"{s.root}action_time_mlp_in", times, s.expert_width)


def _velocity(g: GraphBuilder, s: SmolVlaSizes, x: ir.Value, time: Array, context: _Context) -> ir.Value:
    """The expert's answer v(x, t) [B, T, max_action_dim]; the projections at both ends are FP32."""
    actions = linear(g, x, f"{s.root}action_in_proj", datatype="FP32")
    timed = g.op("Add", g.op("MatMul", actions, _action_share(g, s)), g.constant(time))
    hidden = linear(g, silu(g, timed), f"{s.root}action_time_mlp_out", datatype="FP32")
    for index, layer in enumerate(s.expert):
        hidden = _expert_layer(g, s, hidden, layer, index, context)
    normed = g.op("Mul", rms_unit(g, hidden, s.epsilon), g.weight(f"{s.expert_root}.norm.weight", "FP32"))
    return linear(g, normed, f"{s.root}action_out_proj", datatype="FP32")


def _action_share(g: GraphBuilder, s: SmolVlaSizes) -> ir.Value:
    """The half of action_time_mlp_in [in, out] that the action goes through; the time's is in the biases."""
    name, width = f"{s.root}action_time_mlp_in.weight", s.expert_width
    return g.derived(f"{name}.action", (width, width), lambda: g.tensor(name)[:, :width].T, "FP32")


def _expert_layer(
    g: GraphBuilder, s: SmolVlaSizes, hidden: ir.Value, layer: ExpertLayer, index: int, context: _Context
) -> ir.Value:
    name = layer.name
    attend = _self_attention if layer.is_self_attention else _cross_attention
    with g.attention_block():
        normed = rms_norm(g, hidden, g.weight(f"{name}.input_layernorm.weight", "FP32"), s.epsilon)
        mixed = merge_heads(g, attend(g, s, normed, name, index, context), s.heads * s.head_dim)
        hidden = g.op("Add", hidden, wide_linear(g, mixed, f"{name}.self_attn.o_proj", bias=False))
    normed = rms_norm(g, hidden, g.weight(f"{name}.post_attention_layernorm.weight", "FP32"), s.epsilon)
    return g.op("Add", hidden, silu_mlp(g, normed, f"{name}.mlp"))


def _self_attention(
    g: GraphBuilder, s: SmolVlaSizes, normed: ir.Value, name: str, index: int, context: _Context
) -> ir.Value:
    query = _query(g, s, normed, name, context.self_tables)
    key, value = (
        split_heads(g, linear(g, normed, f"{name}.self_attn.{part}_proj", bias=False), s.kv_heads, s.head_dim)
        for part in "kv"
    )
    rotated = g.halve(rotate(g, g.widen(key), context.self_tables))
    keys = g.op("Concat", context.keys[index], rotated, axis=2)
    values = g.op("Concat", context.values[index], value, axis=2)
    return attention(g, query, keys, values, context.self_bias, heads=s.heads, kv_heads=s.kv_heads, head_dim=s.head_dim)


def _cross_attention(
    g: GraphBuilder, s: SmolVlaSizes, normed: ir.Value, name: str, index: int, context: _Context
) -> ir.Value:
    """Positions restart at zero, and the keys are not rotated again."""
    query = _query(g, s, normed, name, context.cross_tables)
    keys, values = context.keys[index], context.values[index]
    return attention(
        g, query, keys, values, context.cross_bias, heads=s.heads, kv_heads=s.kv_heads, head_dim=s.head_dim
    )


def _query(
    g: GraphBuilder, s: SmolVlaSizes, normed: ir.Value, name: str, tables: tuple[ir.Value, ir.Value]
) -> ir.Value:
    query = wide_linear(g, normed, f"{name}.self_attn.q_proj", bias=False)
    return rotate(g, split_heads(g, query, s.heads, s.head_dim), tables)
