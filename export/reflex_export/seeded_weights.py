"""Weights of an untrained policy: drawn from a seed, the same on every machine and NumPy version.

Only the bit generator's raw stream is used, which NumPy guarantees; its distributions may change between versions.
Each tensor has its own stream, so adding one changes no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from reflex_export.architecture import Architecture
from reflex_export.graph import Array

__all__ = ["seeded_weights"]


class _Draw(NamedTuple):
    """A tensor to draw: uniform with standard deviation `std` around `mean`."""

    shape: tuple[int, ...]
    std: float
    mean: float = 0.0


def seeded_weights(a: Architecture, seed: int) -> dict[str, Array]:
    """Every weight that `build_encoder` and `build_denoise` read, by name, float32."""
    draws = {**dict(_vision(a)), **dict(_language(a)), **dict(_expert(a))}
    return {name: _uniform(draw, name, seed) for name, draw in draws.items()}


def _uniform(draw: _Draw, name: str, seed: int) -> Array:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    raw = generator.random_raw(int(np.prod(draw.shape))).reshape(draw.shape)
    symmetric = (raw >> np.uint64(11)) * 2.0**-52 - 1.0
    drawn: Array = (draw.mean + symmetric * (3**0.5 * draw.std)).astype(np.float32)
    return drawn


def _linear(
    name: str, fan_in: int, fan_out: int, *, gain: float = 1.0, bias: bool = True
) -> Iterator[tuple[str, _Draw]]:
    yield f"{name}.weight", _Draw((fan_in, fan_out), gain * fan_in**-0.5)
    if bias:
        yield f"{name}.bias", _Draw((fan_out,), 0.1)


def _norm(name: str, width: int, *, bias: bool = False) -> Iterator[tuple[str, _Draw]]:
    yield f"{name}.weight", _Draw((width,), 0.1, 1.0)
    if bias:
        yield f"{name}.bias", _Draw((width,), 0.1)


def _gated_mlp(name: str, width: int, hidden: int) -> Iterator[tuple[str, _Draw]]:
    yield from _linear(f"{name}.gate", width, hidden, bias=False)
    yield from _linear(f"{name}.up", width, hidden, bias=False)
    yield from _linear(f"{name}.down", hidden, width, bias=False)


def _vision(a: Architecture) -> Iterator[tuple[str, _Draw]]:
    width = a.vision_width
    yield "vision.patch.weight", _Draw((width, 3, a.patch_size, a.patch_size), 2.0 * (3 * a.patch_size**2) ** -0.5)
    yield "vision.patch.bias", _Draw((width,), 0.1)
    yield "vision.position", _Draw((a.patches, width), 0.3)
    for layer in range(a.vision_layers):
        name = f"vision.{layer}"
        yield from _norm(f"{name}.norm1", width, bias=True)
        yield from _linear(f"{name}.qkv", width, 3 * width)
        yield from _linear(f"{name}.out", width, width)
        yield from _norm(f"{name}.norm2", width, bias=True)
        yield from _linear(f"{name}.mlp.up", width, a.vision_mlp)
        yield from _linear(f"{name}.mlp.down", a.vision_mlp, width)
    yield from _norm("vision.norm", width, bias=True)
    yield from _linear("projector", width, a.width)


def _language(a: Architecture) -> Iterator[tuple[str, _Draw]]:
    yield "embedding.weight", _Draw((a.vocabulary, a.width), 1.0)
    yield from _linear("state", a.state_dim, a.width)
    for layer in range(a.layers - 1):
        yield from _decoder_layer(a, f"layers.{layer}", a.width, a.mlp)
    last = f"layers.{a.layers - 1}"
    yield from _norm(f"{last}.norm1", a.width)
    yield from _linear(f"{last}.kv", a.width, 2 * a.kv_heads * a.head_dim, bias=False)


def _expert(a: Architecture) -> Iterator[tuple[str, _Draw]]:
    width = a.expert_width
    yield from _linear("expert.action_in", a.noise_dim, width)
    yield from _linear("expert.time_in.action", width, width, bias=False)
    yield from _linear("expert.time_in.time", width, width, bias=False)
    yield "expert.time_in.bias", _Draw((width,), 0.1)
    yield from _linear("expert.time_out", width, width)
    for layer in range(a.layers):
        yield from _decoder_layer(a, f"expert.layers.{layer}", width, a.expert_mlp)
    yield from _norm("expert.norm", width)
    yield from _linear("expert.action_out", width, a.noise_dim)


def _decoder_layer(a: Architecture, name: str, width: int, mlp: int) -> Iterator[tuple[str, _Draw]]:
    # The gain makes attention choose: with 1 an untrained softmax is nearly uniform and averages the observation away.
    heads = a.heads + 2 * a.kv_heads
    yield from _norm(f"{name}.norm1", width)
    yield from _linear(f"{name}.qkv", width, heads * a.head_dim, gain=1.5, bias=False)
    yield from _linear(f"{name}.out", a.heads * a.head_dim, width, gain=1.5, bias=False)
    yield from _norm(f"{name}.norm2", width)
    yield from _gated_mlp(f"{name}.mlp", width, mlp)
