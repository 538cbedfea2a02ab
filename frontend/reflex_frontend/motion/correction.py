"""Correcting actions that latency made stale: when a head is followed, how far, and for which policies.

Step i of a chunk belongs to the moment i control periods after its observation. So the correction of an answer asks the
head for each step's own lead, and that of a rest counts from the state that came with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.correction.head import CorrectionHead
from reflex.errors import SetupError
from reflex.wire import A2c2Reason
from reflex_frontend.policy.policy import ServedPolicy

__all__ = ["Correction", "Corrector", "require_correctable", "why_unfit"]

Array = npt.NDArray[np.float32]

ALMOST: Final = 1e-6
"""Of a step: what is whole but for rounding is whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What became of one chunk."""

    actions: Array | None
    """None: it stays as it was, for the `reason`."""
    reason: A2c2Reason | None = None
    magnitude: float = 0.0
    """The largest change of an action, as a share of its axis' range."""


@dataclass(frozen=True, slots=True)
class Corrector:
    """One head, and how far it is trusted."""

    head: CorrectionHead
    max_share: float = 0.1
    """Of its range, so much of an axis is corrected at most."""

    def of_answer(
        self, state: Sequence[float], chunk: Array, policy: ServedPolicy, latency_s: float, stated_steps: int | None
    ) -> Correction:
        """Of a chunk that was made from `state`, and took so long; the client may know how many steps are gone."""
        hz = policy.embodiment.control_hz
        stale = math.floor(latency_s * hz + ALMOST) if stated_steps is None else stated_steps
        return self._corrected(state, chunk, policy, stale_steps=stale, age_steps=0)

    def of_rest(self, state: Sequence[float], rest: Array, policy: ServedPolicy, position: int) -> Correction:
        """Of the rest of a chunk, from its step `position` on, which is due at the moment of `state`."""
        return self._corrected(state, rest, policy, stale_steps=position, age_steps=position)

    def _corrected(
        self, state: Sequence[float], chunk: Array, policy: ServedPolicy, *, stale_steps: int, age_steps: int
    ) -> Correction:
        reason = self._why_not(policy, stale_steps)
        if reason is not None:
            return Correction(None, reason)
        embodiment = policy.embodiment
        span = np.subtract(embodiment.action_high, embodiment.action_low).astype(np.float32)
        limit = span * np.float32(self.max_share)
        residuals = np.clip(self.head.residuals(state, chunk, age_steps), -limit, limit)
        return Correction(chunk + residuals, magnitude=float((np.abs(residuals) / span).max(initial=0.0)))

    def _why_not(self, policy: ServedPolicy, stale_steps: int) -> A2c2Reason | None:
        if not self.head.is_trained:
            return "untrained"
        if why_unfit(self.head, policy) is not None:
            return "other_policy"
        return "latency_low" if stale_steps < 1 else None


def why_unfit(head: CorrectionHead, policy: ServedPolicy) -> str | None:
    """Why the head says nothing of this policy's chunks; None where it was trained on them."""
    told, config, embodiment = head.description, policy.config, policy.embodiment
    if told.policy_hash != config.policy_hash:
        return f"it was trained on {told.policy_id}, {told.policy_hash[:19]}, and not on {config.model_version}"
    sizes, own = (told.state_dim, told.action_names), (config.state_dim, embodiment.action_names)
    if sizes != own:
        return (
            f"it takes {sizes[0]} values of a state and {len(sizes[1])} axes, which are not those of {config.policy_id}"
        )
    if told.control_hz != embodiment.control_hz:
        return f"it was trained at {told.control_hz:g} Hz, and {embodiment.name} runs at {embodiment.control_hz:g} Hz"
    return None


def require_correctable(head: CorrectionHead, policies: Sequence[ServedPolicy]) -> None:
    """`SetupError` where the head would correct no answer of any policy."""
    reasons = [why_unfit(head, policy) for policy in policies]
    if all(reason is not None for reason in reasons):
        raise SetupError(
            f"--a2c2-checkpoint does nothing here: {reasons[0]}; train one for it with `reflex train a2c2`, or leave "
            "the option out"
        )
