"""pi0 and pi0.5 in plain NumPy, written from their formulas and sharing no code with the exporter.

It works in float64, one observation at a time: what a graph computes in float32 must be near it. Slow and small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Policy", "Prefix", "denoise", "encode", "velocity"]

Array = npt.NDArray[Any]
Norm = Callable[[str, Array], tuple[Array, Array | float]]
"""(name, x) -> the normed x, and the gate of what follows."""


@dataclass(frozen=True)
class Policy:
    """Weights by name, without the `model.` prefix, and the settings of config.json."""

    family: str
    weights: Mapping[str, Array]
    config: Mapping[str, Any]
    vision_heads: int = 16

    def __call__(self, name: str) -> Array:
        return self.weights[name].astype(np.float64)

    def linear(self, name: str, x: Array) -> Array:
        bias = self(f"{name}.bias") if f"{name}.bias" in self.weights else 0.0
        return x @ self(f"{name}.weight").T + bias

    def depth(self, stem: str) -> int:
        return len({name[len(stem) :].split(".")[0] for name in self.weights if name.startswith(stem)})


@dataclass(frozen=True)
class Prefix:
    """Keys and values of the valid tokens only: [tokens, head width] of each layer."""

    keys: list[Array]
    values: list[Array]


VLM = "paligemma_with_expert.paligemma."
EXPERT = "paligemma_with_expert.gemma_expert.model."


def encode(policy: Policy, pixels: list[Array], tokens: Array) -> Prefix:
    """Pictures [3, H, W] of the cameras that are there and the valid tokens: absent ones change nothing."""
    table = f"{VLM}model.language_model.embed_tokens.weight"
    embedding = policy(table if table in policy.weights else f"{VLM}lm_head.weight")
    words = embedding[tokens] * embedding.shape[1] ** 0.5
    hidden = np.concatenate([*(_see(policy, image) for image in pixels), words])
    stem = f"{VLM}model.language_model.layers."
    keys, values = [], []
    for layer in range(policy.depth(stem)):
        hidden, key, value = _decode(policy, f"{stem}{layer}.", hidden, np.arange(len(hidden)), _plain(policy))
        keys.append(key)
        values.append(value)
    return Prefix(keys, values)


def denoise(
    policy: Policy, prefix: Prefix, state: Array, noise: Array, steps: int, given: tuple[Array, int] | None = None
) -> Array:
    """Normalised state [state_dim] and noise [T, A] to the normalised chunk with its padding channels.

    `given` are actions [T, A] of which the first so many stay, at time 0, in every step (trained real-time chunking).
    """
    actions, fixed = (noise, 0) if given is None else given
    x: Array = np.concatenate([actions[:fixed], noise[fixed:]]).astype(np.float64)
    for step in range(steps):
        times = np.where(np.arange(len(x)) < fixed, 0.0, 1.0 - step / steps)
        x[fixed:] -= velocity(policy, prefix, state, x, times)[fixed:] / steps
    return x


def velocity(policy: Policy, prefix: Prefix, state: Array, x: Array, times: Array) -> Array:
    """v(x, t) [T, A] for a time of each action."""
    clock = _clocks(policy, times, policy("action_in_proj.weight").shape[0])
    actions = policy.linear("action_in_proj", x)
    leading = 0
    if policy.family == "pi0":
        both = np.concatenate([actions, clock], axis=1)
        actions = policy.linear("action_time_mlp_out", _silu(policy.linear("action_time_mlp_in", both)))
        padded = np.pad(state.astype(np.float64), (0, policy("state_proj.weight").shape[1] - len(state)))
        actions, leading = np.concatenate([policy.linear("state_proj", padded)[None], actions]), 1
        norm = _plain(policy)
    else:
        condition = _silu(policy.linear("time_mlp_out", _silu(policy.linear("time_mlp_in", clock))))
        norm = _modulated(policy, condition)
    return policy.linear("action_out_proj", _run_expert(policy, prefix, actions, leading, norm)[leading:])


def _run_expert(policy: Policy, prefix: Prefix, hidden: Array, leading: int, norm: Norm) -> Array:
    past, tokens = len(prefix.keys[0]), len(hidden)
    visible = np.ones((tokens, past + tokens), bool)
    visible[:leading, past + leading :] = False
    for layer, cache in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        stem = f"{EXPERT}layers.{layer}."
        hidden, _, _ = _decode(policy, stem, hidden, past + np.arange(tokens), norm, cache, visible)
    return norm(f"{EXPERT}norm", hidden)[0]


def _decode(
    policy: Policy,
    stem: str,
    hidden: Array,
    positions: Array,
    norm: Norm,
    cache: tuple[Array, Array] | None = None,
    visible: Array | None = None,
) -> tuple[Array, Array, Array]:
    """One layer; the new hidden, keys after rotation and values."""
    normed, gate = norm(f"{stem}input_layernorm", hidden)
    key = _rotate(policy.linear(f"{stem}self_attn.k_proj", normed), positions)
    value = policy.linear(f"{stem}self_attn.v_proj", normed)
    keys, values = key, value
    if cache is not None:
        keys, values = np.concatenate([cache[0], key]), np.concatenate([cache[1], value])
    query = policy.linear(f"{stem}self_attn.q_proj", normed)
    heads = [
        _mix(_rotate(part, positions), keys, values, visible)
        for part in np.split(query, query.shape[1] // key.shape[1], axis=1)
    ]
    hidden = hidden + policy.linear(f"{stem}self_attn.o_proj", np.concatenate(heads, axis=1)) * gate
    normed, gate = norm(f"{stem}post_attention_layernorm", hidden)
    inner = _gelu(policy.linear(f"{stem}mlp.gate_proj", normed)) * policy.linear(f"{stem}mlp.up_proj", normed)
    return hidden + policy.linear(f"{stem}mlp.down_proj", inner) * gate, key, value


def _see(policy: Policy, pixels: Array) -> Array:
    """The picture's tokens."""
    stem = f"{VLM}model.vision_tower.vision_model."
    kernel = policy(f"{stem}embeddings.patch_embedding.weight")
    side = kernel.shape[-1]
    rows, columns = pixels.shape[1] // side, pixels.shape[2] // side
    cropped = pixels[:, : rows * side, : columns * side].astype(np.float64)
    grid = cropped.reshape(3, rows, side, columns, side).transpose(1, 3, 0, 2, 4).reshape(rows * columns, -1)
    x = grid @ kernel.reshape(kernel.shape[0], -1).T + policy(f"{stem}embeddings.patch_embedding.bias")
    x = x + policy(f"{stem}embeddings.position_embedding.weight")
    for layer in range(policy.depth(f"{stem}encoder.layers.")):
        x = _see_layer(policy, f"{stem}encoder.layers.{layer}.", x)
    return policy.linear(f"{VLM}model.multi_modal_projector.linear", _layer_norm(policy, f"{stem}post_layernorm", x))


def _see_layer(policy: Policy, stem: str, x: Array) -> Array:
    normed = _layer_norm(policy, f"{stem}layer_norm1", x)
    parts = [np.split(policy.linear(f"{stem}self_attn.{kind}_proj", normed), policy.vision_heads, 1) for kind in "qkv"]
    mixed = np.concatenate([_mix(*heads) for heads in zip(*parts, strict=True)], axis=1)
    x = x + policy.linear(f"{stem}self_attn.out_proj", mixed)
    normed = _layer_norm(policy, f"{stem}layer_norm2", x)
    return x + policy.linear(f"{stem}mlp.fc2", _gelu(policy.linear(f"{stem}mlp.fc1", normed)))


def _mix(query: Array, keys: Array, values: Array, visible: Array | None = None) -> Array:
    scores = query @ keys.T / keys.shape[1] ** 0.5
    if visible is not None:
        scores = np.where(visible, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    mixed: Array = weights / weights.sum(axis=1, keepdims=True) @ values
    return mixed


def _rotate(x: Array, positions: Array) -> Array:
    half = x.shape[1] // 2
    angles = positions[:, None] / 10_000.0 ** (np.arange(half) / half)
    first, second = x[:, :half], x[:, half:]
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=1)


def _plain(policy: Policy) -> Norm:
    return lambda name, x: (_unit(x) * (1.0 + policy(f"{name}.weight")), 1.0)


def _modulated(policy: Policy, condition: Array) -> Norm:
    def norm(name: str, x: Array) -> tuple[Array, Array | float]:
        scale, shift, gate = np.split(policy.linear(f"{name}.dense", condition), 3, axis=1)
        return _unit(x) * (1.0 + scale) + shift, gate

    return norm


def _clocks(policy: Policy, times: Array, width: int) -> Array:
    """[T, width]."""
    shortest, longest = policy.config["min_period"], policy.config["max_period"]
    periods = shortest * (longest / shortest) ** np.linspace(0.0, 1.0, width // 2)
    angles = times.astype(np.float32).astype(np.float64)[:, None] * 2 * np.pi / periods
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _layer_norm(policy: Policy, name: str, x: Array) -> Array:
    centred = x - x.mean(axis=1, keepdims=True)
    unit: Array = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
    return unit * policy(f"{name}.weight") + policy(f"{name}.bias")


def _unit(x: Array) -> Array:
    unit: Array = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-6)
    return unit


def _gelu(x: Array) -> Array:
    activated: Array = 0.5 * x * (1.0 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
    return activated


def _silu(x: Array) -> Array:
    activated: Array = x / (1.0 + np.exp(-x))
    return activated
