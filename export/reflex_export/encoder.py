"""Component `<policy>_encoder`: images, instruction and state to the keys and values that every denoising step reads.

The prefix is [camera patches ..., instruction, state]. Pictures and words do not see the state; the state sees all.
Invalid tokens (an absent camera, padding) take no position and nobody sees them.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from reflex_export.architecture import Architecture
from reflex_export.blocks import (
    attention,
    attention_bias,
    gated_mlp,
    gelu_mlp,
    head_projections,
    layer_norm,
    linear,
    merge_heads,
    rms_norm,
    rope_tables,
    rotate,
)
from reflex_export.graph import GraphBuilder, OnnxModel, Weights
from reflex_export.normalization import MeanStd, normalize

__all__ = ["build_encoder"]


def build_encoder(a: Architecture, weights: Weights, state_statistics: MeanStd) -> OnnxModel:
    """pixels, camera_mask, state, tokens, token_mask -> prefix_keys, prefix_values (`cache_shape`), prefix_mask."""
    g = GraphBuilder("encoder", weights)
    cameras = len(a.cameras)
    pixels = g.input("pixels", "FP32", (cameras, 3, a.image_size, a.image_size))
    camera_mask = g.input("camera_mask", "BOOL", (cameras,))
    state = g.input("state", "FP32", (a.state_dim,))
    tokens = g.input("tokens", "INT64", (a.max_tokens,))
    token_mask = g.input("token_mask", "BOOL", (a.max_tokens,))

    words = g.op("Gather", g.weight("embedding.weight"), tokens, axis=0)
    posture = g.op("Unsqueeze", linear(g, normalize(g, state, state_statistics), "state"), g.ints(1))
    prefix = g.op("Concat", _image_tokens(g, a, pixels), words, posture, axis=1)
    mask = _prefix_mask(g, a, camera_mask, token_mask)
    keys, values = _prefill(g, a, prefix, mask)

    g.output(keys, "prefix_keys", "FP32", a.cache_shape)
    g.output(values, "prefix_values", "FP32", a.cache_shape)
    g.output(mask, "prefix_mask", "BOOL", (a.prefix_tokens,))
    return g.build()


def _image_tokens(g: GraphBuilder, a: Architecture, pixels: ir.Value) -> ir.Value:
    """[B, cameras, 3, size, size] -> [B, cameras * patches, width]; the tower sees the cameras as a batch."""
    images = g.op("Reshape", pixels, g.ints(-1, 3, a.image_size, a.image_size))
    kernel = [a.patch_size, a.patch_size]
    grid = g.op(
        "Conv",
        images,
        g.weight("vision.patch.weight"),
        g.weight("vision.patch.bias"),
        kernel_shape=kernel,
        strides=kernel,
    )
    patches = g.op("Transpose", g.op("Reshape", grid, g.ints(0, a.vision_width, a.patches)), perm=[0, 2, 1])
    x = g.op("Add", patches, g.weight("vision.position"))
    for layer in range(a.vision_layers):
        x = _vision_layer(g, a, x, f"vision.{layer}")
    features = linear(g, layer_norm(g, x, "vision.norm"), "projector")
    return g.op("Reshape", features, g.ints(-1, len(a.cameras) * a.patches, a.width))


def _vision_layer(g: GraphBuilder, a: Architecture, x: ir.Value, name: str) -> ir.Value:
    heads, head_dim = a.vision_heads, a.vision_width // a.vision_heads
    normed = layer_norm(g, x, f"{name}.norm1")
    query, key, value = head_projections(g, normed, f"{name}.qkv", (heads, heads, heads), head_dim, bias=True)
    mixed = attention(g, query, key, value, None, heads=heads, kv_heads=heads, head_dim=head_dim)
    x = g.op("Add", x, linear(g, merge_heads(g, mixed, a.vision_width), f"{name}.out"))
    return g.op("Add", x, gelu_mlp(g, layer_norm(g, x, f"{name}.norm2"), f"{name}.mlp"))


def _prefix_mask(g: GraphBuilder, a: Architecture, camera_mask: ir.Value, token_mask: ir.Value) -> ir.Value:
    """BOOL [B, prefix]: which tokens count; the state always does."""
    everywhere = g.constant(np.ones((1, 1, a.patches)), np.bool_)
    per_patch = g.op("And", g.op("Unsqueeze", camera_mask, g.ints(2)), everywhere)
    patches = g.op("Reshape", per_patch, g.ints(-1, len(a.cameras) * a.patches))
    first_camera = g.op("Slice", camera_mask, g.ints(0), g.ints(1), g.ints(1))
    always = g.op("Or", first_camera, g.constant([[True]], np.bool_))
    return g.op("Concat", patches, token_mask, always, axis=1)


def _prefill(g: GraphBuilder, a: Architecture, x: ir.Value, mask: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Keys (after rotation) and values of every layer, stacked: [B, layers, kv_heads, prefix, head_dim]."""
    positions = g.op("CumSum", g.op("Cast", mask, to=int(ir.DataType.FLOAT)), g.constant(1, np.int64))
    tables = rope_tables(g, g.op("Sub", positions, g.constant(1.0)), a.head_dim)
    bias = _block_bias(g, a, mask)
    keys, values = [], []
    for layer in range(a.layers - 1):
        x, key, value = _decoder_layer(g, a, x, f"layers.{layer}", tables, bias)
        keys.append(key)
        values.append(value)
    # Only the last layer's keys and values are ever read: its query, output and MLP would be dead weight.
    last = f"layers.{a.layers - 1}"
    normed = rms_norm(g, x, f"{last}.norm1")
    key, value = head_projections(g, normed, f"{last}.kv", (a.kv_heads, a.kv_heads), a.head_dim)
    return _stack(g, [*keys, rotate(g, key, tables)]), _stack(g, [*values, value])


def _decoder_layer(
    g: GraphBuilder, a: Architecture, x: ir.Value, name: str, tables: tuple[ir.Value, ir.Value], bias: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    normed = rms_norm(g, x, f"{name}.norm1")
    query_key, value = head_projections(g, normed, f"{name}.qkv", (a.heads + a.kv_heads, a.kv_heads), a.head_dim)
    query, key = g.op_n("Split", 2, rotate(g, query_key, tables), g.ints(a.heads, a.kv_heads), axis=1)
    mixed = attention(g, query, key, value, bias, heads=a.heads, kv_heads=a.kv_heads, head_dim=a.head_dim)
    x = g.op("Add", x, linear(g, merge_heads(g, mixed, a.heads * a.head_dim), f"{name}.out", bias=False))
    return g.op("Add", x, gated_mlp(g, rms_norm(g, x, f"{name}.norm2"), f"{name}.mlp")), key, value


def _block_bias(g: GraphBuilder, a: Architecture, mask: ir.Value) -> ir.Value:
    """[B, 1, heads_per_group * prefix, prefix]: see `attention` for why it is repeated."""
    allowed = np.ones((1, 1, a.prefix_tokens, a.prefix_tokens), np.bool_)
    allowed[..., :-1, -1] = False
    visible = g.op("And", g.op("Unsqueeze", mask, g.ints(1, 2)), g.constant(allowed, np.bool_))
    return g.op("Concat", *[attention_bias(g, visible)] * a.heads_per_group, axis=2)


def _stack(g: GraphBuilder, layers: list[ir.Value]) -> ir.Value:
    return g.op("Concat", *[g.op("Unsqueeze", layer, g.ints(1)) for layer in layers], axis=1)
