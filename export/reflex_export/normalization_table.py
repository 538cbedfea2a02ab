"""How each input and output of a checkpoint is normalised, as reflex_config.json and `reflex inspect` say it."""

from __future__ import annotations

from typing import Final

import numpy as np

from reflex.policy_config import NormalizationConfig
from reflex_export.checkpoint import NEEDED, Checkpoint, Normalizer

__all__ = ["never_moved", "normalization_table"]

_LEAST_SPREAD: Final = 1e-6
"""In any unit: less is rounding."""


def normalization_table(checkpoint: Checkpoint) -> tuple[NormalizationConfig, ...]:
    """State, action, and each camera that a client sends."""
    normalizers = {"observation.state": checkpoint.state, "action": checkpoint.action}
    sent = [camera for camera in checkpoint.cameras if not camera.is_empty]
    normalizers |= {camera.key: checkpoint.images[camera.key] for camera in sent}
    return tuple(_row(feature, normalizer) for feature, normalizer in normalizers.items())


def _row(feature: str, normalizer: Normalizer) -> NormalizationConfig:
    replaced = f" (in place of {normalizer.replaces})" if normalizer.replaces else ""
    return NormalizationConfig(
        feature=feature,
        mode=normalizer.mode,
        statistics=NEEDED[normalizer.mode],
        origin=normalizer.origin + replaced,
        never_moved=never_moved(normalizer),
    )


def never_moved(normalizer: Normalizer) -> tuple[int, ...]:
    """The entries without a spread. Of images nothing is said: a black channel is no joint that stood still."""
    needed = [normalizer.statistics[name] for name in NEEDED[normalizer.mode]]
    if not needed or needed[0].ndim != 1:
        return ()
    spread = needed[1] if normalizer.mode == "MEAN_STD" else needed[1] - needed[0]
    return tuple(int(entry) for entry in np.flatnonzero(spread <= _LEAST_SPREAD))
