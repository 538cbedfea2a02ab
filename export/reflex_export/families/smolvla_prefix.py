"""SmolVLA's encoder: images, instruction and state to the keys and values that the action expert reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.aloha import aloha_state_to_model
from reflex_export.blocks.features import normalize_feature, pad_last_axis
from reflex_export.blocks.llama import (
    LlamaLayer,
    add_attended,
    add_gated_mlp,
    half_norm,
    mask_of,
    query_key_value,
    rotated_key_value,
)
from reflex_export.blocks.operators import Rotation, attend, dense, rotation, rows
from reflex_export.blocks.transformer import linear, prefix_positions
from reflex_export.blocks.vision import vision_tower
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import Arithmetic, empty_graph
from reflex_export.families.smolvla_sizes import SmolVlaSizes
from reflex_export.graph.graph import GraphBuilder, OnnxModel

__all__ = ["build_encoder"]

KeysValues = tuple[ir.Value, ir.Value]
Tokens = tuple[ir.Value, ir.Value]
"""Embeddings [B, n, width], FP32, and which of them count [B, n]."""


def build_encoder(checkpoint: Checkpoint, s: SmolVlaSizes, *, precision: Arithmetic, taps: bool) -> OnnxModel:
    """pixels.*, camera_mask, state, tokens, token_mask -> prefix_keys, prefix_values (`cache_shape`), prefix_mask."""
    g = empty_graph("encoder", checkpoint, precision)
    pixels = [g.input(f"pixels.{camera}", "FP32", (3, *s.image_size)) for camera in s.cameras]
    camera_mask = g.input("camera_mask", "BOOL", (len(s.cameras),))
    state = g.input("state", "FP32", (s.state_dim,))
    tokens = g.input("tokens", "INT64", (s.max_tokens,))
    token_mask = g.input("token_mask", "BOOL", (s.max_tokens,))

    images = _image_embeddings(g, s, pixels)
    parts = _camera_tokens(g, s, images, camera_mask, tokens)
    parts.append((_word_embeddings(g, s, tokens), token_mask))
    parts.append((_state_embedding(g, s, checkpoint, state), _always(g, token_mask)))
    prefix = g.op("Concat", *(embeddings for embeddings, _ in parts), axis=1)
    mask = g.op("Concat", *(valid for _, valid in parts), axis=1)
    keys, values = _prefill(g, s, prefix, mask)

    with g.attention_block():
        g.output(keys, "prefix_keys", g.compute, s.cache_shape)
        g.output(values, "prefix_values", g.compute, s.cache_shape)
    g.output(mask, "prefix_mask", "BOOL", (s.prefix_tokens,))
    if taps:
        for index, image in enumerate(images):
            g.output(image, f"tap.image_embeds.{index}", "FP32", (s.image_tokens, s.width))
    return g.build()


def _image_embeddings(g: GraphBuilder, s: SmolVlaSizes, pixels: Sequence[ir.Value]) -> list[ir.Value]:
    """FP32 [B, image_tokens, width] of each camera; the tower sees the cameras as a batch."""
    stacked = g.op("Concat", *[g.op("Unsqueeze", image, g.ints(1)) for image in pixels], axis=1)
    features = vision_tower(g, s.tower, g.op("Reshape", stacked, g.ints(-1, 3, *s.image_size)))
    with g.attention_block():
        shuffled = _pixel_shuffle(g, s, features)
        projected = g.widen(dense(g, shuffled, f"{s.vlm}.connector.modality_projection.proj"))
    grouped = g.op("Reshape", projected, g.ints(-1, len(pixels), s.image_tokens, s.width))
    return [g.op("Gather", grouped, g.constant(index, np.int64), axis=1) for index in range(len(pixels))]


def _pixel_shuffle(g: GraphBuilder, s: SmolVlaSizes, features: ir.Value) -> ir.Value:
    """Rows [N * patches, E] -> [N * image_tokens, shuffle^2 * E]: blocks of shuffle x shuffle patches, row by row."""
    side, factor = math.isqrt(s.tower.patches), s.shuffle
    small = side // factor
    blocks = g.op("Reshape", features, g.ints(-1, small, factor, small, factor * s.tower.width))
    ordered = g.op("Transpose", blocks, perm=[0, 1, 3, 2, 4])
    return rows(g, ordered, factor**2 * s.tower.width)


def _camera_tokens(
    g: GraphBuilder, s: SmolVlaSizes, images: Sequence[ir.Value], camera_mask: ir.Value, tokens: ir.Value
) -> list[Tokens]:
    """Each camera's tokens, scaled by sqrt(width), between special ones where the checkpoint wants them."""
    parts: list[Tokens] = []
    for index, image in enumerate(images):
        present = g.op("Slice", camera_mask, g.ints(index), g.ints(index + 1), g.ints(1))
        picture = (g.op("Mul", image, g.constant(s.width**0.5)), _repeat(g, present, s.image_tokens))
        start, end = _special_pair(g, s, tokens, present)
        parts += [*start, picture, *end]
    for slot in range(s.absent_slots):
        for tokens_of_slot in _special_pair(g, s, tokens, _has_absent(g, s, camera_mask, slot)):
            parts += tokens_of_slot
    return parts


def _special_pair(
    g: GraphBuilder, s: SmolVlaSizes, tokens: ir.Value, present: ir.Value
) -> tuple[list[Tokens], list[Tokens]]:
    """What stands before an image and after it: [fake, global] and [fake], or nothing."""
    if s.special_tokens is None:
        return [], []
    fake, whole = s.special_tokens
    return [_special(g, s, tokens, present, (fake, whole))], [_special(g, s, tokens, present, (fake,))]


def _special(g: GraphBuilder, s: SmolVlaSizes, tokens: ir.Value, present: ir.Value, ids: Sequence[int]) -> Tokens:
    """Embedded like words, but not scaled."""
    # Zero times a token is how a constant gets the batch's size without arithmetic on shapes.
    zero = g.op("Mul", g.op("Slice", tokens, g.ints(0), g.ints(1), g.ints(1)), g.constant(0, np.int64))
    table, chosen = _embedding_table(g, s), g.op("Add", zero, g.ints(*ids))
    return _rows(g, table, chosen), _repeat(g, present, len(ids))


def _has_absent(g: GraphBuilder, s: SmolVlaSizes, camera_mask: ir.Value, slot: int) -> ir.Value:
    """BOOL [B, 1]: are more than `slot` cameras absent? Those that no client sends always are."""
    present = g.op("ReduceSum", g.op("Cast", camera_mask, to=int(ir.DataType.INT64)), g.ints(1), keepdims=1)
    return g.op("Less", present, g.ints(len(s.cameras) + s.empty_cameras - slot))


def _word_embeddings(g: GraphBuilder, s: SmolVlaSizes, tokens: ir.Value) -> ir.Value:
    return g.op("Mul", _rows(g, _embedding_table(g, s), tokens), g.constant(s.width**0.5))


def _embedding_table(g: GraphBuilder, s: SmolVlaSizes) -> ir.Value:
    with g.attention_block():
        return g.weight(f"{s.vlm}.text_model.embed_tokens.weight")


def _rows(g: GraphBuilder, table: ir.Value, tokens: ir.Value) -> ir.Value:
    """FP32 [B, n, width]."""
    with g.attention_block():
        return g.widen(g.op("Gather", table, tokens, axis=0))


def _state_embedding(g: GraphBuilder, s: SmolVlaSizes, checkpoint: Checkpoint, state: ir.Value) -> ir.Value:
    """One token [B, 1, width]. Aloha's adaptation sees the normalised state, as training had it."""
    normalized = normalize_feature(g, state, checkpoint.state)
    adapted = aloha_state_to_model(g, normalized, s.state_dim) if s.is_aloha else normalized
    padded = pad_last_axis(g, adapted, 2, s.max_state_dim - s.state_dim)
    return g.op("Unsqueeze", linear(g, padded, f"{s.root}state_proj", datatype="FP32"), g.ints(1))


def _repeat(g: GraphBuilder, present: ir.Value, count: int) -> ir.Value:
    """BOOL [B, 1] -> [B, count]."""
    return g.op("And", present, g.constant(np.ones((1, count)), np.bool_))


def _always(g: GraphBuilder, mask: ir.Value) -> ir.Value:
    """True [B, 1]."""
    first = g.op("Slice", mask, g.ints(0), g.ints(1), g.ints(1))
    return g.op("Or", first, g.constant([[True]], np.bool_))


def _prefill(g: GraphBuilder, s: SmolVlaSizes, prefix: ir.Value, mask: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Keys (after rotation) and values of the layers that the expert reads, stacked: `cache_shape`."""
    positions, _ = prefix_positions(g, mask)
    with g.attention_block():
        tables, seen = rotation(g, positions, s.head_dim), _seen(g, s, mask)
    hidden, wanted = rows(g, prefix, s.width), [layer.vlm_layer for layer in s.expert]
    caches = []
    for index in range(wanted[-1]):
        layer = _layer(s, index)
        hidden, cache = _decoder_layer(g, layer, hidden, tables, seen)
        caches += [cache] if index in wanted else []
    # Of the last layer only keys and values are ever read: its query, output and MLP would be dead weight.
    last = _layer(s, wanted[-1])
    with g.attention_block():
        caches.append(rotated_key_value(g, last, half_norm(g, last, hidden, "input_layernorm"), tables))
        keys, values = (_stacked(g, s, parts) for parts in zip(*caches, strict=True))
    return keys, values


def _layer(s: SmolVlaSizes, index: int) -> LlamaLayer:
    name = f"{s.vlm}.text_model.layers.{index}"
    return LlamaLayer(name, s.heads, s.kv_heads, s.head_dim, s.epsilon, s.prefix_tokens)


def _decoder_layer(
    g: GraphBuilder, layer: LlamaLayer, hidden: ir.Value, tables: Rotation, seen: ir.Value
) -> tuple[ir.Value, KeysValues]:
    with g.attention_block():
        normed = half_norm(g, layer, hidden, "input_layernorm")
        query, key, value = query_key_value(g, layer, normed, tables)
        mixed = attend(g, query, key, value, seen, heads=layer.heads, kv_heads=layer.kv_heads, head_dim=layer.head_dim)
        hidden = add_attended(g, layer, hidden, mixed)
    return add_gated_mlp(g, layer, hidden), (key, value)


def _stacked(g: GraphBuilder, s: SmolVlaSizes, layers: Sequence[ir.Value]) -> ir.Value:
    """A [B, L, G * D] of each layer -> `cache_shape`, where a head's tokens follow each other."""
    together = g.op("Concat", *layers, axis=1)
    heads = g.op("Reshape", together, g.ints(-1, len(layers), s.prefix_tokens, s.kv_heads, s.head_dim))
    return g.op("Transpose", heads, perm=[0, 1, 3, 2, 4])


def _seen(g: GraphBuilder, s: SmolVlaSizes, mask: ir.Value) -> ir.Value:
    """Half [B, 1, L, L]: valid tokens, of which only the state sees the state."""
    allowed = np.ones((1, 1, s.prefix_tokens, s.prefix_tokens), np.bool_)
    allowed[..., :-1, -1] = False
    return mask_of(g, g.op("And", g.op("Unsqueeze", mask, g.ints(1, 2)), g.constant(allowed, np.bool_)))
