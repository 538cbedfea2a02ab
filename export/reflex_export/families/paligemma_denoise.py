"""Component `<policy>_denoise` of pi0 and pi0.5: what their experts share around the time's part, which differs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.euler import EulerTrace, tap_outputs, velocity_output
from reflex_export.blocks.features import unnormalize_feature
from reflex_export.blocks.gemma import KeysValues, Norm, Tables, decoder_layer
from reflex_export.blocks.transformer import (
    MASKED,
    attention_bias,
    group_bias,
    linear,
    prefix_positions,
    rope_tables,
    split_layers,
)
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.paligemma import PaliGemma
from reflex_export.graph.graph import GraphBuilder, OnnxModel

__all__ = ["Attended", "attended_prefix", "build_answer", "run_expert"]

_TO_THE_END = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Attended:
    """What the queries of every step read: computed once, before the loop."""

    caches: tuple[KeysValues, ...]
    tables: Tables
    bias: ir.Value


def attended_prefix(g: GraphBuilder, p: PaliGemma, *, leading_tokens: int) -> Attended:
    """Declares prefix_keys, prefix_values and prefix_mask, for a suffix of `leading_tokens` and then the actions.

    Every token of the suffix sees the valid prefix and the suffix; only the leading ones do not see the actions.
    """
    with g.attention_block():
        keys = g.input("prefix_keys", g.compute, p.cache_shape)
        values = g.input("prefix_values", g.compute, p.cache_shape)
    mask = g.input("prefix_mask", "BOOL", (p.prefix_tokens,))
    _, valid = prefix_positions(g, mask)
    positions = g.op("Add", valid, g.constant(np.arange(leading_tokens + p.horizon)[None]))
    layers = p.expert.layers
    caches = tuple(zip(split_layers(g, keys, layers), split_layers(g, values, layers), strict=True))
    return Attended(caches, rope_tables(g, positions, p.expert.head_dim), _bias(g, p, mask, leading_tokens))


def run_expert(g: GraphBuilder, p: PaliGemma, hidden: ir.Value, attended: Attended, norm: Norm) -> ir.Value:
    """Embedded suffix FP32 [B, T, W] -> velocity FP32 [B, horizon, action channels] of its last tokens."""
    for index, cached in enumerate(attended.caches):
        hidden, _ = decoder_layer(
            g, p.expert, hidden, index, norm=norm, tables=attended.tables, bias=attended.bias, cached=cached
        )
    normed, _ = norm(g, hidden, p.expert.last_norm)
    actions = g.op("Slice", normed, g.ints(-p.horizon), g.ints(_TO_THE_END), g.ints(1))
    return linear(g, actions, f"{p.root}action_out_proj", datatype="FP32")


def build_answer(g: GraphBuilder, p: PaliGemma, trace: EulerTrace, *, taps: bool) -> OnnxModel:
    """Declares actions and actions_normalized [horizon, action_dim] and velocity_change [steps], and builds."""
    shape = (p.horizon, p.checkpoint.action_dim)
    normalized = g.op("Slice", trace.final, g.ints(0), g.ints(p.checkpoint.action_dim), g.ints(2))
    g.output(_robot_units(g, p.checkpoint, normalized), "actions", "FP32", shape)
    g.output(normalized, "actions_normalized", "FP32", shape)
    velocity_output(g, trace, p.checkpoint.action_dim)
    if taps:
        tap_outputs(g, trace, p.horizon, p.action_channels)
    return g.build()


def _robot_units(g: GraphBuilder, checkpoint: Checkpoint, normalized: ir.Value) -> ir.Value:
    """Relative actions get the raw state, an input of this graph then, added where they are relative."""
    actions = unnormalize_feature(g, normalized, checkpoint.action)
    relative = checkpoint.relative_actions
    if relative is None or not any(relative.mask):
        return actions
    state = g.input("state", "FP32", (checkpoint.state_dim,))
    start = g.op("Slice", state, g.ints(0), g.ints(checkpoint.action_dim), g.ints(1))
    offset = g.op("Mul", start, g.constant(np.asarray(relative.mask, np.float32)))
    return g.op("Add", actions, g.op("Unsqueeze", offset, g.ints(1)))


def _bias(g: GraphBuilder, p: PaliGemma, mask: ir.Value, leading_tokens: int) -> ir.Value:
    """[B, 1, 1, L + T], or [B, 1, H/G * T, L + T] where the leading tokens see less than the others."""
    suffix_tokens = leading_tokens + p.horizon
    padded = g.op("Pad", attention_bias(g, mask), g.ints(0, 0, 0, suffix_tokens), g.constant(0.0), mode="constant")
    everyone = g.op("Unsqueeze", padded, g.ints(1, 2))
    if not leading_tokens:
        return everyone
    unseen = np.zeros((1, 1, suffix_tokens, p.prefix_tokens + suffix_tokens), np.float32)
    unseen[:, :, :leading_tokens, -p.horizon :] = MASKED
    return group_bias(g, g.op("Add", everyone, g.constant(unseen)), p.expert.heads, p.expert.kv_heads)
