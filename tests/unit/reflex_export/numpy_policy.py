"""The demo policy's forward pass in plain NumPy, float64, one request, head by head: slow, obvious, and independent.

It follows the architecture's description (prefix masks, rotary positions, the concatenation of action and time) and
shares no code with the graph builders, so that a mistake in one shows as a difference between the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from reflex_export.architecture import Architecture
from reflex_export.graph import Array
from reflex_export.normalization import MeanStd


class NumpyPolicy:
    """Weights in, actions out."""

    def __init__(
        self, a: Architecture, weights: Mapping[str, Array], state_statistics: MeanStd, action_statistics: MeanStd
    ) -> None:
        self.a = a
        self.w = {name: weight.astype(np.float64) for name, weight in weights.items()}
        self.state_statistics = state_statistics
        self.action_statistics = action_statistics

    def act(self, tensors: Mapping[str, Array]) -> Array:
        """Actions [horizon, noise_dim] for one request, tensors without a batch axis."""
        keys, values, valid = self.prefill(tensors)
        x = tensors["noise"].astype(np.float64)
        steps = self.a.denoising_steps
        for step in range(steps):
            x = x - self.velocity(x, 1.0 - step / steps, keys, values, valid) / steps
        actions: Array = x * np.array(self.action_statistics.std) + np.array(self.action_statistics.mean)
        return actions

    def prefill(self, tensors: Mapping[str, Array]) -> tuple[list[Array], list[Array], Array]:
        a = self.a
        images = [self.image_tokens(letterbox(tensors[f"image.{name}"], a.image_size)) for name in a.cameras]
        words = self.w["embedding.weight"][tensors["tokens"]]
        mean, std = np.array(self.state_statistics.mean), np.array(self.state_statistics.std)
        state = self.linear((tensors["state"] - mean) / (std + 1e-8), "state")[None]
        x = np.concatenate([*images, words, state])
        valid = np.concatenate([np.repeat(tensors["camera_mask"], a.patches), tensors["token_mask"], [True]])
        positions = np.cumsum(valid) - 1
        visible = np.repeat(valid[None], len(x), axis=0)
        visible[:-1, -1] = False

        keys, values = [], []
        for layer in range(a.layers):
            name = f"layers.{layer}"
            normed = rms_norm(x, self.w[f"{name}.norm1.weight"])
            last = layer == a.layers - 1
            projected = normed @ self.w[f"{name}.{'kv' if last else 'qkv'}.weight"]
            split = 0 if last else a.heads
            heads = [projected[:, i : i + a.head_dim] for i in range(0, projected.shape[1], a.head_dim)]
            key = [rope(head, positions) for head in heads[split : split + a.kv_heads]]
            value = heads[split + a.kv_heads :]
            keys.append(np.stack(key))
            values.append(np.stack(value))
            if not last:
                query = [rope(head, positions) for head in heads[: a.heads]]
                x = self.finish_layer(x, name, query, key, value, visible)
        return keys, values, valid

    def velocity(self, x: Array, t: float, keys: list[Array], values: list[Array], valid: Array) -> Array:
        a = self.a
        actions = self.linear(x, "expert.action_in")
        time = np.repeat(self.time_embedding(t)[None], a.horizon, axis=0)
        both = np.concatenate([self.w["expert.time_in.action.weight"], self.w["expert.time_in.time.weight"]])
        hidden = np.concatenate([actions, time], axis=1) @ both + self.w["expert.time_in.bias"]
        hidden = self.linear(silu(hidden), "expert.time_out")
        positions = valid.sum() + np.arange(a.horizon)
        visible = np.repeat(np.concatenate([valid, np.ones(a.horizon, bool)])[None], a.horizon, axis=0)
        for layer in range(a.layers):
            name = f"expert.layers.{layer}"
            projected = rms_norm(hidden, self.w[f"{name}.norm1.weight"]) @ self.w[f"{name}.qkv.weight"]
            heads = [projected[:, i : i + a.head_dim] for i in range(0, projected.shape[1], a.head_dim)]
            query = [rope(head, positions) for head in heads[: a.heads]]
            own_keys = [rope(head, positions) for head in heads[a.heads : a.heads + a.kv_heads]]
            own_values = heads[a.heads + a.kv_heads :]
            key = [np.concatenate(pair) for pair in zip(keys[layer], own_keys, strict=True)]
            value = [np.concatenate(pair) for pair in zip(values[layer], own_values, strict=True)]
            hidden = self.finish_layer(hidden, name, query, key, value, visible)
        return self.linear(rms_norm(hidden, self.w["expert.norm.weight"]), "expert.action_out")

    def finish_layer(
        self, x: Array, name: str, query: list[Array], key: list[Array], value: list[Array], visible: Array
    ) -> Array:
        per_group = len(query) // len(key)
        mixed = [attend(q, key[i // per_group], value[i // per_group], visible) for i, q in enumerate(query)]
        x = x + np.concatenate(mixed, axis=1) @ self.w[f"{name}.out.weight"]
        normed = rms_norm(x, self.w[f"{name}.norm2.weight"])
        gate, up = normed @ self.w[f"{name}.mlp.gate.weight"], normed @ self.w[f"{name}.mlp.up.weight"]
        finished: Array = x + (silu(gate) * up) @ self.w[f"{name}.mlp.down.weight"]
        return finished

    def image_tokens(self, picture: Array) -> Array:
        """[3, size, size] -> [patches, width]."""
        a, size = self.a, self.a.patch_size
        rows = range(0, a.image_size, size)
        patches = [picture[:, r : r + size, c : c + size].reshape(-1) for r in rows for c in rows]
        kernel = self.w["vision.patch.weight"].reshape(a.vision_width, -1)
        x = np.stack(patches) @ kernel.T + self.w["vision.patch.bias"] + self.w["vision.position"]
        for layer in range(a.vision_layers):
            x = self.vision_layer(x, f"vision.{layer}")
        return self.linear(self.layer_norm(x, "vision.norm"), "projector")

    def vision_layer(self, x: Array, name: str) -> Array:
        width = self.a.vision_width
        projected = self.linear(self.layer_norm(x, f"{name}.norm1"), f"{name}.qkv")
        everything = np.ones((len(x), len(x)), bool)
        head_dim = width // self.a.vision_heads
        mixed = []
        for i in range(0, width, head_dim):
            query, key, value = (projected[:, j + i : j + i + head_dim] for j in (0, width, 2 * width))
            mixed.append(attend(query, key, value, everything))
        x = x + self.linear(np.concatenate(mixed, axis=1), f"{name}.out")
        up = self.linear(self.layer_norm(x, f"{name}.norm2"), f"{name}.mlp.up")
        return x + self.linear(gelu_tanh(up), f"{name}.mlp.down")

    def time_embedding(self, t: float) -> Array:
        a, half = self.a, self.a.expert_width // 2
        periods = [a.min_period * (a.max_period / a.min_period) ** (i / (half - 1)) for i in range(half)]
        angles = [2 * math.pi * t / period for period in periods]
        return np.array([*map(math.sin, angles), *map(math.cos, angles)])

    def linear(self, x: Array, name: str) -> Array:
        product: Array = x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]
        return product

    def layer_norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        normed: Array = scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]
        return normed


def letterbox(image: Array, size: int) -> Array:
    """uint8 [h, w, 3] -> [3, size, size] in -1..1: ratio kept, bilinear at pixel centres, the rest black."""
    height, width = image.shape[:2]
    ratio = max(height / size, width / size)
    inner = [max(1, int(side / ratio)) for side in (height, width)]
    rows, columns = (bilinear(side, target) for side, target in zip((height, width), inner, strict=True))
    picture = np.einsum("yh,hwc,xw->cyx", rows, image / 255.0, columns, optimize=True)
    canvas = np.zeros((3, size, size))
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    canvas[:, top : top + inner[0], left : left + inner[1]] = picture
    return canvas * 2 - 1


def bilinear(source: int, target: int) -> Array:
    """The matrix [target, source] of linear interpolation, clamped at the edges."""
    matrix = np.zeros((target, source))
    for i in range(target):
        at = min(max((i + 0.5) * source / target - 0.5, 0.0), source - 1.0)
        low = int(at)
        matrix[i, low] += 1 - (at - low)
        matrix[i, min(low + 1, source - 1)] += at - low
    return matrix


def rms_norm(x: Array, weight: Array) -> Array:
    normed: Array = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * weight
    return normed


def silu(x: Array) -> Array:
    activated: Array = x / (1 + np.exp(-x))
    return activated


def gelu_tanh(x: Array) -> Array:
    activated: Array = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return activated


def rope(x: Array, positions: Array) -> Array:
    """Rotate the pair (x[i], x[i + D/2]) of every token by position * 10000^(-2i/D)."""
    half = x.shape[1] // 2
    angles = positions[:, None] * 10000.0 ** (-2 * np.arange(half) / x.shape[1])
    left, right = x[:, :half], x[:, half:]
    return np.concatenate(
        [left * np.cos(angles) - right * np.sin(angles), right * np.cos(angles) + left * np.sin(angles)], axis=1
    )


def attend(query: Array, key: Array, value: Array, visible: Array) -> Array:
    """One head; `visible` [queries, keys]."""
    scores = np.where(visible, query @ key.T / math.sqrt(query.shape[1]), -1e9)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    mixed: Array = weights / weights.sum(1, keepdims=True) @ value
    return mixed
