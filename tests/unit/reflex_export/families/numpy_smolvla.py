"""SmolVLA in NumPy, float64, one request at a time: written from the formulas, not from the graphs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from reflex_export.checkpoint import Checkpoint
from support.checkpoints.altered import options_of

Array = npt.NDArray[Any]


class NumpySmolVla:
    """The policy of a checkpoint: images as a client has them, absent ones left out."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        assert checkpoint.vlm_config is not None
        self.checkpoint, self.config = checkpoint, options_of(checkpoint)
        self.vlm: Mapping[str, Any] = checkpoint.vlm_config.model_dump()
        self.text: Mapping[str, Any] = self.vlm["text"]
        names = checkpoint.tensors.names()
        self.w = {n.removeprefix("model."): checkpoint.tensors.load(n).astype(np.float64) for n in names}
        self.layers = self.config["num_vlm_layers"]
        self.expert_layers = self.config["num_expert_layers"] if self.config["num_expert_layers"] > 0 else self.layers

    def act(self, images: Mapping[str, Array], state: Array, tokens: Array, noise: Array, steps: int) -> Array:
        """`tokens` without padding; the chunk [T, action_dim] in robot units."""
        keys, values, length = self._prefill(self._prefix(images, state, tokens))
        x = noise.astype(np.float64)
        for step in range(steps):
            x = x - self._velocity(x, np.float32(1.0 - step / steps), keys, values, length) / steps
        chunk = x[:, : self.checkpoint.action_dim]
        if self.config["adapt_to_pi_aloha"]:
            chunk = _aloha_actions(chunk)
        statistics = self.checkpoint.action.statistics
        return chunk * statistics["std"].astype(np.float64) + statistics["mean"]

    def _prefix(self, images: Mapping[str, Array], state: Array, tokens: Array) -> tuple[Array, Array, Array]:
        """Embeddings, which are valid, and which start a new attention block: as long as this request needs."""
        parts: list[tuple[Array, bool, int]] = []
        present = [camera.name for camera in self.checkpoint.cameras if camera.name in images]
        absent = len(self.checkpoint.cameras) - len(present)
        start, end = self._special()
        for name in present:
            parts += [(start, True, 0), (self._image(images[name]), True, 0), (end, True, 0)]
        for _ in range(min(absent, self.config["empty_cameras"])):
            parts += [(start, True, 0), (np.zeros_like(parts[1][0]), False, 0), (end, True, 0)]
        table = self.w["vlm_with_expert.vlm.model.text_model.embed_tokens.weight"]
        parts += [(table[tokens] * math.sqrt(table.shape[1]), True, 0), (self._state(state), True, 1)]
        flags = [(np.full(len(p), valid), np.full(len(p), block)) for p, valid, block in parts]
        embeddings = np.concatenate([p for p, _, _ in parts])
        return embeddings, np.concatenate([v for v, _ in flags]), np.concatenate([b for _, b in flags])

    def _special(self) -> tuple[Array, Array]:
        table = self.w["vlm_with_expert.vlm.model.text_model.embed_tokens.weight"]
        if not self.config["add_image_special_tokens"]:
            return table[:0], table[:0]
        assert self.checkpoint.text is not None
        tokenizer = Tokenizer.from_str(self.checkpoint.text.tokenizer_json)
        start = [tokenizer.token_to_id(token) or 0 for token in ("<fake_token_around_image>", "<global-img>")]
        return table[start], table[start[:1]]

    def _state(self, state: Array) -> Array:
        statistics = self.checkpoint.state.statistics
        x = (state - statistics["mean"].astype(np.float64)) / (statistics["std"] + self.checkpoint.state.eps)
        if self.config["adapt_to_pi_aloha"]:
            x = _aloha_state(x)
        weight = self.w["state_proj.weight"]
        return (np.pad(x, (0, weight.shape[1] - len(x))) @ weight.T + self.w["state_proj.bias"])[None]

    def _image(self, image: Array) -> Array:
        pixels = letterbox(image, self.config["resize_imgs_with_padding"])
        name, vision = "vlm_with_expert.vlm.model.vision_model", self.vlm["vision"]
        kernel = self.w[f"{name}.embeddings.patch_embedding.weight"]
        size, rows = kernel.shape[-1], pixels.shape[1] // kernel.shape[-1]
        blocks = pixels.reshape(3, rows, size, rows, size).transpose(1, 3, 0, 2, 4).reshape(rows**2, -1)
        x = blocks @ kernel.reshape(len(kernel), -1).T + self.w[f"{name}.embeddings.patch_embedding.bias"]
        x = x + self._positions(self.w[f"{name}.embeddings.position_embedding.weight"], rows)
        for layer in range(
            sum(one.startswith(f"{name}.encoder.layers.") and one.endswith("fc1.bias") for one in self.w)
        ):
            x = self._vision_layer(x, f"{name}.encoder.layers.{layer}", vision["num_attention_heads"])
        x = self._layer_norm(x, f"{name}.post_layernorm").reshape(rows, rows, -1)
        factor = self.vlm["scale_factor"]
        tokens = [
            np.concatenate([x[r + dr, c + dc] for dr in range(factor) for dc in range(factor)])
            for r in range(0, rows, factor)
            for c in range(0, rows, factor)
        ]
        features = np.stack(tokens) @ self.w["vlm_with_expert.vlm.model.connector.modality_projection.proj.weight"].T
        scaled: Array = features * math.sqrt(features.shape[1])
        return scaled

    def _positions(self, table: Array, rows: int) -> Array:
        side = math.isqrt(len(table))
        picked = [min(side - 1, (index * side) // rows) for index in range(rows)]
        return np.stack([table[r * side + c] for r in picked for c in picked])

    def _vision_layer(self, x: Array, name: str, heads: int) -> Array:
        normed = self._layer_norm(x, f"{name}.layer_norm1")
        q, k, v = (_heads(self._linear(normed, f"{name}.self_attn.{p}_proj"), heads) for p in "qkv")
        everything = np.ones((len(x), len(x)), bool)
        x = x + self._linear(_attend(q, k, v, everything), f"{name}.self_attn.out_proj")
        inner = self._linear(self._layer_norm(x, f"{name}.layer_norm2"), f"{name}.mlp.fc1")
        gelu = 0.5 * inner * (1 + np.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
        return x + self._linear(gelu, f"{name}.mlp.fc2")

    def _prefill(self, prefix: tuple[Array, Array, Array]) -> tuple[list[Array], list[Array], int]:
        """Keys and values [G, valid, D] of each layer, and the number of valid tokens."""
        x, valid, blocks = prefix
        x, blocks = x[valid], np.cumsum(blocks[valid])
        visible = blocks[None, :] <= blocks[:, None]
        keys, values = [], []
        for layer in range(self.layers):
            name = f"vlm_with_expert.vlm.model.text_model.layers.{layer}"
            q, k, v = self._qkv(self._rms(x, f"{name}.input_layernorm"), name)
            q, k = _rotate(q, np.arange(len(x))), _rotate(k, np.arange(len(x)))
            keys.append(k)
            values.append(v)
            x = self._finish(x, _attend(q, k, v, visible), name)
        return keys, values, len(x)

    def _velocity(self, x: Array, time: Any, keys: list[Array], values: list[Array], length: int) -> Array:
        x = self._linear(x, "action_in_proj")
        sinusoid = self._sinusoid(float(time), x.shape[1])
        joined = np.concatenate([x, np.broadcast_to(sinusoid, x.shape)], axis=1)
        x = self._linear(_silu(self._linear(joined, "action_time_mlp_in")), "action_time_mlp_out")
        stride = self.layers // self.expert_layers
        for layer in range(0, self.layers, stride):
            name = f"vlm_with_expert.lm_expert.layers.{layer // stride}"
            normed = self._rms(x, f"{name}.input_layernorm")
            every = self.config["self_attn_every_n_layers"]
            attend = self._self_attention if every > 0 and layer % every == 0 else self._cross_attention
            x = self._finish(x, attend(normed, name, keys[layer], values[layer], length), name)
        return self._linear(self._rms(x, "vlm_with_expert.lm_expert.norm"), "action_out_proj")

    def _self_attention(self, normed: Array, name: str, key: Array, value: Array, length: int) -> Array:
        q, k, v = self._qkv(normed, name)
        positions = length + np.arange(len(normed))
        q, k = _rotate(q, positions), _rotate(k, positions)
        visible = np.concatenate([np.ones((len(normed), length), bool), np.tri(len(normed), dtype=bool)], axis=1)
        return _attend(q, np.concatenate([key, k], axis=1), np.concatenate([value, v], axis=1), visible)

    def _cross_attention(self, normed: Array, name: str, key: Array, value: Array, length: int) -> Array:
        q = _rotate(_heads(self._linear(normed, f"{name}.self_attn.q_proj"), self._head_count), np.arange(len(normed)))
        flat = (x.transpose(1, 0, 2).reshape(length, -1) for x in (key, value))
        k, v = (
            _heads(self._linear(x, f"{name}.self_attn.{p}_proj"), len(key)) for x, p in zip(flat, "kv", strict=True)
        )
        return _attend(q, k, v, np.ones((len(normed), length), bool))

    @property
    def _head_count(self) -> int:
        return int(self.text["num_attention_heads"])

    def _qkv(self, x: Array, name: str) -> tuple[Array, Array, Array]:
        counts = {"q": self._head_count, "k": self.text["num_key_value_heads"], "v": self.text["num_key_value_heads"]}
        q, k, v = (_heads(self._linear(x, f"{name}.self_attn.{p}_proj"), count) for p, count in counts.items())
        return q, k, v

    def _finish(self, x: Array, mixed: Array, name: str) -> Array:
        x = x + self._linear(mixed, f"{name}.self_attn.o_proj")
        normed = self._rms(x, f"{name}.post_attention_layernorm")
        gate = _silu(self._linear(normed, f"{name}.mlp.gate_proj"))
        return x + self._linear(gate * self._linear(normed, f"{name}.mlp.up_proj"), f"{name}.mlp.down_proj")

    def _linear(self, x: Array, name: str) -> Array:
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0.0)

    def _rms(self, x: Array, name: str) -> Array:
        root: Array = np.sqrt((x**2).mean(-1, keepdims=True) + self.text["rms_norm_eps"])
        return self.w[f"{name}.weight"] * x / root

    def _layer_norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def _sinusoid(self, time: float, width: int) -> Array:
        low, high = self.config["min_period"], self.config["max_period"]
        periods = low * (high / low) ** np.linspace(0, 1, width // 2)
        return np.concatenate([np.sin(time * 2 * np.pi / periods), np.cos(time * 2 * np.pi / periods)])


def letterbox(image: Array, size: tuple[int, int]) -> Array:
    """[h, w, 3] uint8 -> [3, H, W] in -1..1; `size` is (width, height), the picture lies bottom right."""
    width, height = size
    ratio = max(image.shape[1] / width, image.shape[0] / height)
    inner = int(image.shape[0] / ratio), int(image.shape[1] / ratio)
    picture = image.astype(np.float64) / 255
    for axis, after in enumerate(inner):
        before = picture.shape[axis]
        source = np.maximum((np.arange(after) + 0.5) * before / after - 0.5, 0)
        lower = np.floor(source).astype(int)
        upper = np.minimum(lower + 1, before - 1)
        share = (source - lower).reshape([-1 if a == axis else 1 for a in range(3)])
        picture = picture.take(lower, axis) * (1 - share) + picture.take(upper, axis) * share
    frame = np.zeros((height, width, 3))
    frame[height - inner[0] :, width - inner[1] :] = picture
    return (frame * 2 - 1).transpose(2, 0, 1)


def _silu(x: Array) -> Array:
    denominator: Array = 1 + np.exp(-x)
    return x / denominator


def _heads(x: Array, heads: int) -> Array:
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def _attend(q: Array, k: Array, v: Array, visible: Array) -> Array:
    group = len(q) // len(k)
    k, v = k.repeat(group, 0), v.repeat(group, 0)
    scores = np.where(visible, q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed: Array = weights / weights.sum(-1, keepdims=True) @ v
    return mixed.transpose(1, 0, 2).reshape(q.shape[1], -1)


def _rotate(x: Array, positions: Array) -> Array:
    half = x.shape[-1] // 2
    angles = positions[:, None] / 10_000.0 ** (np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def _aloha_state(state: Array) -> Array:
    out = state.copy()
    out[[1, 2, 8, 9]] *= -1
    linear = state[[6, 13]] * (0.05800 - 0.01844) + 0.01844
    angle = np.arcsin(np.clip((0.022**2 + linear**2 - 0.036**2) / (2 * 0.022 * linear), -1, 1))
    out[[6, 13]] = (angle - 0.4) / (1.5 - 0.4)
    return out


def _aloha_actions(actions: Array) -> Array:
    out = actions.copy()
    out[:, [1, 2, 8, 9]] *= -1
    out[:, [6, 13]] = (actions[:, [6, 13]] * (1.5 - 0.4) + 0.4 + 0.6213) / (1.4910 + 0.6213)
    return out
