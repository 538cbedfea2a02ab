"""Component `<policy>_encoder` of pi0 and pi0.5: images and instruction to the keys and values that steps read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.features import normalize_feature
from reflex_export.blocks.gemma import KeysValues, Seen, decoder_layer, keys_values, plain_norm
from reflex_export.blocks.operators import dense, rotation, rows, visible_keys
from reflex_export.blocks.transformer import prefix_positions
from reflex_export.blocks.vision import vision_tower
from reflex_export.families.paligemma import PaliGemma
from reflex_export.graph.graph import GraphBuilder, OnnxModel

__all__ = ["build_encoder"]


def build_encoder(p: PaliGemma, *, taps: bool, with_state: bool) -> OnnxModel:
    """pixels.<camera>, camera_mask, tokens, token_mask -> prefix_keys, prefix_values, prefix_mask.

    `with_state` adds state FP32 [state_dim], in robot units, -> state_token FP32 [expert width].
    """
    g = p.graph("encoder")
    pixels = [g.input(f"pixels.{camera.name}", "FP32", (3, *p.image_size)) for camera in p.cameras]
    camera_mask = g.input("camera_mask", "BOOL", (len(p.cameras),))
    state = g.input("state", "FP32", (p.checkpoint.state_dim,)) if with_state else None
    tokens = g.input("tokens", "INT64", (p.text.max_tokens,))
    token_mask = g.input("token_mask", "BOOL", (p.text.max_tokens,))

    images = _image_tokens(g, p, pixels)
    mask = _prefix_mask(g, p, camera_mask, token_mask)
    layers = _prefill(g, p, g.op("Concat", images, _word_tokens(g, p, tokens), axis=1), mask)
    with g.attention_block():
        g.output(_stacked(g, p, [key for key, _ in layers]), "prefix_keys", g.compute, p.cache_shape)
        g.output(_stacked(g, p, [value for _, value in layers]), "prefix_values", g.compute, p.cache_shape)
    g.output(mask, "prefix_mask", "BOOL", (p.prefix_tokens,))
    if state is not None:
        g.output(_state_token(g, p, state), "state_token", "FP32", (p.expert.width,))
    if taps:
        _tap_images(g, p, images)
    return g.build()


def _image_tokens(g: GraphBuilder, p: PaliGemma, pixels: Sequence[ir.Value]) -> ir.Value:
    """FP32 [B, cameras * patches, W], as the stream is carried; the tower sees the cameras as a batch."""
    stacked = g.op("Concat", *[g.op("Unsqueeze", image, g.ints(1)) for image in pixels], axis=1)
    images = g.op("Reshape", stacked, g.ints(-1, 3, *p.image_size))
    with g.attention_block():
        features = dense(g, vision_tower(g, p.tower, images), p.projector, bias=True, factor=p.stream)
        return g.widen(g.op("Reshape", features, g.ints(-1, len(pixels) * p.tower.patches, p.language.width)))


def _word_tokens(g: GraphBuilder, p: PaliGemma, tokens: ir.Value) -> ir.Value:
    """FP32 [B, max_tokens, W], as the stream is carried: entries of the embedding, scaled by sqrt(W)."""
    with g.attention_block():
        entries = g.widen(g.op("Gather", g.weight(p.embedding), tokens, axis=0))
    return g.op("Mul", entries, g.constant(p.stream * p.language.width**0.5))


def _prefix_mask(g: GraphBuilder, p: PaliGemma, camera_mask: ir.Value, token_mask: ir.Value) -> ir.Value:
    """BOOL [B, prefix]: which tokens count."""
    everywhere = g.constant(np.ones((1, 1, p.tower.patches)), np.bool_)
    per_patch = g.op("And", g.op("Unsqueeze", camera_mask, g.ints(2)), everywhere)
    patches = g.op("Reshape", per_patch, g.ints(-1, len(p.cameras) * p.tower.patches))
    return g.op("Concat", patches, token_mask, axis=1)


def _prefill(g: GraphBuilder, p: PaliGemma, prefix: ir.Value, mask: ir.Value) -> list[KeysValues]:
    """Keys and values of every layer, from the embedded prefix [B, L, W]."""
    positions, _ = prefix_positions(g, mask)
    with g.attention_block():
        tables = rotation(g, positions, p.language.head_dim)
        # Queries of padding see what all see: nobody reads their answers.
        seen = Seen(p.prefix_tokens, tables, visible_keys(g, mask, p.prefix_tokens))
    hidden = rows(g, prefix, p.language.width)
    layers: list[KeysValues] = []
    for index in range(p.language.layers - 1):
        hidden, own = decoder_layer(g, p.language, hidden, index, norm=plain_norm, seen=seen)
        layers.append(own)
    # Only the last layer's keys and values are ever read: its query, output and MLP would be dead weight.
    last = p.language.layer(p.language.layers - 1)
    normed, _ = plain_norm(g, p.language, hidden, f"{last}.input_layernorm")
    with g.attention_block():
        return [*layers, keys_values(g, p.language, g.halve(normed), last, tables, p.prefix_tokens)]


def _stacked(g: GraphBuilder, p: PaliGemma, layers: Sequence[ir.Value]) -> ir.Value:
    """[B, L, D] of each layer -> [B, layers, 1, L, D]."""
    return g.op("Reshape", g.op("Concat", *layers, axis=1), g.ints(-1, *p.cache_shape))


def _state_token(g: GraphBuilder, p: PaliGemma, state: ir.Value) -> ir.Value:
    """FP32 [B, expert width]. The reference pads the state with zeros; here the weight loses those columns instead."""
    name, dims = f"{p.root}state_proj", p.checkpoint.state_dim
    width = g.shape(f"{name}.weight")[0]
    used = g.derived(f"{name}.used", (width, dims), lambda: g.tensor(f"{name}.weight")[:, :dims], "FP32")
    return g.op(
        "Gemm", normalize_feature(g, state, p.checkpoint.state), used, g.weight(f"{name}.bias", "FP32"), transB=1
    )


def _tap_images(g: GraphBuilder, p: PaliGemma, images: ir.Value) -> None:
    images = g.op("Mul", images, g.constant(1 / p.stream))
    for index in range(len(p.cameras)):
        start = index * p.tower.patches
        part = g.op("Slice", images, g.ints(start), g.ints(start + p.tower.patches), g.ints(1))
        g.output(part, f"tap.image_embeds.{index}", "FP32", (p.tower.patches, p.language.width))
