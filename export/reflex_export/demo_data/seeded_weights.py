"""A tiny SmolVLA's weights, untrained: drawn from a seed, the same on every machine and NumPy version.

Only the bit generator's raw stream is used, which NumPy guarantees; its distributions may change between versions.
Each tensor has its own stream, so adding one changes no other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from reflex_export.graph.onnx_model import Array

__all__ = ["TinySmolVla", "seeded_weights"]

_VLM: Final = "vlm_with_expert.vlm."
_EXPERT: Final = "vlm_with_expert.lm_expert."
_ATTENTION_GAIN: Final = 1.5
"""Makes attention choose: with 1 an untrained softmax is nearly uniform and averages the observation away."""


@dataclass(frozen=True)
class TinySmolVla:
    """Sizes of the architecture, named as its configs name them where they have a name for it."""

    image_size: int = 64
    patch_size: int = 16
    scale_factor: int = 2
    vision_width: int = 48
    vision_heads: int = 4
    vision_layers: int = 2
    vision_mlp: int = 96
    vocabulary: int = 512
    max_tokens: int = 48
    width: int = 64
    mlp: int = 128
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    expert_width_multiplier: float = 0.75
    expert_mlp: int = 256
    """What lerobot makes of any expert that is at most 96 wide: a multiple of 256."""
    self_attn_every_n_layers: int = 2
    max_state_dim: int = 32
    max_action_dim: int = 32

    @property
    def expert_width(self) -> int:
        return int(self.width * self.expert_width_multiplier)


class _Draw(NamedTuple):
    """A tensor to draw: uniform with standard deviation `std` around `mean`."""

    shape: tuple[int, ...]
    std: float
    mean: float = 0.0


_Draws = Iterator[tuple[str, _Draw]]


def seeded_weights(sizes: TinySmolVla, seed: int) -> dict[str, Array]:
    """Every tensor of the checkpoint by its name, float32; linear weights are [out, in]."""
    draws = {**dict(_vision(sizes)), **dict(_language(sizes)), **dict(_expert(sizes)), **dict(_projections(sizes))}
    return {f"model.{name}": _uniform(draw, name, seed) for name, draw in sorted(draws.items())}


def _uniform(draw: _Draw, name: str, seed: int) -> Array:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    raw = generator.random_raw(math.prod(draw.shape)).reshape(draw.shape)
    symmetric = (raw >> np.uint64(11)) * 2.0**-52 - 1.0
    drawn: Array = (draw.mean + symmetric * (3**0.5 * draw.std)).astype(np.float32)
    return drawn


def _linear(name: str, fan_in: int, fan_out: int, *, gain: float = 1.0, bias: bool = True) -> _Draws:
    yield f"{name}.weight", _Draw((fan_out, fan_in), gain * fan_in**-0.5)
    if bias:
        yield f"{name}.bias", _Draw((fan_out,), 0.1)


def _norm(name: str, width: int, *, bias: bool = False) -> _Draws:
    yield f"{name}.weight", _Draw((width,), 0.1, 1.0)
    if bias:
        yield f"{name}.bias", _Draw((width,), 0.1)


def _vision(s: TinySmolVla) -> _Draws:
    name, width = f"{_VLM}model.vision_model", s.vision_width
    pixels = 3 * s.patch_size**2
    patches = (s.image_size // s.patch_size) ** 2
    yield (
        f"{name}.embeddings.patch_embedding.weight",
        _Draw((width, 3, s.patch_size, s.patch_size), 2.0 * pixels**-0.5),
    )
    yield f"{name}.embeddings.patch_embedding.bias", _Draw((width,), 0.1)
    yield f"{name}.embeddings.position_embedding.weight", _Draw((patches, width), 0.3)
    for layer in range(s.vision_layers):
        yield from _vision_layer(s, f"{name}.encoder.layers.{layer}")
    yield from _norm(f"{name}.post_layernorm", width, bias=True)


def _vision_layer(s: TinySmolVla, name: str) -> _Draws:
    width = s.vision_width
    for norm in ("layer_norm1", "layer_norm2"):
        yield from _norm(f"{name}.{norm}", width, bias=True)
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        yield from _linear(f"{name}.self_attn.{part}", width, width)
    yield from _linear(f"{name}.mlp.fc1", width, s.vision_mlp)
    yield from _linear(f"{name}.mlp.fc2", s.vision_mlp, width)


def _language(s: TinySmolVla) -> _Draws:
    # The policy multiplies words and pictures, not the state, by the square root of the width: this undoes it.
    shuffled, unscaled = s.vision_width * s.scale_factor**2, s.width**-0.5
    connector = f"{_VLM}model.connector.modality_projection.proj"
    yield from _linear(connector, shuffled, s.width, gain=unscaled, bias=False)
    yield f"{_VLM}model.text_model.embed_tokens.weight", _Draw((s.vocabulary, s.width), unscaled)
    for layer in range(s.layers):
        yield from _decoder_layer(s, f"{_VLM}model.text_model.layers.{layer}", s.width, s.width, s.mlp)
    yield from _norm(f"{_VLM}model.text_model.norm", s.width)
    yield from _linear(f"{_VLM}lm_head", s.width, s.vocabulary, bias=False)


def _expert(s: TinySmolVla) -> _Draws:
    for layer in range(s.layers):
        is_self_attention = layer % s.self_attn_every_n_layers == 0
        key_input = s.expert_width if is_self_attention else s.kv_heads * s.head_dim
        yield from _decoder_layer(s, f"{_EXPERT}layers.{layer}", s.expert_width, key_input, s.expert_mlp)
    yield from _norm(f"{_EXPERT}norm", s.expert_width)


def _decoder_layer(s: TinySmolVla, name: str, width: int, key_input: int, mlp: int) -> _Draws:
    queries, keys = s.heads * s.head_dim, s.kv_heads * s.head_dim
    for part, fan_in, fan_out in (("q", width, queries), ("k", key_input, keys), ("v", key_input, keys)):
        yield from _linear(f"{name}.self_attn.{part}_proj", fan_in, fan_out, gain=_ATTENTION_GAIN, bias=False)
    yield from _linear(f"{name}.self_attn.o_proj", queries, width, gain=_ATTENTION_GAIN, bias=False)
    for part, fan_in, fan_out in (("gate", width, mlp), ("up", width, mlp), ("down", mlp, width)):
        yield from _linear(f"{name}.mlp.{part}_proj", fan_in, fan_out, bias=False)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield from _norm(f"{name}.{norm}", width)


def _projections(s: TinySmolVla) -> _Draws:
    # Most of the padded state is zero: the gain is that of the few entries that a robot has.
    yield from _linear("state_proj", s.max_state_dim, s.width, gain=2.0)
    yield from _linear("action_in_proj", s.max_action_dim, s.expert_width)
    yield from _linear("action_time_mlp_in", 2 * s.expert_width, s.expert_width)
    yield from _linear("action_time_mlp_out", s.expert_width, s.expert_width)
    yield from _linear("action_out_proj", s.expert_width, s.max_action_dim)
