"""A correction head from a recording: deterministic by its seed, judged by episodes that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.correction.description import HeadDescription, TrainingRecord
from reflex.correction.files import weights_hash
from reflex.correction.head import CorrectionHead, features_of, layers_output, standardized
from reflex.errors import SetupError
from reflex_analysis.correction.network import Adam, Layers, gradients, new_layers
from reflex_analysis.correction.recorded import Recorded
from reflex_analysis.correction.samples import Samples, samples_of

__all__ = ["Training", "train_head"]

Array = npt.NDArray[np.float32]
Tensors = dict[str, Array]
OnEpoch = Callable[[int, float], None]

BATCH: Final = 512
RATE: Final = 3e-3
LEAST_SPREAD: Final = 1e-6
"""An axis that moved less did not move: it keeps its unit."""


@dataclass(frozen=True)
class Training:
    """How to train."""

    reach_ms: float = 1_000.0
    """So far behind its observation an action is corrected at most."""
    epochs: int = 60
    hidden: tuple[int, ...] = (64, 64)
    seed: int = 0


def train_head(recorded: Recorded, how: Training, on_epoch: OnEpoch | None = None) -> CorrectionHead:
    """`SetupError` for too little to learn from, and for a head that would make nothing better.

    `on_epoch` is told the number of each pass and its mean squared error.
    """
    reach_steps = max(1, math.floor(how.reach_ms / 1000.0 * recorded.control_hz))
    samples = samples_of(recorded, reach_steps, how.seed)
    learnt, held_out = samples.part(~samples.is_held_out), samples.part(samples.is_held_out)
    tensors = _statistics(learnt)
    layers = _trained(
        _features(tensors, learnt, reach_steps), learnt.targets / tensors["residual.scale"], how, on_epoch
    )
    for number, (weights, bias) in enumerate(layers):
        tensors |= {f"layers.{number}.weight": weights, f"layers.{number}.bias": bias}
    largest = np.abs(learnt.targets).max(axis=0)
    output = layers_output(layers, _features(tensors, held_out, reach_steps)) * tensors["residual.scale"]
    training = _record(recorded, how, learnt, held_out, np.clip(output, -largest, largest), tensors["residual.scale"])
    _refuse_useless(training)
    return CorrectionHead(_description(recorded, how, tensors, reach_steps, largest, training), tensors)


def _statistics(samples: Samples) -> Tensors:
    tensors: Tensors = {}
    for name, values in (("state", samples.states), ("action", samples.actions)):
        tensors |= {f"{name}.mean": values.mean(axis=0), f"{name}.scale": _spread(values.std(axis=0))}
    return tensors | {"residual.scale": _spread(_rms(samples.targets))}


def _spread(values: Array) -> Array:
    return np.where(values > LEAST_SPREAD, values, 1.0).astype(np.float32)


def _rms(values: Array) -> Array:
    rms: Array = np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=0)).astype(np.float32)
    return rms


def _features(tensors: Tensors, samples: Samples, reach_steps: int) -> Array:
    state, action = (
        standardized(values, tensors[f"{name}.mean"], tensors[f"{name}.scale"])
        for name, values in (("state", samples.states), ("action", samples.actions))
    )
    return features_of(state, action, samples.leads / reach_steps, samples.ages / reach_steps)


def _trained(features: Array, targets: Array, how: Training, on_epoch: OnEpoch | None) -> Layers:
    random = np.random.default_rng(how.seed)
    layers = new_layers(list(pairwise((features.shape[1], *how.hidden, targets.shape[1]))), random)
    adam = Adam(layers)
    for epoch in range(how.epochs):
        rate = RATE * 0.5 * (1.0 + math.cos(math.pi * epoch / how.epochs))
        order, errors = random.permutation(len(features)), []
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            error, found = gradients(layers, features[rows], targets[rows])
            adam.step(found, rate)
            errors.append(error)
        if on_epoch is not None:
            on_epoch(epoch + 1, float(np.mean(errors)))
    return layers


def _record(
    recorded: Recorded, how: Training, learnt: Samples, held_out: Samples, found: Array, scale: Array
) -> TrainingRecord:
    before, after = _rms(held_out.targets), _rms(held_out.targets - found)
    whole_before, whole_after = (float(np.linalg.norm(error / scale)) for error in (before, after))
    return TrainingRecord(
        episodes=len(recorded.episodes), samples=len(learnt), held_out_samples=len(held_out), epochs=how.epochs,
        seed=how.seed, error_before=tuple(before.tolist()), error_after=tuple(after.tolist()),
        error_removed=1.0 - whole_after / whole_before if whole_before else 0.0,
    )  # fmt: skip


def _refuse_useless(training: TrainingRecord) -> None:
    if training.error_removed <= 0:
        raise SetupError(
            f"on {training.held_out_samples} actions that it was not trained on, the head makes the error larger by "
            f"{-training.error_removed:.0%}, so that nothing was written: what the policy says later cannot be told "
            "from the state, or there is too little to learn it from; record more episodes"
        )


def _description(
    recorded: Recorded, how: Training, tensors: Tensors, reach_steps: int, largest: Array, training: TrainingRecord
) -> HeadDescription:
    policy = recorded.policy
    return HeadDescription(
        schema_version=1, kind="a2c2", weights_hash=weights_hash(tensors), policy_id=policy.policy_id,
        policy_hash=policy.policy_hash, state_dim=policy.state_dim, action_names=policy.action_names,
        control_hz=recorded.control_hz, hidden=how.hidden, max_lead_steps=reach_steps, max_age_steps=reach_steps,
        largest=tuple(largest.tolist()), training=training,
    )  # fmt: skip
