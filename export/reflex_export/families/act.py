"""ACT: a residual network for every camera, and a transformer that gives a whole chunk at once.

The encoder graph ends with the keys and values that the decoder reads, as the encoder of a vision-language-action
policy does; the denoise graph is the decoder. There is no instruction, no noise and no denoising step. Every camera is
needed, at the size it was trained with: ACT never resizes.

Shapes: L observation tokens [latent, state, pixels of camera 0, 1, ...], T chunk, W width, H heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.features import normalize_feature, unnormalize_feature
from reflex_export.blocks.resnet import NORM_EPSILON, BackboneNames, FeatureMap, ResNet, convolution
from reflex_export.blocks.transformer import (
    attention,
    merge_heads,
    split_heads,
    split_layers,
    stack_layers,
    wide_linear,
)
from reflex_export.checkpoint import Camera, Checkpoint
from reflex_export.configs.act import ActConfig
from reflex_export.errors import UnsupportedOptionError
from reflex_export.families.common import Arithmetic, FamilyGraphs, config_of, empty_graph
from reflex_export.families.observed import check_shapes, image_planes, refuse_relative_actions
from reflex_export.graph.graph import Array, GraphBuilder, OnnxModel

__all__ = ["build"]

POSITION_TEMPERATURE: Final = 10_000.0
POSITION_EPSILON: Final = 1e-6
ACTIVATIONS: Final = {"relu": "Relu", "gelu": "Gelu"}


@dataclass(frozen=True)
class _Transformer:
    """What the layers of encoder and decoder have in common. Values are FP32 unless they say half."""

    g: GraphBuilder
    heads: int
    width: int
    activation: str
    is_pre_norm: bool

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    def residual(self, x: ir.Value, norm: str, part: Callable[[ir.Value], ir.Value]) -> ir.Value:
        """x + part(x), normalised before or after."""
        if self.is_pre_norm:
            return self.g.op("Add", x, part(self.norm(x, norm)))
        return self.norm(self.g.op("Add", x, part(x)), norm)

    def norm(self, x: ir.Value, name: str) -> ir.Value:
        weight, bias = self.g.weight(f"{name}.weight", "FP32"), self.g.weight(f"{name}.bias", "FP32")
        return self.g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=NORM_EPSILON)

    def mlp(self, x: ir.Value, name: str) -> ir.Value:
        inner = self.g.op(self.activation, wide_linear(self.g, self.g.halve(x), f"{name}.linear1"))
        return wide_linear(self.g, self.g.halve(inner), f"{name}.linear2")

    def project(self, x: ir.Value, name: str, first: int, count: int = 1) -> tuple[ir.Value, ...]:
        """`count` of query (0), key (1) and value (2), which are one packed matrix, each [B, H, T, D]."""
        g, rows = self.g, slice(first * self.width, (first + count) * self.width)
        weight, bias, part = f"{name}.in_proj_weight", f"{name}.in_proj_bias", f"[{first}:{first + count}]"
        shape = (self.width, count * self.width)
        with g.attention_block():
            matrix = g.derived(f"{weight}{part}", shape, lambda: g.tensor(weight)[rows].T)
            offset = g.derived(f"{bias}{part}", shape[1:], lambda: g.tensor(bias)[rows], "FP32")
            product = g.op("Add", g.widen(g.op("MatMul", g.halve(x), matrix)), offset)
        heads = split_heads(g, product, count * self.heads, self.head_dim)
        return (heads,) if count == 1 else g.op_n("Split", count, heads, axis=1, num_outputs=count)

    def attend(self, query: ir.Value, half_key: ir.Value, half_value: ir.Value, name: str) -> ir.Value:
        """[B, H, T, D] and twice [B, H, L, D] -> [B, T, W]."""
        g, sizes = self.g, {"heads": self.heads, "kv_heads": self.heads, "head_dim": self.head_dim}
        with g.attention_block():
            mixed = attention(g, query, half_key, half_value, None, **sizes)
            return wide_linear(g, merge_heads(g, mixed, self.width), f"{name}.out_proj")

    def self_attention(self, x: ir.Value, positions: ir.Value, name: str) -> ir.Value:
        """Positions are added to query and key only."""
        query, key = self.project(self.g.op("Add", x, positions), name, 0, 2)
        (value,) = self.project(x, name, 2)
        with self.g.attention_block():
            half_key, half_value = self.g.halve(key), self.g.halve(value)
        return self.attend(query, half_key, half_value, name)


def build(
    checkpoint: Checkpoint, *, steps: Sequence[int] = (1,), precision: Arithmetic = "fp32", taps: bool = False
) -> FamilyGraphs:
    """The three graphs; `steps` can only be 1. Taps: `tap.image_embeds.<i>`, `tap.encoder_in`, `tap.encoder_out`."""
    _refuse_what_is_unsupported(checkpoint)
    if set(steps) != {1}:
        raise UnsupportedOptionError("ACT gives its chunk at once and has no denoising steps: leave --steps out")
    check_shapes(checkpoint, _transformer_shapes(checkpoint))
    encoder = _build_encoder(checkpoint, precision, taps=taps)
    decoder = _build_decoder(checkpoint, precision, encoder.outputs[0].shape)
    return FamilyGraphs(_build_preprocess(checkpoint), encoder, {1: decoder})


def _build_preprocess(checkpoint: Checkpoint) -> OnnxModel:
    """image.<camera> UINT8, of the trained size -> pixels.<camera> FP32 [3, H, W], normalised."""
    g = GraphBuilder("preprocess")
    for camera in checkpoint.cameras:
        image = g.input(f"image.{camera.name}", "UINT8", (*camera.shape[1:], 3))
        pixels = normalize_feature(g, image_planes(g, image, camera.shape), checkpoint.images[camera.key])
        g.output(pixels, f"pixels.{camera.name}", "FP32", camera.shape)
    return g.build()


def _build_encoder(checkpoint: Checkpoint, precision: Arithmetic, *, taps: bool) -> OnnxModel:
    """pixels.<camera>, state -> prefix_keys, prefix_values, FP32 [decoder layers, H, L, D]."""
    g = empty_graph("encoder", checkpoint, precision)
    transformer = _transformer(checkpoint, g)
    maps = [_camera_map(g, checkpoint, camera) for camera in checkpoint.cameras]
    state = normalize_feature(g, g.input("state", "FP32", (checkpoint.state_dim,)), checkpoint.state)
    tokens = _observation_tokens(g, transformer, maps, state)
    positions = _positions(g, transformer, maps)

    x = tokens
    for layer in range(_config(checkpoint).n_encoder_layers):
        x = _encoder_layer(transformer, x, positions, f"model.encoder.layers.{layer}")
    if transformer.is_pre_norm:
        x = transformer.norm(x, "model.encoder.norm")
    cache = _decoder_cache(checkpoint, transformer, x, positions)

    length, width = 2 + sum(image.height * image.width for image in maps), transformer.width
    shape = (_config(checkpoint).n_decoder_layers, transformer.heads, length, transformer.head_dim)
    g.output(cache[0], "prefix_keys", "FP32", shape)
    g.output(cache[1], "prefix_values", "FP32", shape)
    if taps:
        for index, image in enumerate(maps):
            embeds = g.op("Identity", image.value)
            g.output(embeds, f"tap.image_embeds.{index}", "FP32", (width, image.height, image.width))
        g.output(g.op("Identity", tokens), "tap.encoder_in", "FP32", (length, width))
        g.output(g.op("Identity", x), "tap.encoder_out", "FP32", (length, width))
    return g.build()


def _camera_map(g: GraphBuilder, checkpoint: Checkpoint, camera: Camera) -> FeatureMap:
    """FP32 [B, W, h, w]: one token for each pixel of the backbone's map."""
    channels, height, width = camera.shape
    pixels = g.halve(g.input(f"pixels.{camera.name}", "FP32", camera.shape))
    backbone = ResNet(g, _config(checkpoint).vision_backbone, BackboneNames.by_name("model.backbone"))
    image = backbone(FeatureMap(pixels, channels, height, width))
    check_shapes(
        checkpoint,
        [("model.encoder_img_feat_input_proj.weight", (_config(checkpoint).dim_model, image.channels, 1, 1))],
    )
    projected = g.widen(convolution(g, image.value, "model.encoder_img_feat_input_proj"))
    return replace(image, value=projected)


def _observation_tokens(
    g: GraphBuilder, transformer: _Transformer, maps: Sequence[FeatureMap], state: ir.Value
) -> ir.Value:
    """FP32 [B, L, W]. The latent is zero when a policy acts, so its token is the projection's bias."""
    posture = wide_linear(g, g.halve(state), "model.encoder_robot_state_input_proj")
    posture = g.op("Unsqueeze", posture, g.ints(1))
    latent = g.op("Expand", g.weight("model.encoder_latent_input_proj.bias", "FP32"), g.op("Shape", posture))
    rows = (g.op("Reshape", image.value, g.ints(0, transformer.width, -1)) for image in maps)
    pixels = [g.op("Transpose", row, perm=[0, 2, 1]) for row in rows]
    return g.op("Concat", latent, posture, *pixels, axis=1)


def _positions(g: GraphBuilder, transformer: _Transformer, maps: Sequence[FeatureMap]) -> ir.Value:
    """FP32 [L, W]: learnt for latent and state, sinusoids of row and column for the pixels."""
    learnt = g.tensor("model.encoder_1d_feature_pos_embed.weight")
    grids = [_sinusoid_grid(image.height, image.width, transformer.width) for image in maps]
    return g.constant(np.concatenate([learnt, *grids]))


def _sinusoid_grid(height: int, width: int, channels: int) -> Array:
    """[height * width, channels]: half for the row, half for the column; sine and cosine alternate."""
    rows = np.repeat(_sinusoids(height, channels // 2), width, axis=0)
    columns = np.tile(_sinusoids(width, channels // 2), (height, 1))
    grid: Array = np.concatenate([rows, columns], axis=1).astype(np.float32)
    return grid


def _sinusoids(count: int, channels: int) -> Array:
    """[count, channels] of 1 .. count, scaled to a full turn."""
    turns = np.arange(1, count + 1) / (count + POSITION_EPSILON) * 2 * np.pi
    angles = turns[:, None] / POSITION_TEMPERATURE ** (2 * (np.arange(channels) // 2) / channels)
    sinusoids: Array = np.where(np.arange(channels) % 2 == 0, np.sin(angles), np.cos(angles))
    return sinusoids


def _encoder_layer(transformer: _Transformer, x: ir.Value, positions: ir.Value, name: str) -> ir.Value:
    attend = f"{name}.self_attn"
    x = transformer.residual(x, f"{name}.norm1", lambda y: transformer.self_attention(y, positions, attend))
    return transformer.residual(x, f"{name}.norm2", lambda y: transformer.mlp(y, name))


def _decoder_cache(
    checkpoint: Checkpoint, transformer: _Transformer, memory: ir.Value, positions: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """What every decoder layer reads of the observation: no action changes it."""
    g = transformer.g
    placed = g.op("Add", memory, positions)
    names = [f"model.decoder.layers.{layer}.multihead_attn" for layer in range(_config(checkpoint).n_decoder_layers)]
    keys = [transformer.project(placed, name, 1)[0] for name in names]
    values = [transformer.project(memory, name, 2)[0] for name in names]
    return stack_layers(g, keys), stack_layers(g, values)


def _build_decoder(checkpoint: Checkpoint, precision: Arithmetic, cache_shape: Sequence[int]) -> OnnxModel:
    """prefix_keys, prefix_values -> actions, actions_normalized, FP32 [T, action_dim]."""
    g = empty_graph("denoise", checkpoint, precision)
    transformer, depth = _transformer(checkpoint, g), cache_shape[0]
    with g.attention_block():
        keys = split_layers(g, g.halve(g.input("prefix_keys", "FP32", cache_shape)), depth)
        values = split_layers(g, g.halve(g.input("prefix_values", "FP32", cache_shape)), depth)

    positions = g.tensor("model.decoder_pos_embed.weight")
    x = _first_decoder_layer(transformer, positions, keys[0], values[0], "model.decoder.layers.0")
    for layer in range(1, depth):
        x = _decoder_layer(transformer, x, g.constant(positions), keys[layer], values[layer], layer)
    normalized = wide_linear(g, g.halve(transformer.norm(x, "model.decoder.norm")), "model.action_head")
    chunk = (positions.shape[0], checkpoint.action_dim)
    g.output(unnormalize_feature(g, normalized, checkpoint.action), "actions", "FP32", chunk)
    g.output(normalized, "actions_normalized", "FP32", chunk)
    return g.build()


def _decoder_layer(
    transformer: _Transformer, x: ir.Value, positions: ir.Value, key: ir.Value, value: ir.Value, layer: int
) -> ir.Value:
    g, name = transformer.g, f"model.decoder.layers.{layer}"

    def cross_attention(y: ir.Value) -> ir.Value:
        (query,) = transformer.project(g.op("Add", y, positions), f"{name}.multihead_attn", 0)
        return transformer.attend(query, key, value, f"{name}.multihead_attn")

    attend = f"{name}.self_attn"
    x = transformer.residual(x, f"{name}.norm1", lambda y: transformer.self_attention(y, positions, attend))
    x = transformer.residual(x, f"{name}.norm2", cross_attention)
    return transformer.residual(x, f"{name}.norm3", lambda y: transformer.mlp(y, name))


def _first_decoder_layer(
    transformer: _Transformer, positions: Array, key: ir.Value, value: ir.Value, name: str
) -> ir.Value:
    """The layer for an input of zeros, which the decoder always has: all is constant up to the cross-attention."""
    g, attend = transformer.g, f"{name}.multihead_attn"
    x = _first_self_attention(transformer, name)
    placed = (_layer_norm(g, x, f"{name}.norm2") if transformer.is_pre_norm else x) + positions
    width = transformer.width
    query = placed @ _tensor(g, f"{attend}.in_proj_weight")[:width].T + _tensor(g, f"{attend}.in_proj_bias")[:width]
    heads = query.reshape(1, -1, transformer.heads, transformer.head_dim).transpose(0, 2, 1, 3)
    mixed = transformer.attend(g.constant(heads), key, value, attend)
    hidden = g.op("Add", mixed, g.constant(x))
    hidden = hidden if transformer.is_pre_norm else transformer.norm(hidden, f"{name}.norm2")
    return transformer.residual(hidden, f"{name}.norm3", lambda y: transformer.mlp(y, name))


def _first_self_attention(transformer: _Transformer, name: str) -> Array:
    """[W]: all tokens have the same value, so whatever the queries look for, that is what they find."""
    g, rows = transformer.g, slice(2 * transformer.width, None)
    value = _tensor(g, f"{name}.self_attn.in_proj_bias")[rows]
    if transformer.is_pre_norm:
        value = value + _tensor(g, f"{name}.self_attn.in_proj_weight")[rows] @ _tensor(g, f"{name}.norm1.bias")
    answer = _tensor(g, f"{name}.self_attn.out_proj.weight") @ value + _tensor(g, f"{name}.self_attn.out_proj.bias")
    return answer if transformer.is_pre_norm else _layer_norm(g, answer, f"{name}.norm1")


def _layer_norm(g: GraphBuilder, x: Array, name: str) -> Array:
    normal: Array = (x - x.mean()) / np.sqrt(x.var() + NORM_EPSILON)
    return normal * _tensor(g, f"{name}.weight") + _tensor(g, f"{name}.bias")


def _tensor(g: GraphBuilder, name: str) -> Array:
    """In float64: what is computed at export must not depend on this machine's float32 BLAS."""
    return g.tensor(name).astype(np.float64)


def _config(checkpoint: Checkpoint) -> ActConfig:
    return config_of(checkpoint, ActConfig)


def _transformer(checkpoint: Checkpoint, g: GraphBuilder) -> _Transformer:
    config = _config(checkpoint)
    activation = ACTIVATIONS[config.feedforward_activation]
    return _Transformer(g, config.n_heads, config.dim_model, activation, config.pre_norm)


def _refuse_what_is_unsupported(checkpoint: Checkpoint) -> None:
    if _config(checkpoint).temporal_ensemble_coeff is not None:
        raise UnsupportedOptionError(
            f"{checkpoint.source}: temporal_ensemble_coeff averages over past chunks, which no graph can; set it to "
            "null in config.json and average where the actions are sent to the robot"
        )
    refuse_relative_actions(checkpoint)


def _transformer_shapes(checkpoint: Checkpoint) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor outside the backbone that the graphs read, and its shape by the config."""
    config = _config(checkpoint)
    width = config.dim_model
    yield "model.encoder_latent_input_proj.bias", (width,)
    yield from _linear_shapes("model.encoder_robot_state_input_proj", width, checkpoint.state_dim)
    yield "model.encoder_img_feat_input_proj.bias", (width,)
    yield "model.encoder_1d_feature_pos_embed.weight", (2, width)
    yield "model.decoder_pos_embed.weight", (config.chunk_size, width)
    yield from _linear_shapes("model.action_head", checkpoint.action_dim, width)
    for name in ("model.decoder.norm", *(("model.encoder.norm",) if config.pre_norm else ())):
        yield from _norm_shapes(name, width)
    for layer in range(config.n_encoder_layers):
        yield from _layer_shapes(f"model.encoder.layers.{layer}", config, ("self_attn",))
    for layer in range(config.n_decoder_layers):
        yield from _layer_shapes(f"model.decoder.layers.{layer}", config, ("self_attn", "multihead_attn"))


def _layer_shapes(name: str, config: ActConfig, attentions: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, inner = config.dim_model, config.dim_feedforward
    for attention_name in attentions:
        yield f"{name}.{attention_name}.in_proj_weight", (3 * width, width)
        yield f"{name}.{attention_name}.in_proj_bias", (3 * width,)
        yield from _linear_shapes(f"{name}.{attention_name}.out_proj", width, width)
    yield from _linear_shapes(f"{name}.linear1", inner, width)
    yield from _linear_shapes(f"{name}.linear2", width, inner)
    for norm in range(len(attentions) + 1):
        yield from _norm_shapes(f"{name}.norm{norm + 1}", width)


def _linear_shapes(name: str, width_out: int, width_in: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width_out, width_in)
    yield f"{name}.bias", (width_out,)


def _norm_shapes(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
