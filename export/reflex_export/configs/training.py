"""The keys of config.json that no inference reads, and those that are read elsewhere than in a family's options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["TRAINING", "is_training", "without_training"]

READ_ELSEWHERE: Final = frozenset({"type", "input_features", "output_features", "normalization_mapping", "use_peft"})
"""Features, statistics and adapters have readers of their own."""
TRAINING: Final = (
    # Where and how a run computes, and where it is published.
    r"device|dtype|use_amp|compile_model|compile_mode|gradient_checkpointing|attention_implementation|use_cache",
    r"push_to_hub|repo_id|private|tags|license|pretrained_path|pretrained_revision|pretrained_backbone_weights",
    # How it learns.
    r"(optimizer|scheduler|lora|peft)_\w+|dropout|kl_weight|drop_n_last_frames|do_mask_loss_for_padding|crop_is_random",
    r"(freeze|fine_tune)_vision_encoder|vision_encoder_lr_multiplier|train_(expert_only|state_proj)|load_vlm_weights",
    r"time_sampling_(beta_alpha|beta_beta|scale|offset)|loss_\w+",
    # ACT's VAE encodes the actions that are to be learnt; without them the latent is zero.
    r"use_vae|latent_dim|n_vae_encoder_layers",
    # Sizes that the weights say.
    r"paligemma_variant|action_expert_variant|proj_width|use_separate_rgb_encoder_per_camera",
    # A prefix is always padded here, and nothing attends to padding.
    r"prefix_length|pad_language_to",
    # Chosen by each request, not by the checkpoint.
    r"rtc_config",
    # Read only by what is refused where it is on.
    r"memory_(frames|stride|temporal_attention_every)",
)
"""Patterns of whole names."""
_TRAINING: Final = re.compile("|".join(TRAINING))


def is_training(key: str) -> bool:
    """Whether a key of config.json cannot change what a trained policy computes."""
    return _TRAINING.fullmatch(key) is not None


def without_training(written: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that the options of a family must account for."""
    return {key: value for key, value in written.items() if key not in READ_ELSEWHERE and not is_training(key)}
