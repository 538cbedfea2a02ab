"""The factors of reverse diffusion: from a trajectory of noise, step by step, to one of actions.

Everything is a constant of the step, computed in float32 as diffusers computes it, so that rounding is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from reflex_export.graph.graph import Array

__all__ = ["BETA_SCHEDULES", "SCHEDULERS", "ReverseStep", "reverse_steps"]

SCHEDULERS: Final = ("DDPM", "DDIM")
BETA_SCHEDULES: Final = ("squaredcos_cap_v2", "linear", "scaled_linear")
MAX_BETA: Final = 0.999
COSINE_OFFSET: Final = 0.008
MIN_VARIANCE: Final = 1e-20
_NOTHING: Final = np.float32(0)


@dataclass(frozen=True)
class ReverseStep:
    """One step from x_t to the step before, as factors; each is a float32, rounded where diffusers rounds.

    x_t is signal * x_0 + noise * eps; the network's answer is eps or x_0, which gives the other. The step before is
    the sum of what the `from_` factors take of x_0 (clipped), of x_t, of eps, and of newly drawn noise.
    """

    timestep: int
    signal: np.float32
    noise: np.float32
    from_origin: np.float32
    from_current: np.float32 = _NOTHING
    from_eps: np.float32 = _NOTHING
    from_noise: np.float32 = _NOTHING


def reverse_steps(
    scheduler: str, steps: int, *, train_steps: int, beta_schedule: str, beta_start: float, beta_end: float
) -> tuple[ReverseStep, ...]:
    """`steps` of the `train_steps` of training, evenly spaced down to 0, as diffusers' DDPM or DDIM takes them."""
    alphas = _cumulative_alphas(beta_schedule, train_steps, beta_start, beta_end)
    spacing = train_steps // steps
    make = _ddpm_step if scheduler == "DDPM" else _ddim_step
    return tuple(make(alphas, spacing * index, spacing) for index in reversed(range(steps)))


def _ddpm_step(alphas: Array, timestep: int, spacing: int) -> ReverseStep:
    """With variance_type fixed_small; formulas (7) of the DDPM paper."""
    now, before = alphas[timestep], alphas[timestep - spacing] if timestep else np.float32(1)
    # In float32 as in training: 1 - ratio loses digits, and the same ones must be lost here.
    ratio = now / before
    beta = 1 - ratio
    variance = max((1 - before) / (1 - now) * beta, np.float32(MIN_VARIANCE))
    return ReverseStep(
        timestep=timestep,
        signal=np.sqrt(now),
        noise=np.sqrt(1 - now),
        from_origin=np.sqrt(before) * beta / (1 - now),
        from_current=np.sqrt(ratio) * (1 - before) / (1 - now),
        from_noise=np.sqrt(variance) if timestep else _NOTHING,
    )


def _ddim_step(alphas: Array, timestep: int, spacing: int) -> ReverseStep:
    """With eta 0; formula (12) of the DDIM paper."""
    now, before = alphas[timestep], alphas[timestep - spacing] if timestep else np.float32(1)
    return ReverseStep(
        timestep=timestep,
        signal=np.sqrt(now),
        noise=np.sqrt(1 - now),
        from_origin=np.sqrt(before),
        from_eps=np.sqrt(1 - before),
    )


def _cumulative_alphas(beta_schedule: str, count: int, start: float, end: float) -> Array:
    """The signal's share of the variance after each training step, float32."""
    kept: Array = np.float32(1) - _betas(beta_schedule, count, start, end).astype(np.float32)
    alphas: Array = np.cumprod(kept.astype(np.float64)).astype(np.float32)
    return alphas


def _betas(schedule: str, count: int, start: float, end: float) -> Array:
    """The variance of the noise that each training step adds."""
    if schedule == "linear":
        return np.linspace(start, end, count)
    if schedule == "scaled_linear":
        roots: Array = np.linspace(start**0.5, end**0.5, count)
        return roots**2
    angles = (np.arange(count + 1) / count + COSINE_OFFSET) / (1 + COSINE_OFFSET) * np.pi / 2
    kept: Array = np.cos(angles) ** 2
    betas: Array = np.minimum(1 - kept[1:] / kept[:-1], MAX_BETA)
    return betas
