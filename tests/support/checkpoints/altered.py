"""The same checkpoint with something other than it should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reflex_export.checkpoint import Checkpoint
from support.checkpoints.golden import Array, ArrayTensors

__all__ = ["tensors_of", "with_doubled_tensor", "with_feature", "with_tensors", "without_tensor"]


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


def with_feature(checkpoint: Checkpoint, feature: str) -> Checkpoint:
    """Its config names a further input."""
    features = {**checkpoint.config["input_features"], feature: {}}
    return replace(checkpoint, config={**checkpoint.config, "input_features": features})
