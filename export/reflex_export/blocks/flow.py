"""The numbers of flow-matching Euler integration: from noise at t = 1 down to actions at t = 0."""

from __future__ import annotations

import numpy as np

from reflex_export.graph.graph import Array

__all__ = ["euler_times", "sinusoidal_embedding"]


def euler_times(steps: int) -> Array:
    """The times [steps] at which the velocity is evaluated, float32: 1, 1 - 1/steps, ..., 1/steps."""
    step_size = -1.0 / steps
    return np.array([1.0 + step * step_size for step in range(steps)], np.float32)


def sinusoidal_embedding(times: Array, width: int, min_period: float, max_period: float) -> Array:
    """[sin | cos] of `times` at width/2 geometrically spaced periods: [steps, width], computed in float64."""
    fraction = np.linspace(0.0, 1.0, width // 2)
    period = min_period * (max_period / min_period) ** fraction
    angles = times.astype(np.float64)[:, None] * (2 * np.pi / period)
    embedding: Array = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
    return embedding
