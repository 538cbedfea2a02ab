"""How a checkpoint's instruction becomes tokens, as reflex_config.json says it to whoever serves the policy."""

from __future__ import annotations

from typing import Final

from reflex.policy_config import PromptConfig, StateBinsConfig
from reflex_export.checkpoint import Checkpoint, Normalizer

__all__ = ["prompt_config", "state_bins_config"]

STATE_TEMPLATE: Final = "Task: {instruction}, State: {state};\nAction: "
"""lerobot's pi05 processor (facts: vla-numerics, section 3)."""
_BOUNDS: Final = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}


def prompt_config(checkpoint: Checkpoint) -> PromptConfig | None:
    """None for a family that takes no instruction."""
    text = checkpoint.text
    if text is None:
        return None
    is_state_in_text = checkpoint.family == "pi05"
    return PromptConfig(
        style="state_bins" if is_state_in_text else "newline",
        template=STATE_TEMPLATE if is_state_in_text else "{instruction}",
        max_tokens=text.max_tokens,
        padding_side=text.padding_side,
        truncation_side=text.truncation_side,
        pad_id=text.pad_id,
        state_bins=state_bins_config(checkpoint.state) if is_state_in_text else None,
    )


def state_bins_config(normalizer: Normalizer) -> StateBinsConfig:
    """The state's normalisation, as the prompt needs it."""
    statistics = normalizer.statistics
    if normalizer.mode == "IDENTITY" or not statistics:
        return StateBinsConfig(mode="IDENTITY", eps=normalizer.eps)
    low, high = (tuple(float(value) for value in statistics[name]) for name in _BOUNDS[normalizer.mode])
    return StateBinsConfig(mode=normalizer.mode, low=low, high=high, eps=normalizer.eps)
