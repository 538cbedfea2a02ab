"""Every tensor that a flow-matching policy's graphs read, with its shape; checked before any graph is built.

A shape is written in letters, one per size of the architecture. Sizes that the config fixes are bound first, the others
by the first tensor that has them; a tensor that disagrees with either is refused by name. Only live tensors are listed:
no `lm_head`, no final norm of the prefix, and of its last layer no more than keys and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from reflex.wording.nouns import counted
from reflex_export.checkpoint import LAYER_NUMBER, Family, TensorSource
from reflex_export.configs import FamilyConfig
from reflex_export.configs.smolvla import SmolVlaConfig
from reflex_export.configs.vla import VlaConfig
from reflex_export.configs.vlm import VlmConfig
from reflex_export.errors import CheckpointError, MissingTensorError, TensorShapeError

__all__ = ["check_layout", "embedding_name", "embedding_names", "live_tensors", "stored_name"]

Shape = tuple[str | int, ...]
"""Letters for sizes of the architecture; `2E` is twice E."""

_PREFIX: Final = "model."
_SMOL_VLM: Final = "vlm_with_expert.vlm.model."
_SMOL_EXPERT: Final = "vlm_with_expert.lm_expert."
_PALIGEMMA: Final = "paligemma_with_expert.paligemma.model."
_GEMMA_EXPERT: Final = "paligemma_with_expert.gemma_expert.model."
_EMBEDDINGS: Final[Mapping[Family, tuple[str, ...]]] = {
    "smolvla": (f"{_SMOL_VLM}text_model.embed_tokens.weight",),
    "pi0": (f"{_PALIGEMMA}language_model.embed_tokens.weight", "paligemma_with_expert.paligemma.lm_head.weight"),
    "pi05": (f"{_PALIGEMMA}language_model.embed_tokens.weight", "paligemma_with_expert.paligemma.lm_head.weight"),
}
"""The published base files of pi hold the embedding only under the head's name, to which it is tied."""
_RENAMED: Final = (("time_mlp_", "action_time_mlp_"), ("action_time_mlp_", "time_mlp_"))
"""lerobot reads either name for the time MLP of pi0 and pi0.5."""


def embedding_names(family: Family) -> tuple[str, ...]:
    """Every name that a file may give to the text embedding, the current one first; none without text."""
    return _EMBEDDINGS.get(family, ())


def embedding_name(family: Family, tensors: TensorSource) -> str:
    """The text embedding [vocabulary, width] by the name that the file gives it."""
    for name in _EMBEDDINGS[family]:
        found = stored_name(tensors.names(), name)
        if found is not None:
            return found
    raise MissingTensorError(f"the checkpoint has no {_EMBEDDINGS[family][0]}, the text embedding; fetch it again")


def check_layout(family: Family, config: VlaConfig, vlm: VlmConfig | None, tensors: TensorSource) -> None:
    """Every live tensor is there and agrees in shape with the config and the others."""
    names = tensors.names()
    sizes = _known_sizes(config, vlm)
    origin = dict.fromkeys(sizes, "the config")
    embedding = embedding_name(family, tensors)
    _bind(embedding, tensors.shape(embedding), ("V", "W"), sizes, origin)
    for name, shape in live_tensors(family, config, names):
        found = stored_name(names, name)
        if found is None:
            raise MissingTensorError(f"the checkpoint has no tensor {name}; it is incomplete, so fetch it again")
        _bind(found, tensors.shape(found), shape, sizes, origin)


def live_tensors(family: Family, config: FamilyConfig, names: frozenset[str]) -> Iterator[tuple[str, Shape]]:
    """Names without the optional `model.` prefix; the text embedding is left out. Depths are counted in `names`."""
    vision = f"{_SMOL_VLM}vision_model." if family == "smolvla" else f"{_PALIGEMMA}vision_tower.vision_model."
    yield from _vision(vision, _depth(names, f"{vision}encoder.layers."))
    if isinstance(config, SmolVlaConfig):
        yield f"{_SMOL_VLM}connector.modality_projection.proj.weight", ("W", "X")
        yield from _smolvla_layers(config, names)
    else:
        yield from _linear(f"{_PALIGEMMA}multi_modal_projector.linear", "W", "C")
        yield from _pi_layers(family, names)
    yield from _heads(family)


def _known_sizes(config: VlaConfig, vlm: VlmConfig | None) -> dict[str, int]:
    sizes = {"A": config.max_action_dim, "S": config.max_state_dim}
    if not isinstance(config, SmolVlaConfig) or vlm is None:
        return sizes
    text, vision = vlm.text, vlm.vision
    return {
        **sizes,
        "W": text.hidden_size,
        "Q": text.num_attention_heads * text.head_width,
        "K": text.kv_heads * text.head_width,
        "E": int(text.hidden_size * config.expert_width_multiplier),
        "C": vision.hidden_size,
        "X": vision.hidden_size * vlm.scale_factor**2,
    }


def _bind(name: str, actual: tuple[int, ...], shape: Shape, sizes: dict[str, int], origin: dict[str, str]) -> None:
    if len(actual) != len(shape):
        raise TensorShapeError(f"{name} has the shape {list(actual)}, but must have {counted(len(shape), 'dimension')}")
    if 0 in actual:
        raise TensorShapeError(f"{name} has the shape {list(actual)}, which holds no weights; fetch them again")
    for size, symbol in zip(actual, shape, strict=True):
        factor, letter = _split(symbol)
        if letter and letter not in sizes and size % factor == 0:
            sizes[letter], origin[letter] = size // factor, name
        wanted = factor * sizes.get(letter, 1)
        if size != wanted:
            raise TensorShapeError(
                f"{name} has the shape {list(actual)}, but {origin.get(letter, 'the architecture')} asks for {wanted} "
                f"where it has {size}; config and weights are not of the same policy, so fetch both again"
            )


def _split(symbol: str | int) -> tuple[int, str]:
    if isinstance(symbol, int):
        return symbol, ""
    return int(symbol[:-1] or 1), symbol[-1]


def stored_name(names: frozenset[str], name: str) -> str | None:
    """The name in the file: with or without `model.`, or by another name that lerobot knows."""
    renamed = [name.replace(old, new, 1) for old, new in _RENAMED if name.startswith(old)]
    candidates = [prefix + candidate for candidate in (name, *renamed) for prefix in (_PREFIX, "")]
    return next((candidate for candidate in candidates if candidate in names), None)


def _depth(names: frozenset[str], stem: str) -> int:
    """One more than the highest layer number under `stem`."""
    pattern = re.compile(rf"(?:{re.escape(_PREFIX)})?{re.escape(stem)}({LAYER_NUMBER})\.")
    numbers = [int(match[1]) for match in map(pattern.match, names) if match]
    if not numbers:
        raise MissingTensorError(
            f"the checkpoint has no tensors {stem}*; it is incomplete or was saved by "
            "an old lerobot: fetch it again, or load and save it with a current one"
        )
    return max(numbers) + 1


def _linear(name: str, out: str, into: str) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _vision(stem: str, depth: int) -> Iterator[tuple[str, Shape]]:
    yield f"{stem}embeddings.patch_embedding.weight", ("C", 3, "P", "P")
    yield f"{stem}embeddings.patch_embedding.bias", ("C",)
    yield f"{stem}embeddings.position_embedding.weight", ("N", "C")
    for layer in range(depth):
        name = f"{stem}encoder.layers.{layer}."
        for norm in ("layer_norm1", "layer_norm2"):
            yield f"{name}{norm}.weight", ("C",)
            yield f"{name}{norm}.bias", ("C",)
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{name}self_attn.{projection}", "C", "C")
        yield from _linear(f"{name}mlp.fc1", "D", "C")
        yield from _linear(f"{name}mlp.fc2", "C", "D")
    yield f"{stem}post_layernorm.weight", ("C",)
    yield f"{stem}post_layernorm.bias", ("C",)


def _keys_and_values(name: str, into: str) -> Iterator[tuple[str, Shape]]:
    yield f"{name}self_attn.k_proj.weight", ("K", into)
    yield f"{name}self_attn.v_proj.weight", ("K", into)


def _rest_of_layer(name: str, width: str, mlp: str) -> Iterator[tuple[str, Shape]]:
    yield f"{name}self_attn.q_proj.weight", ("Q", width)
    yield f"{name}self_attn.o_proj.weight", (width, "Q")
    yield f"{name}mlp.gate_proj.weight", (mlp, width)
    yield f"{name}mlp.up_proj.weight", (mlp, width)
    yield f"{name}mlp.down_proj.weight", (width, mlp)


def _prefix_layers(stem: str, depth: int) -> Iterator[tuple[str, Shape]]:
    for layer in range(depth):
        name = f"{stem}{layer}."
        yield f"{name}input_layernorm.weight", ("W",)
        yield from _keys_and_values(name, "W")
        if layer < depth - 1:
            yield f"{name}post_attention_layernorm.weight", ("W",)
            yield from _rest_of_layer(name, "W", "F")


def _smolvla_layers(config: SmolVlaConfig, names: frozenset[str]) -> Iterator[tuple[str, Shape]]:
    prefix, expert = f"{_SMOL_VLM}text_model.layers.", f"{_SMOL_EXPERT}layers."
    asked = config.num_vlm_layers
    yield from _prefix_layers(prefix, asked if asked > 0 else _depth(names, prefix))
    every, is_crossing = config.self_attn_every_n_layers, config.attention_mode == "cross_attn"
    for layer in range(_depth(names, expert)):
        name = f"{expert}{layer}."
        is_cross = is_crossing and not (every > 0 and layer % every == 0)
        yield from _keys_and_values(name, "K" if is_cross else "E")
        yield f"{name}input_layernorm.weight", ("E",)
        yield f"{name}post_attention_layernorm.weight", ("E",)
        yield from _rest_of_layer(name, "E", "G")
    yield f"{_SMOL_EXPERT}norm.weight", ("E",)


def _pi_layers(family: Family, names: frozenset[str]) -> Iterator[tuple[str, Shape]]:
    prefix, expert = f"{_PALIGEMMA}language_model.layers.", f"{_GEMMA_EXPERT}layers."
    depth = _depth(names, prefix)
    if depth != _depth(names, expert):
        raise CheckpointError(
            f"the expert has {_depth(names, expert)} layers, the VLM {depth}; fetch the weights again"
        )
    yield from _prefix_layers(prefix, depth)
    for layer in range(depth):
        name = f"{expert}{layer}."
        yield from _keys_and_values(name, "E")
        yield from _rest_of_layer(name, "E", "G")
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield from _expert_norm(family, f"{name}{norm}")
    yield from _expert_norm(family, f"{_GEMMA_EXPERT}norm")


def _expert_norm(family: Family, name: str) -> Iterator[tuple[str, Shape]]:
    if family == "pi05":
        yield from _linear(f"{name}.dense", "3E", "E")
    else:
        yield f"{name}.weight", ("E",)


def _heads(family: Family) -> Iterator[tuple[str, Shape]]:
    yield from _linear("action_in_proj", "E", "A")
    yield from _linear("action_out_proj", "A", "E")
    if family == "pi05":
        yield from _linear("time_mlp_in", "E", "E")
        yield from _linear("time_mlp_out", "E", "E")
        return
    yield from _linear("action_time_mlp_in", "E", "2E")
    yield from _linear("action_time_mlp_out", "E", "E")
    yield from _linear("state_proj", "W" if family == "smolvla" else "E", "S")
