"""Component `<policy>_denoise` of pi0 and pi0.5: what their experts share around the time's part, which differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.euler import EulerTrace, tap_outputs, velocity_output
from reflex_export.blocks.features import unnormalize_feature
from reflex_export.blocks.gemma import KeysValues, Norm, Seen, decoder_layer
from reflex_export.blocks.key_order import ValidFirst, valid_first
from reflex_export.blocks.operators import UNSEEN, dense, rotation, tokens
from reflex_export.blocks.transformer import prefix_positions
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.paligemma import PaliGemma
from reflex_export.graph.graph import GraphBuilder, OnnxModel

__all__ = ["Attended", "after_first_step", "attended_prefix", "build_answer", "run_expert", "velocity_of"]

_TO_THE_END = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Attended:
    """What the queries of a step read: computed once, before the loop."""

    caches: tuple[tuple[KeysValues, ...], ...]
    """Of each layer, in parts that are joined with its own."""
    seen: Seen
    prefix_tokens: ir.Value | None = None
    """INT64 [B]: how many are valid, where those come first and no mask is to be read."""


def attended_prefix(g: GraphBuilder, p: PaliGemma, *, leading_tokens: int, counted: bool = False) -> Attended:
    """Declares prefix_keys, prefix_values and prefix_mask, for a suffix of `leading_tokens` and then the actions.

    Every token of the suffix sees the valid prefix and the suffix; only the leading ones do not see the actions.
    `counted` has the valid tokens first, and their number in place of a mask wherever all of a suffix see the same.
    """
    with g.attention_block():
        keys = g.input("prefix_keys", g.compute, p.cache_shape)
        values = g.input("prefix_values", g.compute, p.cache_shape)
    mask = g.input("prefix_mask", "BOOL", (p.prefix_tokens,))
    order = _valid_first(g, p, keys, values, mask) if counted else None
    valid = prefix_positions(g, mask)[1] if order is None else order.wide_count
    count = leading_tokens + p.horizon
    positions = g.op("Add", valid, g.constant(np.arange(count)[None]))
    stacks = (_joined(g, p, cache) for cache in (keys, values)) if order is None else iter(order.stacks)
    caches = tuple((pair,) for pair in zip(*(_layers(g, p, stack) for stack in stacks), strict=True))
    with g.attention_block():
        tables = rotation(g, positions, p.expert.head_dim)
        if order is None:
            return Attended(caches, Seen(count, tables, _mask(g, p, mask, leading_tokens)))
        if leading_tokens:
            return Attended(caches, Seen(count, tables, _mask(g, p, order.mask, leading_tokens)), order.count)
        return Attended(caches, Seen(count, tables, None, _more(g, order.count, count)), order.count)


def after_first_step(g: GraphBuilder, p: PaliGemma, attended: Attended, met: Sequence[KeysValues]) -> Attended:
    """What the actions read from the second step on, where the leading tokens, which do not change, are no queries.

    `met` has what each layer met in the first step: keys and values of the prefix, the leading tokens, the actions.
    """
    leading = attended.seen.count - p.horizon
    known = p.prefix_tokens + leading
    cosine, sine = (_from(g, table, leading, axis=1) for table in attended.seen.tables)
    if attended.prefix_tokens is None:
        mask = attended.seen.mask
        seen = Seen(p.horizon, (cosine, sine), None if mask is None else _from(g, mask, leading, axis=2))
        return Attended(tuple(((_part(g, key, 0, known), _part(g, value, 0, known)),) for key, value in met), seen)
    seen = Seen(p.horizon, (cosine, sine), None, _more(g, attended.prefix_tokens, p.horizon + leading))
    first = p.prefix_tokens
    leaders = ((_part(g, key, first, known), _part(g, value, first, known)) for key, value in met)
    caches = tuple((leader, *prefix) for leader, prefix in zip(leaders, attended.caches, strict=True))
    return Attended(caches, seen, attended.prefix_tokens)


def run_expert(
    g: GraphBuilder, p: PaliGemma, hidden: ir.Value, attended: Attended, norm: Norm
) -> tuple[ir.Value, list[KeysValues]]:
    """Embedded suffix, FP32 rows [B * T, W] -> the same after the last norm, and what each layer's queries met."""
    met = []
    for index, cached in enumerate(attended.caches):
        hidden, pair = decoder_layer(g, p.expert, hidden, index, norm=norm, seen=attended.seen, cached=cached)
        met.append(pair)
    return norm(g, p.expert, hidden, p.expert.last_norm)[0], met


def velocity_of(g: GraphBuilder, p: PaliGemma, actions: ir.Value) -> ir.Value:
    """Normed rows of the actions [B * horizon, W] -> velocity FP32 [B, horizon, action channels]."""
    channels = dense(g, actions, f"{p.root}action_out_proj", bias=True, datatype="FP32")
    return tokens(g, channels, p.horizon, p.action_channels)


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


def _valid_first(g: GraphBuilder, p: PaliGemma, keys: ir.Value, values: ir.Value, mask: ir.Value) -> ValidFirst:
    stacks = [_joined(g, p, cache) for cache in (keys, values)]
    return valid_first(g, stacks, mask, sequences=p.language.layers, length=p.prefix_tokens)


def _joined(g: GraphBuilder, p: PaliGemma, cache: ir.Value) -> ir.Value:
    """[B, layers, 1, L, D] -> [B, layers * L, D]."""
    layers, _, length, width = p.cache_shape
    return g.op("Reshape", cache, g.ints(-1, layers * length, width))


def _layers(g: GraphBuilder, p: PaliGemma, joined: ir.Value) -> tuple[ir.Value, ...]:
    """[B, layers * L, D] -> each layer's [B, L, D]."""
    layers = p.language.layers
    return g.op_n("Split", layers, joined, axis=1, num_outputs=layers) if layers > 1 else (joined,)


def _mask(g: GraphBuilder, p: PaliGemma, valid: ir.Value, leading_tokens: int) -> ir.Value:
    """Half [B, 1, T, L + T]."""
    count = leading_tokens + p.horizon
    prefix = g.op("Where", valid, g.constant(0.0), g.constant(UNSEEN))
    padded = g.op("Pad", prefix, g.ints(0, 0, 0, count), g.constant(0.0), mode="constant")
    own = np.zeros((1, 1, count, p.prefix_tokens + count), np.float32)
    own[:, :, :leading_tokens, -p.horizon :] = UNSEEN
    return g.halve(g.op("Add", g.op("Unsqueeze", padded, g.ints(1, 2)), g.constant(own)))


def _from(g: GraphBuilder, x: ir.Value, start: int, *, axis: int) -> ir.Value:
    return g.op("Slice", x, g.ints(start), g.ints(_TO_THE_END), g.ints(axis))


def _part(g: GraphBuilder, x: ir.Value, start: int, end: int) -> ir.Value:
    return g.op("Slice", x, g.ints(start), g.ints(end), g.ints(1))


def _more(g: GraphBuilder, count: ir.Value, more: int) -> ir.Value:
    return g.op("Add", count, g.ints(more))
