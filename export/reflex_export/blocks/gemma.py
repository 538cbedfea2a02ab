"""The blocks of Gemma, as operators: RMSNorm, plain or modulated, one decoder layer, its keys and values.

Shapes: B batch, T query tokens, L key tokens, G key/value heads, D head width, W the stack's width. `hidden` is FP32,
`half` is what the graph computes in (see `transformer`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.transformer import attention, linear, merge_heads, rms_unit, rotate, split_heads
from reflex_export.blocks.vision import count_layers
from reflex_export.checkpoint import TensorSource
from reflex_export.errors import TensorShapeError
from reflex_export.graph.graph import GraphBuilder

__all__ = [
    "Gate",
    "GemmaStack",
    "KeysValues",
    "Modulation",
    "Norm",
    "Tables",
    "decoder_layer",
    "keys_values",
    "modulated_norm",
    "plain_norm",
]

NORM_EPSILON: Final = 1e-6
"""Gemma's, in every published variant; checkpoints do not say."""
MLP_GUARD: Final = 2.0**-4
"""In FP16 graphs the MLP's inner activations are scaled by this power of two, and back: in trained models they reach
1e4, and the sums of `down_proj` would leave FP16's range (65504)."""

Gate = ir.Value | None
KeysValues = tuple[ir.Value, ir.Value]
Tables = tuple[ir.Value, ir.Value]
Norm = Callable[[GraphBuilder, ir.Value, str], tuple[ir.Value, Gate]]
"""(graph, hidden, the norm's name) -> the normed hidden, still FP32, and what multiplies the branch that reads it."""


@dataclass(frozen=True)
class GemmaStack:
    """The layers `<name>.layers.<i>` of a checkpoint and their geometry."""

    name: str
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int

    @classmethod
    def of(cls, tensors: TensorSource, name: str, *, heads_of: str | None = None) -> GemmaStack:
        """From the tensors' shapes; the heads are those of the stack `heads_of`, of its own without one.

        Every Gemma of these policies has a single key/value head, as wide as k_proj has rows.
        """
        first = f"{heads_of or name}.layers.0.self_attn"
        head_dim, rows = tensors.shape(f"{first}.k_proj.weight")[0], tensors.shape(f"{first}.q_proj.weight")[0]
        if rows % head_dim or head_dim % 2:
            raise TensorShapeError(f"{first}: {rows} rows of q_proj are no heads of k_proj's width, {head_dim}")
        width = tensors.shape(f"{name}.layers.0.self_attn.k_proj.weight")[1]
        return cls(name, width, count_layers(tensors, f"{name}.layers"), rows // head_dim, 1, head_dim)

    def layer(self, index: int) -> str:
        return f"{self.name}.layers.{index}"

    @property
    def last_norm(self) -> str:
        """The name of the norm after the last layer."""
        return f"{self.name}.norm"


@dataclass(frozen=True)
class Modulation:
    """What adaRMS makes of a step's time, FP32; each broadcasts to [B, T, W]."""

    scale: ir.Value
    """1 + scale."""
    shift: ir.Value
    gate: Gate
    """None after the last layer, where no branch follows."""


def plain_norm(g: GraphBuilder, hidden: ir.Value, name: str) -> tuple[ir.Value, Gate]:
    """x / rms(x) * (1 + weight), ungated."""
    stored = f"{name}.weight"
    scale = g.derived(f"{name}.scale", g.shape(stored), lambda: g.tensor(stored) + np.float32(1.0), "FP32")
    return g.op("Mul", rms_unit(g, hidden, NORM_EPSILON), scale), None


def modulated_norm(g: GraphBuilder, hidden: ir.Value, modulation: Modulation) -> tuple[ir.Value, Gate]:
    """x / rms(x) * (1 + scale) + shift, and the gate."""
    scaled = g.op("Mul", rms_unit(g, hidden, NORM_EPSILON), modulation.scale)
    return g.op("Add", scaled, modulation.shift), modulation.gate


def keys_values(g: GraphBuilder, stack: GemmaStack, normed: ir.Value, name: str, tables: Tables) -> KeysValues:
    """Keys (rotated) and values of the layer `name`, half [B, G, T, D], from the half [B, T, W] that is normed."""
    key, value = (
        split_heads(g, linear(g, normed, f"{name}.self_attn.{part}_proj", bias=False), stack.kv_heads, stack.head_dim)
        for part in "kv"
    )
    return g.halve(rotate(g, g.widen(key), tables)), value


def decoder_layer(
    g: GraphBuilder,
    stack: GemmaStack,
    hidden: ir.Value,
    index: int,
    *,
    norm: Norm,
    tables: Tables,
    bias: ir.Value,
    cached: KeysValues | None = None,
) -> tuple[ir.Value, KeysValues]:
    """One layer on [B, T, W]: the new hidden, and the layer's own keys and values.

    Queries meet `cached` first, then the layer's own; `bias` is `transformer.attention`'s.
    """
    name = stack.layer(index)
    normed, gate = norm(g, hidden, f"{name}.input_layernorm")
    with g.attention_block():
        attended, own = _attended(g, stack, g.halve(normed), name, tables, bias, cached)
    hidden = _gated_residual(g, hidden, attended, gate)
    normed, gate = norm(g, hidden, f"{name}.post_attention_layernorm")
    return _gated_residual(g, hidden, _mlp(g, g.halve(normed), f"{name}.mlp"), gate), own


def _attended(
    g: GraphBuilder,
    stack: GemmaStack,
    normed: ir.Value,
    name: str,
    tables: Tables,
    bias: ir.Value,
    cached: KeysValues | None,
) -> tuple[ir.Value, KeysValues]:
    """Half [B, T, W] -> FP32: what the first half of a layer adds, and its own keys and values."""
    own = keys_values(g, stack, normed, name, tables)
    key, value = own if cached is None else (g.op("Concat", *pair, axis=2) for pair in zip(cached, own, strict=True))
    query = linear(g, normed, f"{name}.self_attn.q_proj", bias=False)
    turned = rotate(g, g.widen(split_heads(g, query, stack.heads, stack.head_dim)), tables)
    mixed = attention(g, turned, key, value, bias, heads=stack.heads, kv_heads=stack.kv_heads, head_dim=stack.head_dim)
    merged = merge_heads(g, mixed, stack.heads * stack.head_dim)
    return g.widen(linear(g, merged, f"{name}.self_attn.o_proj", bias=False)), own


def _gated_residual(g: GraphBuilder, hidden: ir.Value, branch: ir.Value, gate: Gate) -> ir.Value:
    return g.op("Add", hidden, branch if gate is None else g.op("Mul", branch, gate))


def _mlp(g: GraphBuilder, normed: ir.Value, name: str) -> ir.Value:
    """down(gelu_tanh(gate(x)) * up(x)), half in, FP32 out."""
    gate = g.op("Gelu", g.widen(linear(g, normed, f"{name}.gate_proj", bias=False)), approximate="tanh")
    inner = g.op("Mul", gate, g.widen(linear(g, normed, f"{name}.up_proj", bias=False)))
    if g.compute == "FP32":
        return linear(g, inner, f"{name}.down_proj", bias=False)
    guarded = g.halve(g.op("Mul", inner, g.constant(MLP_GUARD)))
    return g.op("Mul", g.widen(linear(g, guarded, f"{name}.down_proj", bias=False)), g.constant(1 / MLP_GUARD))
