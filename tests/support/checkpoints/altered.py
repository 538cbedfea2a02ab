"""The same checkpoint with something other than it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from reflex_export.checkpoint import Checkpoint
from reflex_export.configs import parse_config
from support.checkpoints.golden import Array, ArrayTensors, golden_checkpoint

__all__ = [
    "one_weight_of",
    "options_of",
    "tensors_of",
    "with_doubled_tensor",
    "with_options",
    "with_tensors",
    "without_tensor",
]


def tensors_of(checkpoint: Checkpoint) -> dict[str, Array]:
    return {name: checkpoint.tensors.load(name) for name in checkpoint.tensors.names()}


def with_tensors(checkpoint: Checkpoint, tensors: dict[str, Array]) -> Checkpoint:
    return replace(checkpoint, tensors=ArrayTensors(tensors))


def with_doubled_tensor(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """One tensor is twice as long along its last axis."""
    tensors = tensors_of(checkpoint)
    return with_tensors(checkpoint, tensors | {name: np.concatenate([tensors[name], tensors[name]], axis=-1)})


def without_tensor(checkpoint: Checkpoint, name: str) -> Checkpoint:
    return with_tensors(checkpoint, {one: tensor for one, tensor in tensors_of(checkpoint).items() if one != name})


def options_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """As config.json would have them."""
    return checkpoint.config.model_dump(exclude_none=True)


def with_options(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """Its config.json says something else; None leaves an option out."""
    written = {**options_of(checkpoint), **changes}
    return replace(checkpoint, config=parse_config(checkpoint.family, written))


def one_weight_of(part: str) -> Callable[[Array], Array]:
    """Changes one weight of a projection where layer 1 of the recorded SmolVLA's encoder has them merged."""
    tensors, layer = (
        golden_checkpoint("smolvla").tensors,
        "model.vlm_with_expert.vlm.model.text_model.layers.1.self_attn",
    )
    parts = ("q_proj", "k_proj", "v_proj")
    row = sum(tensors.shape(f"{layer}.{one}.weight")[0] for one in parts[: parts.index(part)])

    def change(merged: Array) -> Array:
        merged[row, 0] += 10.0
        return merged

    return change
