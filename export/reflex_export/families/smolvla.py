"""SmolVLA: a SmolVLM prefix, and an action expert whose layers attend to its cache in two ways.

The prefix is [camera tokens ..., instruction, state]: pictures and words do not see the state, the state sees all.
Every other expert layer is self-attention (prefix's keys, then the actions', causal); the rest are cross-attention to
projections of the prefix's keys and values, which do not depend on the step and are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.aloha import aloha_action_from_model
from reflex_export.blocks.euler import euler_loop, guidance_inputs, tap_outputs, velocity_output
from reflex_export.blocks.features import unnormalize_feature
from reflex_export.blocks.flow import euler_times, sinusoidal_embedding
from reflex_export.blocks.key_order import ValidFirst, valid_first
from reflex_export.blocks.llama import (
    LlamaLayer,
    add_attended,
    add_gated_mlp,
    half_norm,
    mask_of,
    query_key_value,
    rotated_query,
)
from reflex_export.blocks.operators import Rotation, attend, dense, normed, rotation, rows, tokens, visible_keys
from reflex_export.blocks.resize import build_resizing_preprocess
from reflex_export.blocks.transformer import prefix_positions, silu, time_bias, wavelengths
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import Arithmetic, FamilyGraphs, empty_graph
from reflex_export.families.smolvla_prefix import build_encoder
from reflex_export.families.smolvla_sizes import ExpertLayer, SmolVlaSizes, read_sizes
from reflex_export.graph.graph import Array, GraphBuilder, OnnxModel

__all__ = ["build"]

KeysValues = tuple[ir.Value, ir.Value]


def build(
    checkpoint: Checkpoint, *, steps: Sequence[int], precision: Arithmetic = "fp32", taps: bool = False
) -> FamilyGraphs:
    """`steps` are the step counts to build; see `families.common` for the rest."""
    sizes = read_sizes(checkpoint)
    return FamilyGraphs(
        preprocess=build_resizing_preprocess(sizes.cameras, sizes.image_size, "bottom_right"),
        encoder=build_encoder(checkpoint, sizes, precision=precision, taps=taps),
        denoise={count: _build_denoise(checkpoint, sizes, count, precision, taps=taps) for count in steps},
        counted=partial(_build_denoise, checkpoint, sizes, precision=precision, taps=taps, counted=True),
    )


@dataclass(frozen=True)
class _Context:
    """What every step reads: computed once, before the loop."""

    caches: tuple[KeysValues, ...]
    """Of each layer, [B, L, G * D]; where valid tokens are counted, with room for T more in self-attention layers."""
    seen: ir.Value | None
    """By the self-attention layers."""
    seen_prefix: ir.Value | None
    """By the cross-attention layers."""
    tables: Rotation
    restarted_tables: tuple[Rotation, ...]
    """By step: cross-attention counts positions from zero."""
    seen_keys: ir.Value | None = None
    """INT64 [B], where valid tokens come first, and their number is in place of masks: of self-attention layers."""
    seen_prefix_keys: ir.Value | None = None
    """Of cross-attention layers."""


def _build_denoise(
    checkpoint: Checkpoint, s: SmolVlaSizes, steps: int, precision: Arithmetic, *, taps: bool, counted: bool = False
) -> OnnxModel:
    """prefix_keys, prefix_values, prefix_mask, noise, guidance -> actions, actions_normalized, velocity_change."""
    g = empty_graph("denoise", checkpoint, precision)
    with g.attention_block():
        keys = g.input("prefix_keys", g.compute, s.cache_shape)
        values = g.input("prefix_values", g.compute, s.cache_shape)
    mask = g.input("prefix_mask", "BOOL", (s.prefix_tokens,))
    noise = g.input("noise", "FP32", (s.horizon, s.max_action_dim))
    guidance = guidance_inputs(g, s.horizon, s.max_action_dim)

    context = _context(g, s, steps, (keys, values), mask, counted=counted)
    biases = _time_biases(g, s, steps)
    trace = euler_loop(g, noise, steps, lambda x, step: _velocity(g, s, x, step, biases[step], context), guidance)

    chunk = g.op("Slice", trace.final, g.ints(0), g.ints(s.action_dim), g.ints(2))
    robot = aloha_action_from_model(g, chunk, s.action_dim) if s.is_aloha else chunk
    g.output(unnormalize_feature(g, robot, checkpoint.action), "actions", "FP32", (s.horizon, s.action_dim))
    g.output(chunk, "actions_normalized", "FP32", (s.horizon, s.action_dim))
    velocity_output(g, trace, s.action_dim)
    if taps:
        tap_outputs(g, trace, s.horizon, s.max_action_dim)
    return g.build()


def _context(
    g: GraphBuilder, s: SmolVlaSizes, steps: int, cache: KeysValues, mask: ir.Value, *, counted: bool
) -> _Context:
    order = _valid_first(g, s, cache, mask) if counted else None
    valid = prefix_positions(g, mask)[1] if order is None else order.wide_count
    steps_ahead = g.constant(np.arange(s.horizon, dtype=np.float32)[None])
    keys, values = (_split_cache(g, s, x) for x in cache) if order is None else (_split(g, s, x) for x in order.stacks)
    parts = zip(s.expert, keys, values, strict=True)
    with g.attention_block():
        return _Context(
            caches=tuple(_cache(g, s, layer, pair, has_room=counted) for layer, *pair in parts),
            seen=_seen(g, s, mask) if order is None else None,
            seen_prefix=visible_keys(g, mask, s.horizon) if order is None else None,
            tables=rotation(g, g.op("Add", valid, steps_ahead), s.head_dim),
            restarted_tables=_restarted_tables(g, s, valid, steps),
            seen_keys=None if order is None else g.op("Add", order.count, g.ints(s.horizon)),
            seen_prefix_keys=None if order is None else order.count,
        )


def _valid_first(g: GraphBuilder, s: SmolVlaSizes, cache: KeysValues, mask: ir.Value) -> ValidFirst:
    stacks = [_together(g, s, x) for x in cache]
    return valid_first(g, stacks, mask, sequences=len(s.expert), length=s.prefix_tokens)


def _restarted_tables(g: GraphBuilder, s: SmolVlaSizes, valid: ir.Value, steps: int) -> tuple[Rotation, ...]:
    """`operators.rotation` of the positions 0, 1, .. by step, divided by its `_score_factor`.

    They are constants, which `valid` FP32 [B, 1] gives the batch's size.
    """
    none = g.op("Unsqueeze", g.op("Sub", valid, valid), g.ints(2, 3))
    angles = (np.arange(s.horizon, dtype=np.float32)[:, None] / wavelengths(s.head_dim)).astype(np.float64)
    factors = g.constant(np.array([1 / _score_factor(step) for step in range(steps)], np.float32)[None, :, None, None])
    halves = []
    for turn in (np.cos, np.sin):
        of_steps = g.op("Mul", g.op("Add", none, g.constant(turn(angles).astype(np.float32))), factors)
        flat = g.op("Reshape", of_steps, g.ints(-1, steps * s.horizon, s.head_dim // 2))
        halves.append(g.halve(flat))
    if steps == 1:
        return ((halves[0], halves[1]),)
    cosines, sines = (g.op_n("Split", steps, half, axis=1, num_outputs=steps) for half in halves)
    return tuple(zip(cosines, sines, strict=True))


def _score_factor(step: int) -> float:
    """What a step's cross-attention multiplies its scores by, after its queries were divided by it: all steps differ.

    TensorRT for RTX 1.7 merges the keys of steps that scale them alike, and then crashes. Powers of two cost no digit.
    """
    return 2.0 ** (step % 16 - 4) * (1 + step // 16 / 16)


def _split_cache(g: GraphBuilder, s: SmolVlaSizes, cache: ir.Value) -> tuple[ir.Value, ...]:
    """`cache_shape` -> [B, L, G * D] of each layer, where the heads of a token lie side by side."""
    return _split(g, s, _together(g, s, cache))


def _together(g: GraphBuilder, s: SmolVlaSizes, cache: ir.Value) -> ir.Value:
    """`cache_shape` -> [B, layers * L, G * D]."""
    ordered = g.op("Transpose", cache, perm=[0, 1, 3, 2, 4])
    return g.op("Reshape", ordered, g.ints(-1, len(s.expert) * s.prefix_tokens, s.kv_heads * s.head_dim))


def _split(g: GraphBuilder, s: SmolVlaSizes, together: ir.Value) -> tuple[ir.Value, ...]:
    layers = len(s.expert)
    return g.op_n("Split", layers, together, axis=1, num_outputs=layers) if layers > 1 else (together,)


def _cache(
    g: GraphBuilder, s: SmolVlaSizes, layer: ExpertLayer, pair: Sequence[ir.Value], *, has_room: bool
) -> KeysValues:
    """A cross-attention layer projects the cache of all heads together, after its rotation."""
    key, value = pair
    if layer.is_self_attention:
        return (_with_room(g, s, key), _with_room(g, s, value)) if has_room else (key, value)
    width = s.kv_heads * s.head_dim
    new_key, new_value = (
        tokens(g, dense(g, rows(g, x, width), f"{layer.name}.self_attn.{part}_proj"), s.prefix_tokens, width)
        for x, part in ((key, "k"), (value, "v"))
    )
    return new_key, new_value


def _with_room(g: GraphBuilder, s: SmolVlaSizes, x: ir.Value) -> ir.Value:
    """[B, L, G * D] -> [B, L + T, G * D]: each step writes its own behind what is valid."""
    return g.op("Pad", x, g.ints(0, 0, 0, 0, s.horizon, 0))


def _seen(g: GraphBuilder, s: SmolVlaSizes, mask: ir.Value) -> ir.Value:
    """Half [B, 1, T, L + T]: the valid prefix, and the actions up to and with one's own."""
    everyone = g.constant(np.ones((1, 1, s.horizon, 1)), np.bool_)
    prefix = g.op("And", g.op("Unsqueeze", mask, g.ints(1, 2)), everyone)
    # Broadcast over the batch without knowing it: the causal part is the same for all.
    always = g.op("Or", g.op("Slice", prefix, g.ints(0), g.ints(1), g.ints(3)), g.constant([True], np.bool_))
    causal = g.op("And", always, g.constant(np.tri(s.horizon)[None, None], np.bool_))
    return mask_of(g, g.op("Concat", prefix, causal, axis=3))


def _time_biases(g: GraphBuilder, s: SmolVlaSizes, steps: int) -> Array:
    """[steps, expert width]: all that action_time_mlp_in adds, the bias of action_in_proj within."""
    times = sinusoidal_embedding(euler_times(steps), s.expert_width, s.min_period, s.max_period)
    shares = time_bias(g, f"{s.root}action_time_mlp_in", times, s.expert_width).astype(np.float64)
    biases: Array = (shares + _action_share(g, s) @ g.tensor(f"{s.root}action_in_proj.bias")).astype(np.float32)
    return biases


def _velocity(g: GraphBuilder, s: SmolVlaSizes, x: ir.Value, step: int, time: Array, context: _Context) -> ir.Value:
    """The expert's answer v(x, t) [B, T, max_action_dim]; the projections at both ends are FP32."""
    timed = g.op("Gemm", rows(g, x, s.max_action_dim), _action_weight(g, s), g.constant(time), transB=1)
    hidden = dense(g, silu(g, timed), f"{s.root}action_time_mlp_out", bias=True, datatype="FP32")
    for layer, cache in zip(s.expert, context.caches, strict=True):
        hidden = _expert_layer(g, s, hidden, layer, cache, context, step)
    last = normed(g, hidden, g.weight(f"{s.expert_root}.norm.weight", "FP32"), s.epsilon)
    velocity = dense(g, last, f"{s.root}action_out_proj", bias=True, datatype="FP32")
    return tokens(g, velocity, s.horizon, s.max_action_dim)


def _action_weight(g: GraphBuilder, s: SmolVlaSizes) -> ir.Value:
    """action_in_proj and the half of action_time_mlp_in that the action goes through, as one [width, actions]."""
    name = f"{s.root}action_in_proj.weight"
    shape = (s.expert_width, s.max_action_dim)
    return g.derived(f"{name}.timed", shape, lambda: (_action_share(g, s) @ g.tensor(name)).astype(np.float32), "FP32")


def _action_share(g: GraphBuilder, s: SmolVlaSizes) -> Array:
    """The action's half of action_time_mlp_in [out, in], in float64; the time's is in the biases."""
    share: Array = g.tensor(f"{s.root}action_time_mlp_in.weight")[:, : s.expert_width].astype(np.float64)
    return share


def _expert_layer(
    g: GraphBuilder,
    s: SmolVlaSizes,
    hidden: ir.Value,
    layer: ExpertLayer,
    cache: KeysValues,
    context: _Context,
    step: int,
) -> ir.Value:
    llama = LlamaLayer(layer.name, s.heads, s.kv_heads, s.head_dim, s.epsilon, s.horizon)
    with g.attention_block():
        half = half_norm(g, llama, hidden, "input_layernorm")
        if layer.is_self_attention:
            mixed = _self_attention(g, llama, half, cache, context)
        else:
            mixed = _cross_attention(g, llama, half, cache, context, step)
        hidden = add_attended(g, llama, hidden, mixed)
    return add_gated_mlp(g, llama, hidden)


def _self_attention(
    g: GraphBuilder, layer: LlamaLayer, half: ir.Value, cache: KeysValues, context: _Context
) -> ir.Value:
    query, *own = query_key_value(g, layer, half, context.tables)
    key, value = (_behind(g, known, new, context) for known, new in zip(cache, own, strict=True))
    return attend(
        g,
        query,
        key,
        value,
        context.seen,
        heads=layer.heads,
        kv_heads=layer.kv_heads,
        head_dim=layer.head_dim,
        valid_keys=context.seen_keys,
        is_causal=context.seen_keys is not None,
    )


def _behind(g: GraphBuilder, known: ir.Value, own: ir.Value, context: _Context) -> ir.Value:
    """The cache and what is the actions' own, behind it or, where there is room, behind what of it is valid."""
    if context.seen_prefix_keys is None:
        return g.op("Concat", known, own, axis=1)
    return g.op("TensorScatter", known, own, context.seen_prefix_keys, axis=1)


def _cross_attention(
    g: GraphBuilder, layer: LlamaLayer, half: ir.Value, cache: KeysValues, context: _Context, step: int
) -> ir.Value:
    """Positions restart at zero, and the keys are not rotated again."""
    return attend(
        g,
        rotated_query(g, layer, half, context.restarted_tables[step]),
        *cache,
        context.seen_prefix,
        heads=layer.heads,
        kv_heads=layer.kv_heads,
        head_dim=layer.head_dim,
        factor=_score_factor(step),
        valid_keys=context.seen_prefix_keys,
    )
