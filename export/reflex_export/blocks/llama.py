"""The layers of Llama as SmolVLM has them, and SmolVLA's action expert: norms, projections, the gated MLP.

Shapes: B batch, T tokens, H heads, G key/value heads, D head width. Between layers `hidden` is FP32 rows [B * T, W];
queries, keys and values are half tokens [B, T, heads * D] (see `operators`). What belongs to attention is appended
inside `GraphBuilder.attention_block`.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from reflex_export.blocks.operators import (
    UNSEEN,
    Rotation,
    dense,
    merged_dense,
    normed,
    rotate_heads,
    rows,
    split,
    tokens,
)
from reflex_export.blocks.transformer import silu
from reflex_export.graph.graph import GraphBuilder

__all__ = [
    "LlamaLayer",
    "add_attended",
    "add_gated_mlp",
    "half_norm",
    "mask_of",
    "query_key_value",
    "rotated_key_value",
    "rotated_query",
]


@dataclass(frozen=True)
class LlamaLayer:
    """The tensors `<name>.*` of a checkpoint, their geometry, and how many tokens go through them."""

    name: str
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    tokens: int

    @property
    def attended_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def cached_width(self) -> int:
        """Of a token's keys, and of its values."""
        return self.kv_heads * self.head_dim


def half_norm(g: GraphBuilder, layer: LlamaLayer, hidden: ir.Value, name: str) -> ir.Value:
    """x / rms(x) * weight, FP32 in, half out; `name` is the norm's within the layer."""
    return g.halve(normed(g, hidden, g.weight(f"{layer.name}.{name}.weight", "FP32"), layer.epsilon))


def query_key_value(
    g: GraphBuilder, layer: LlamaLayer, half: ir.Value, tables: Rotation
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Queries and keys, rotated, and values, from normed rows: one product, one rotation."""
    turned_width = layer.attended_width + layer.cached_width
    turning, value = split(g, _projected(g, layer, half, "qkv"), turned_width, layer.cached_width)
    turned = rotate_heads(g, turning, tables, layer.heads + layer.kv_heads)
    query, key = split(g, turned, layer.attended_width, layer.cached_width)
    return query, key, value


def rotated_key_value(
    g: GraphBuilder, layer: LlamaLayer, half: ir.Value, tables: Rotation
) -> tuple[ir.Value, ir.Value]:
    """Keys, rotated, and values, where nobody asks for queries."""
    key, value = split(g, _projected(g, layer, half, "kv"), layer.cached_width, layer.cached_width)
    return rotate_heads(g, key, tables, layer.kv_heads), value


def rotated_query(g: GraphBuilder, layer: LlamaLayer, half: ir.Value, tables: Rotation) -> ir.Value:
    """Queries, where keys and values come from elsewhere."""
    return rotate_heads(g, _projected(g, layer, half, "q"), tables, layer.heads)


def add_attended(g: GraphBuilder, layer: LlamaLayer, hidden: ir.Value, mixed: ir.Value) -> ir.Value:
    """The first half of a layer is added: `mixed` is what attention gave."""
    output = dense(g, rows(g, mixed, layer.attended_width), f"{layer.name}.self_attn.o_proj")
    return g.op("Add", hidden, g.widen(output))


def add_gated_mlp(g: GraphBuilder, layer: LlamaLayer, hidden: ir.Value) -> ir.Value:
    """The second half is added: down(silu(gate(x)) * up(x)) of its norm; gate and up are one product."""
    name, half = f"{layer.name}.mlp", half_norm(g, layer, hidden, "post_attention_layernorm")
    inner_width = g.shape(f"{name}.gate_proj.weight")[0]
    merged = merged_dense(g, half, f"{name}.gate_up_proj", {f"{name}.gate_proj": 1.0, f"{name}.up_proj": 1.0})
    gate, up = split(g, merged, inner_width, inner_width)
    return g.op("Add", hidden, g.widen(dense(g, g.op("Mul", silu(g, gate), up), f"{name}.down_proj")))


def mask_of(g: GraphBuilder, visible: ir.Value) -> ir.Value:
    """The mask of `operators.attend` for BOOL [B, 1, T, L], who sees whom: half, 0 or `UNSEEN`."""
    return g.halve(g.op("Where", visible, g.constant(0.0), g.constant(UNSEEN)))


def _projected(g: GraphBuilder, layer: LlamaLayer, half: ir.Value, parts: str) -> ir.Value:
    """The projections of the parts, of `q`, `k` and `v`, side by side: tokens [B, T, ..]."""
    stored = {f"{layer.name}.self_attn.{part}_proj": 1.0 for part in parts}
    product = merged_dense(g, half, f"{layer.name}.self_attn.{parts}_proj", stored)
    width = sum(layer.attended_width if part == "q" else layer.cached_width for part in parts)
    return tokens(g, product, layer.tokens, width)
