"""Observations like those of training, made from nothing but the checkpoint: for canaries and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from reflex.policy_config import PolicyConfig, TensorConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.graph.graph import Array

__all__ = ["typical_inputs", "varied_inputs"]

PROMPT_TOKENS: Final = 8
STATE_SPREAD: Final = 0.5
"""Of the way from the middle to the statistics' bounds, or of a deviation."""


def typical_inputs(wanted: Sequence[TensorConfig], checkpoint: Checkpoint, seed: int = 0) -> dict[str, Array]:
    """Smooth pictures, a state in the middle, a short instruction; other pictures, words and noise for each seed.

    Inputs of this policy's ensemble, with a batch axis of one.
    """
    random = np.random.RandomState(seed)
    sizes = {camera.name: camera.shape[1:] for camera in checkpoint.cameras}
    middle, _ = _state_range(checkpoint)
    inputs: dict[str, Array] = {}
    for tensor in wanted:
        if tensor.name.startswith("image."):
            array = _picture(random, *sizes[tensor.name.removeprefix("image.")])
            array = np.broadcast_to(array, (*tensor.shape[:-3], *array.shape)).copy()
        else:
            array = _generated(tensor, random, middle, _vocabulary(checkpoint))
        inputs[tensor.name] = array[None]
    return inputs


def varied_inputs(config: PolicyConfig, checkpoint: Checkpoint) -> Iterator[tuple[str, dict[str, Array]]]:
    """Named observations around the typical one: other states, prompts of 1 token to all, cameras that are missing."""
    for seed, tokens in enumerate(_prompt_lengths(checkpoint)):
        inputs = _varied(config, checkpoint, seed, tokens)
        yield f"observation {seed}" + (f", {tokens} tokens" if checkpoint.text else ""), inputs
    optional = [index for index, camera in enumerate(config.cameras) if not camera.required]
    for index in optional if any(tensor.name == "camera_mask" for tensor in config.inputs) else ():
        name = config.cameras[index].name
        inputs = _varied(config, checkpoint, len(config.cameras) + index, PROMPT_TOKENS)
        inputs["camera_mask"][:, index] = False
        inputs[f"image.{name}"][...] = 0
        yield f"observation without {name}", inputs


def _prompt_lengths(checkpoint: Checkpoint) -> tuple[int, ...]:
    """Of the observations, which are four, also where there is no prompt."""
    longest = checkpoint.text.max_tokens if checkpoint.text else PROMPT_TOKENS
    return (min(PROMPT_TOKENS, longest), 1, max(1, longest // 2), longest)


def _varied(config: PolicyConfig, checkpoint: Checkpoint, seed: int, tokens: int) -> dict[str, Array]:
    inputs = typical_inputs(config.inputs, checkpoint, seed)
    if "state" in inputs:
        _, spread = _state_range(checkpoint)
        way = np.random.RandomState(seed).uniform(-STATE_SPREAD, STATE_SPREAD, inputs["state"].shape)
        inputs["state"] = (inputs["state"] + way * spread).astype(np.float32)
    if checkpoint.text is not None and "token_mask" in inputs:
        mask = np.arange(checkpoint.text.max_tokens) < tokens
        mask = mask[::-1] if checkpoint.text.padding_side == "left" else mask
        inputs["token_mask"] = mask[None].copy()
        inputs["tokens"] = np.where(mask, inputs["tokens"], checkpoint.text.pad_id)
    return inputs


def _state_range(checkpoint: Checkpoint) -> tuple[Array, Array]:
    """The middle of the states of training, and how far they reach from there; zeros where no statistics say."""
    statistics = checkpoint.state.statistics
    if "mean" in statistics and "std" in statistics:
        return statistics["mean"], statistics["std"]
    for low, high in (("q01", "q99"), ("min", "max"), ("q10", "q90")):
        if low in statistics and high in statistics:
            middle = (statistics[low] + statistics[high]) / np.float32(2)
            return middle, (statistics[high] - statistics[low]) / np.float32(2)
    return np.zeros(checkpoint.state_dim, np.float32), np.zeros(checkpoint.state_dim, np.float32)


def _vocabulary(checkpoint: Checkpoint) -> int:
    return int(Tokenizer.from_str(checkpoint.text.tokenizer_json).get_vocab_size()) if checkpoint.text else 1


def _picture(random: np.random.RandomState, height: int, width: int) -> Array:
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(5 * x + k + random.rand()) * np.cos(4 * y + random.rand()) * 100 + 128 for k in range(3)]
    picture: Array = np.stack(waves, axis=2).clip(0, 255).astype(np.uint8)
    return picture


def _generated(tensor: TensorConfig, random: np.random.RandomState, state: Array, vocabulary: int) -> Array:
    match tensor.name:
        case "camera_mask":
            return np.ones(tensor.shape, np.bool_)
        case "state":
            return np.broadcast_to(state, tensor.shape).astype(np.float32)
        case "tokens":
            return random.randint(1, max(2, vocabulary), tensor.shape).astype(np.int64)
        case "token_mask":
            return np.arange(tensor.shape[0]) < min(PROMPT_TOKENS, tensor.shape[0])
        case "noise" | "step_noise":
            return random.standard_normal(tensor.shape).astype(np.float32)
        case _:
            return np.zeros(tensor.shape, np.float32)
