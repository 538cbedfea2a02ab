"""How normalised actions become robot units, as reflex_config.json says it: what a server needs to go back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reflex.policy_config import ActionSpaceConfig
from reflex_export.blocks.aloha import aloha_action_affine
from reflex_export.checkpoint import NEEDED, Checkpoint, Normalizer
from reflex_export.configs.smolvla import SmolVlaConfig
from reflex_export.normalization_table import never_moved

__all__ = ["action_space"]

Axes = npt.NDArray[np.float64]


def action_space(checkpoint: Checkpoint) -> ActionSpaceConfig:
    """Of every axis; what the denoise graph does to `actions_normalized` is affine in every family."""
    scale, offset = _unnormalized(checkpoint.action, checkpoint.action_dim)
    still = _still(checkpoint.action, checkpoint.action_dim)
    before_scale, before_offset = _before_normalizer(checkpoint)
    relative = checkpoint.relative_actions.mask if checkpoint.relative_actions else (False,) * checkpoint.action_dim
    moves = scale != 0
    return ActionSpaceConfig(
        scale=_floats(scale * before_scale),
        offset=_floats(scale * before_offset + offset),
        still=_floats(np.where(moves, 0.0, (still - before_offset) / before_scale)),
        relative=tuple(relative),
    )


def _before_normalizer(checkpoint: Checkpoint) -> tuple[Axes, Axes]:
    """What a graph does to its chunk before it unnormalises: Aloha's joints and grippers, and nothing else."""
    if isinstance(checkpoint.config, SmolVlaConfig) and checkpoint.config.adapt_to_pi_aloha:
        return aloha_action_affine(checkpoint.action_dim)
    return np.ones(checkpoint.action_dim), np.zeros(checkpoint.action_dim)


def _unnormalized(normalizer: Normalizer, width: int) -> tuple[Axes, Axes]:
    """Scale and offset of the inverse in `Normalizer`; a scale of 0 where there is no spread to divide by."""
    needed = [normalizer.statistics[name].astype(np.float64) for name in NEEDED[normalizer.mode]]
    if not needed:
        return np.ones(width), np.zeros(width)
    if normalizer.mode == "MEAN_STD":
        scale, offset = needed[1].copy(), needed[0]
    else:
        scale, offset = (needed[1] - needed[0]) / 2.0, (needed[1] + needed[0]) / 2.0
    scale[list(never_moved(normalizer))] = 0.0
    return scale, offset


def _still(normalizer: Normalizer, width: int) -> Axes:
    """What training saw of an axis with one value: the mean is 0, the lower bound -1."""
    return np.full(width, 0.0 if normalizer.mode in ("MEAN_STD", "IDENTITY") else -1.0)


def _floats(axes: Axes) -> tuple[float, ...]:
    return tuple(float(value) for value in axes)
