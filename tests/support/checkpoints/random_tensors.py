"""The tensors of a random checkpoint: their names and shapes, their values, and the type in which a file keeps them.

Names and shapes are listed here by hand, apart from the product's own table, and a test holds them against the
recorded files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

from support.checkpoints.sizes import PiSizes, Sizes, SmolVlaSizes

__all__ = ["as_stored", "draw", "tensor_shapes"]

Array = npt.NDArray[Any]
Shapes = Iterator[tuple[str, tuple[int, ...]]]

SMOL_VLM: Final = "vlm_with_expert.vlm."
SMOL_EXPERT: Final = "vlm_with_expert.lm_expert."
PALIGEMMA: Final = "paligemma_with_expert.paligemma."
GEMMA_EXPERT: Final = "paligemma_with_expert.gemma_expert."
_FLOAT32_IN_MIXED_PI: Final = ("patch_embedding", "position_embedding", "layernorm", "model.norm")


def tensor_shapes(sizes: SmolVlaSizes | PiSizes) -> Shapes:
    """Every tensor of the checkpoint, dead ones too, by its whole name."""
    listed = _smolvla(sizes) if isinstance(sizes, SmolVlaSizes) else _pi(sizes)
    for name, shape in listed:
        yield sizes.prefix + name, shape


def draw(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> Array:
    """Values that keep activations of order one and attention away from uniform."""
    noise = random.standard_normal(shape)
    if len(shape) == 1:
        is_centred = name.endswith(".bias") or ("paligemma_with_expert" in name and "vision_tower" not in name)
        return np.asarray(0.1 * noise + (0.0 if is_centred else 1.0), np.float32)
    gain = 1.5 if ".self_attn." in name or "patch_embedding" in name else 1.0
    fan_in = 4.0 if "position_embedding" in name else float(np.prod(shape[1:]))
    return np.asarray(gain * noise / np.sqrt(fan_in), np.float32)


def as_stored(name: str, tensor: Array, sizes: SmolVlaSizes | PiSizes) -> Array:
    """The tensor in the type in which the file keeps it."""
    if sizes.storage == "float32" or (
        sizes.storage == "mixed" and _stays_float32(name.removeprefix(sizes.prefix), sizes)
    ):
        return tensor
    return tensor.astype(np.float16 if sizes.storage == "float16" else ml_dtypes.bfloat16)


def _linear(name: str, out: int, into: int) -> Shapes:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _vision(stem: str, s: Sizes) -> Shapes:
    width = s.vision_width
    yield f"{stem}embeddings.patch_embedding.weight", (width, 3, s.patch, s.patch)
    yield f"{stem}embeddings.patch_embedding.bias", (width,)
    yield f"{stem}embeddings.position_embedding.weight", ((s.image_size // s.patch) ** 2, width)
    for layer in range(s.vision_layers):
        name = f"{stem}encoder.layers.{layer}"
        for norm in ("layer_norm1", "layer_norm2"):
            yield f"{name}.{norm}.weight", (width,)
            yield f"{name}.{norm}.bias", (width,)
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{name}.self_attn.{projection}", width, width)
        yield from _linear(f"{name}.mlp.fc1", s.vision_mlp, width)
        yield from _linear(f"{name}.mlp.fc2", width, s.vision_mlp)
    yield f"{stem}post_layernorm.weight", (width,)
    yield f"{stem}post_layernorm.bias", (width,)


def _decoder_layer(name: str, s: Sizes, width: int, mlp: int, key_input: int | None = None) -> Shapes:
    """Everything but the norms. `key_input` is the width that keys and values are made from."""
    queries, keys = s.heads * s.head_dim, s.kv_heads * s.head_dim
    yield f"{name}.self_attn.q_proj.weight", (queries, width)
    yield f"{name}.self_attn.k_proj.weight", (keys, key_input or width)
    yield f"{name}.self_attn.v_proj.weight", (keys, key_input or width)
    yield f"{name}.self_attn.o_proj.weight", (width, queries)
    yield f"{name}.mlp.gate_proj.weight", (mlp, width)
    yield f"{name}.mlp.up_proj.weight", (mlp, width)
    yield f"{name}.mlp.down_proj.weight", (width, mlp)


def _norms(name: str, width: int) -> Shapes:
    yield f"{name}.input_layernorm.weight", (width,)
    yield f"{name}.post_attention_layernorm.weight", (width,)


def _smolvla(s: SmolVlaSizes) -> Shapes:
    text, expert = f"{SMOL_VLM}model.text_model", SMOL_EXPERT
    yield from _vision(f"{SMOL_VLM}model.vision_model.", s)
    yield f"{SMOL_VLM}model.connector.modality_projection.proj.weight", (s.width, s.vision_width * s.scale_factor**2)
    yield f"{text}.embed_tokens.weight", (s.vocabulary, s.width)
    yield f"{text}.norm.weight", (s.width,)
    yield f"{SMOL_VLM}lm_head.weight", (s.vocabulary, s.width)
    for layer in range(s.layers):
        yield from _decoder_layer(f"{text}.layers.{layer}", s, s.width, s.mlp)
        yield from _norms(f"{text}.layers.{layer}", s.width)
    for layer in range(s.num_expert_layers if s.num_expert_layers > 0 else s.layers):
        is_self = s.self_attn_every > 0 and layer % s.self_attn_every == 0
        key_input = s.expert_width if is_self else s.kv_heads * s.head_dim
        yield from _decoder_layer(f"{expert}layers.{layer}", s, s.expert_width, s.expert_mlp, key_input)
        yield from _norms(f"{expert}layers.{layer}", s.expert_width)
    yield f"{expert}norm.weight", (s.expert_width,)
    yield from _linear("state_proj", s.width, s.max_state_dim)
    yield from _action_heads(s, s.expert_width)
    yield from _time_heads("action_time_mlp", s.expert_width, 2 * s.expert_width)


def _pi(s: PiSizes) -> Shapes:
    language, expert = f"{PALIGEMMA}model.language_model", f"{GEMMA_EXPERT}model"
    yield from _vision(f"{PALIGEMMA}model.vision_tower.vision_model.", s)
    yield from _linear(f"{PALIGEMMA}model.multi_modal_projector.linear", s.width, s.vision_width)
    if s.prefix:
        yield f"{language}.embed_tokens.weight", (s.vocabulary, s.width)
    yield f"{PALIGEMMA}lm_head.weight", (s.vocabulary, s.width)
    yield f"{GEMMA_EXPERT}lm_head.weight", (s.vocabulary, s.expert_width)
    yield f"{language}.norm.weight", (s.width,)
    for layer in range(s.layers):
        yield from _decoder_layer(f"{language}.layers.{layer}", s, s.width, s.mlp)
        yield from _norms(f"{language}.layers.{layer}", s.width)
        yield from _decoder_layer(f"{expert}.layers.{layer}", s, s.expert_width, s.expert_mlp)
        yield from _expert_norm(f"{expert}.layers.{layer}.input_layernorm", s)
        yield from _expert_norm(f"{expert}.layers.{layer}.post_attention_layernorm", s)
    yield from _expert_norm(f"{expert}.norm", s)
    yield from _action_heads(s, s.expert_width)
    if s.family == "pi05":
        yield from _time_heads("time_mlp", s.expert_width, s.expert_width)
        return
    yield from _time_heads("action_time_mlp", s.expert_width, 2 * s.expert_width)
    yield from _linear("state_proj", s.expert_width, s.max_state_dim)


def _expert_norm(name: str, s: PiSizes) -> Shapes:
    if s.family == "pi05":
        yield from _linear(f"{name}.dense", 3 * s.expert_width, s.expert_width)
    else:
        yield f"{name}.weight", (s.expert_width,)


def _action_heads(s: Sizes, width: int) -> Shapes:
    yield from _linear("action_in_proj", width, s.max_action_dim)
    yield from _linear("action_out_proj", s.max_action_dim, width)


def _time_heads(stem: str, width: int, into: int) -> Shapes:
    yield from _linear(f"{stem}_in", width, into)
    yield from _linear(f"{stem}_out", width, width)


def _stays_float32(name: str, sizes: SmolVlaSizes | PiSizes) -> bool:
    if not name.startswith(("vlm_with_expert.", "paligemma_with_expert.")):
        return True
    if isinstance(sizes, PiSizes):
        return any(part in name for part in _FLOAT32_IN_MIXED_PI)
    if not name.startswith(f"{SMOL_EXPERT}layers.") or ("k_proj" not in name and "v_proj" not in name):
        return False
    layer = int(name.removeprefix(f"{SMOL_EXPERT}layers.").partition(".")[0])
    return sizes.self_attn_every <= 0 or layer % sizes.self_attn_every != 0
