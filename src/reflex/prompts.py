"""The text of a policy's prompt: one place for whoever serves a policy and whoever checks an export.

The rules are lerobot's, and `PromptConfig` says which of them a policy was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reflex.policy_config import PromptConfig, StateBinsConfig

__all__ = ["normalized_state", "prompt_text", "state_bins"]


def prompt_text(config: PromptConfig, instruction: str, state: Sequence[float]) -> str:
    """What is tokenised. `state` [state_dim] is in robot units, and read only where the prompt spells it."""
    if config.style == "newline":
        return instruction if instruction.endswith("\n") else f"{instruction}\n"
    if config.state_bins is None:
        return config.template.replace("{instruction}", instruction)
    words = instruction.strip().replace("_", " ").replace("\n", " ")
    bins = " ".join(map(str, state_bins(config.state_bins, state)))
    # The state first: an instruction that spells `{state}` stays what it is.
    return config.template.replace("{state}", bins).replace("{instruction}", words)


def state_bins(config: StateBinsConfig, state: Sequence[float]) -> list[int]:
    """One bin per entry: 0..255 over -1..1, below is -1, and everything from 1 - 1/128 up is 255.

    Checkpoints of lerobot before 0.5.1 were trained with the state padded by zeros, which no checkpoint records.
    """
    edges = np.linspace(-1, 1, config.bins + 1)[:-1]
    bins: list[int] = (np.digitize(normalized_state(config, state), edges) - 1).tolist()
    return bins


def normalized_state(config: StateBinsConfig, state: Sequence[float]) -> npt.NDArray[np.float32]:
    """The state as the bins see it: float32 arithmetic, not clipped, not padded."""
    raw = np.asarray(state, np.float32)
    low, high = np.asarray(config.low, np.float32), np.asarray(config.high, np.float32)
    eps = np.float32(config.eps)
    if config.mode == "IDENTITY" or not config.low:
        return raw
    if config.mode == "MEAN_STD":
        standardized: npt.NDArray[np.float32] = (raw - low) / (high + eps)
        return standardized
    extent = np.where(high == low, eps, high - low)
    scaled: npt.NDArray[np.float32] = np.float32(2.0) * (raw - low) / extent - np.float32(1.0)
    return scaled
