"""The blocks of Gemma, as operators: RMSNorm, plain or modulated, one decoder layer, its keys and values.

Shapes: B batch, T query tokens, L key tokens, D head width, W the stack's width, N = B * T rows. `hidden` is FP32 rows
[N, W], `half` is what the graph computes in (see `operators`).

In an FP16 graph the whole residual stream is carried as its sixteenth, which the norms divide out: in trained models
the MLP's inner activations reach 1e4, and the sums of `down_proj` would leave FP16's range (65504). Powers of two
change no digit, and they lie in weights: in those of `o_proj`, `up_proj` and whatever the stream begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.operators import (
    Rotation,
    attend,
    dense,
    merged_dense,
    normed,
    rotate_heads,
    rows,
    split,
    tokens,
)
from reflex_export.blocks.vision import count_layers
from reflex_export.checkpoint import TensorSource
from reflex_export.errors import TensorShapeError
from reflex_export.graph.graph import GraphBuilder

__all__ = [
    "HALF_STREAM",
    "Gate",
    "GemmaStack",
    "KeysValues",
    "Modulation",
    "Norm",
    "Seen",
    "decoder_layer",
    "keys_values",
    "modulated_norm",
    "plain_norm",
]

NORM_EPSILON: Final = 1e-6
"""Gemma's, in every published variant; checkpoints do not say."""
HALF_STREAM: Final = 2.0**-4
"""What the residual stream of an FP16 graph is multiplied by."""

Gate = ir.Value | None
KeysValues = tuple[ir.Value, ir.Value]
"""Tokens of the single key/value head, half [B, L, D]; the keys are rotated."""
Norm = Callable[[GraphBuilder, "GemmaStack", ir.Value, str], tuple[ir.Value, Gate]]
"""(graph, stack, hidden, the norm's name) -> the normed hidden, still FP32, and what multiplies the branch that reads
it."""


@dataclass(frozen=True)
class GemmaStack:
    """The layers `<name>.layers.<i>` of a checkpoint and their geometry."""

    name: str
    width: int
    layers: int
    heads: int
    head_dim: int
    stream: float = 1.0
    """What the residual stream is multiplied by: `HALF_STREAM` in FP16 graphs."""

    @classmethod
    def of(cls, tensors: TensorSource, name: str, *, heads_of: str | None = None) -> GemmaStack:
        """From the tensors' shapes; the heads are those of the stack `heads_of`, of its own without one.

        Every Gemma of these policies has a single key/value head, as wide as k_proj has rows.
        """
        first = f"{heads_of or name}.layers.0.self_attn"
        head_dim, query = tensors.shape(f"{first}.k_proj.weight")[0], tensors.shape(f"{first}.q_proj.weight")[0]
        if query % head_dim or head_dim % 2:
            raise TensorShapeError(f"{first}: {query} rows of q_proj are no heads of k_proj's width, {head_dim}")
        width = tensors.shape(f"{name}.layers.0.self_attn.k_proj.weight")[1]
        return cls(name, width, count_layers(tensors, f"{name}.layers"), query // head_dim, head_dim)

    @property
    def epsilon(self) -> float:
        """Of the norms, for the stream as it is carried."""
        return NORM_EPSILON * self.stream**2

    def layer(self, index: int) -> str:
        return f"{self.name}.layers.{index}"

    @property
    def last_norm(self) -> str:
        """The name of the norm after the last layer."""
        return f"{self.name}.norm"


@dataclass(frozen=True)
class Modulation:
    """What adaRMS makes of a step's time, FP32: each [W], or [N, W] where tokens have times of their own."""

    scale: ir.Value
    """1 + scale."""
    shift: ir.Value
    gate: Gate
    """None after the last layer, where no branch follows."""
    of_each_token: bool = False


def plain_norm(g: GraphBuilder, stack: GemmaStack, hidden: ir.Value, name: str) -> tuple[ir.Value, Gate]:
    """x / rms(x) * (1 + weight), ungated."""
    stored = f"{name}.weight"
    scale = g.derived(f"{name}.scale", g.shape(stored), lambda: g.tensor(stored) + np.float32(1.0), "FP32")
    return normed(g, hidden, scale, stack.epsilon), None


def modulated_norm(
    g: GraphBuilder, stack: GemmaStack, hidden: ir.Value, modulation: Modulation
) -> tuple[ir.Value, Gate]:
    """x / rms(x) * (1 + scale) + shift, and the gate."""
    if modulation.of_each_token:
        unit = normed(g, hidden, g.constant(np.ones(stack.width)), stack.epsilon)
        scaled = g.op("Mul", unit, modulation.scale)
    else:
        scaled = normed(g, hidden, modulation.scale, stack.epsilon)
    return g.op("Add", scaled, modulation.shift), modulation.gate


def keys_values(
    g: GraphBuilder, stack: GemmaStack, half: ir.Value, name: str, tables: Rotation, count: int
) -> KeysValues:
    """Keys and values of the layer `name`, which has `count` tokens, from its normed half rows."""
    merged = merged_dense(g, half, f"{name}.self_attn.kv_proj", _projections(name, "kv"))
    key, value = split(g, tokens(g, merged, count, 2 * stack.head_dim), stack.head_dim, stack.head_dim)
    return rotate_heads(g, key, tables, 1), value


@dataclass(frozen=True)
class Seen:
    """How the queries of a layer see keys, which is the same for every layer of a pass."""

    count: int
    """T, the tokens of a pass."""
    tables: Rotation
    mask: ir.Value | None
    """Half [B, 1, T, L]: see `operators.attend`."""
    valid_keys: ir.Value | None = None
    """INT64 [B], in place of a mask: so many keys are seen, of which a layer's own are the first."""


def decoder_layer(
    g: GraphBuilder,
    stack: GemmaStack,
    hidden: ir.Value,
    index: int,
    *,
    norm: Norm,
    seen: Seen,
    cached: Sequence[KeysValues] = (),
) -> tuple[ir.Value, KeysValues]:
    """One layer: the new hidden, and all keys and values that its queries met.

    Its own come behind `cached`, or before it where `seen` has their number.
    """
    name = stack.layer(index)
    half, gate = norm(g, stack, hidden, f"{name}.input_layernorm")
    with g.attention_block():
        attended, met = _attended(g, stack, g.halve(half), name, seen, cached)
    hidden = _gated_residual(g, hidden, attended, gate)
    half, gate = norm(g, stack, hidden, f"{name}.post_attention_layernorm")
    return _gated_residual(g, hidden, _mlp(g, stack, g.halve(half), name), gate), met


def _attended(
    g: GraphBuilder, stack: GemmaStack, half: ir.Value, name: str, seen: Seen, cached: Sequence[KeysValues]
) -> tuple[ir.Value, KeysValues]:
    """Half rows -> FP32 rows: what the first half of a layer adds, and the keys and values that it met."""
    query_width, width = stack.heads * stack.head_dim, stack.head_dim
    merged = merged_dense(g, half, f"{name}.self_attn.qkv_proj", _projections(name, "qkv"))
    turning, value = split(g, tokens(g, merged, seen.count, query_width + 2 * width), query_width + width, width)
    query, key = split(g, rotate_heads(g, turning, seen.tables, stack.heads + 1), query_width, width)
    own = (key, value)
    met = _joined(g, [*cached, own] if seen.valid_keys is None else [own, *cached])
    attended = attend(
        g, query, *met, seen.mask, heads=stack.heads, kv_heads=1, head_dim=width, valid_keys=seen.valid_keys
    )
    mixed = rows(g, attended, query_width)
    return g.widen(dense(g, mixed, f"{name}.self_attn.o_proj", factor=stack.stream)), met


def _projections(name: str, parts: str) -> dict[str, float]:
    return {f"{name}.self_attn.{part}_proj": 1.0 for part in parts}


def _joined(g: GraphBuilder, parts: Sequence[KeysValues]) -> KeysValues:
    if len(parts) == 1:
        return parts[0]
    key, value = (g.op("Concat", *of_parts, axis=1) for of_parts in zip(*parts, strict=True))
    return key, value


def _gated_residual(g: GraphBuilder, hidden: ir.Value, branch: ir.Value, gate: Gate) -> ir.Value:
    return g.op("Add", hidden, branch if gate is None else g.op("Mul", branch, gate))


def _mlp(g: GraphBuilder, stack: GemmaStack, half: ir.Value, name: str) -> ir.Value:
    """down(gelu_tanh(gate(x)) * up(x)), half rows in, FP32 rows out."""
    layers = {f"{name}.mlp.gate_proj": 1.0, f"{name}.mlp.up_proj": stack.stream}
    inner = g.shape(f"{name}.mlp.up_proj.weight")[0]
    gate, up = split(g, merged_dense(g, half, f"{name}.mlp.gate_up_proj", layers), inner, inner)
    product = g.op("Mul", g.op("Gelu", gate, approximate="tanh"), up)
    return g.widen(dense(g, product, f"{name}.mlp.down_proj"))
