"""The network itself, in numpy: fifty steps take it some hundred microseconds on one core.

It sees robot units and gives robot units. What it computes with is standardised by statistics that it brings along, so
that neither the units of a robot nor a policy's own normalisation matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from reflex.correction.description import HeadDescription
from reflex.correction.tensors import Array

__all__ = ["STATISTICS", "CorrectionHead", "Layers", "features_of", "layer_sizes", "layers_output", "standardized"]

STATISTICS: Final = ("state.mean", "state.scale", "action.mean", "action.scale", "residual.scale")

FARTHEST: Final = 8.0
"""In standard deviations: a state beyond counts as that far, for nothing is known of what lies there."""

Layers = Sequence[tuple[Array, Array]]
"""Weights [in, out] and bias [out] of each."""


def layer_sizes(state_dim: int, action_dim: int, hidden: Sequence[int]) -> list[tuple[int, int]]:
    """Inputs and outputs of each layer."""
    widths = [3 * (state_dim + action_dim) + 2, *hidden, action_dim]
    return list(pairwise(widths))


def standardized(values: Array, mean: Array, scale: Array) -> Array:
    """As the network takes them."""
    bounded: Array = np.clip((values - mean) / scale, -FARTHEST, FARTHEST).astype(np.float32)
    return bounded


def features_of(state: Array, action: Array, lead: Array, age: Array) -> Array:
    """[steps, features] of standardised [steps, ...]; lead and age are [steps, 1], as shares of what is trained.

    The products spare the network from learning to multiply: what moves, moves by its speed times the time.
    """
    seen = np.concatenate((state, action), axis=1)
    return np.concatenate((seen, seen * lead, seen * age, lead, age), axis=1)


def layers_output(layers: Layers, features: Array) -> Array:
    """The last layer is linear, the others are tanh."""
    values = features
    for weights, bias in layers[:-1]:
        values = np.tanh(values @ weights + bias)
    weights, bias = layers[-1]
    output: Array = values @ weights + bias
    return output


@dataclass(frozen=True, slots=True, eq=False)
class CorrectionHead:
    """A head whose tensors have the sizes that its description says."""

    description: HeadDescription
    tensors: dict[str, Array]

    def __post_init__(self) -> None:
        """Raises `ValueError` for tensors that are missing, too many, or of another size."""
        wanted = _shapes(self.description)
        found = {name: tensor.shape for name, tensor in self.tensors.items()}
        if found != wanted:
            wrong = next(name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name))
            raise ValueError(f"{wrong} is {_shown(found.get(wrong))}, not {_shown(wanted.get(wrong))}")
        if not all((self.tensors[name] > 0).all() for name in STATISTICS if name.endswith("scale")):
            raise ValueError("a scale is not above 0")

    @property
    def layers(self) -> Layers:
        count = len(self.description.hidden) + 1
        return [(self.tensors[f"layers.{n}.weight"], self.tensors[f"layers.{n}.bias"]) for n in range(count)]

    @property
    def is_trained(self) -> bool:
        """Whether there is reason to follow it: it has learnt something, and that made held-out errors smaller."""
        training = self.description.training
        weights, bias = self.layers[-1]
        return training is not None and training.error_removed > 0 and bool(weights.any() or bias.any())

    def residuals(self, state: Sequence[float], actions: Array, age_steps: int) -> Array:
        """[steps, axes], robot units, to be added to `actions`: the first is due at the moment of the newest `state`.

        `age_steps` is how many steps older the observation of the chunk is than that state.
        """
        told = self.description
        lead = np.minimum(np.arange(len(actions), dtype=np.float32), told.max_lead_steps) / told.max_lead_steps
        age = np.full((len(actions), 1), min(age_steps, told.max_age_steps) / max(1, told.max_age_steps), np.float32)
        seen = np.repeat(self._standard("state", np.asarray(state, np.float32)[None]), len(actions), axis=0)
        features = features_of(seen, self._standard("action", actions), lead[:, None].astype(np.float32), age)
        found = layers_output(self.layers, features) * self.tensors["residual.scale"]
        largest = np.asarray(told.largest, np.float32)
        bounded: Array = np.clip(found, -largest, largest).astype(np.float32)
        return bounded

    def _standard(self, what: str, values: Array) -> Array:
        return standardized(values, self.tensors[f"{what}.mean"], self.tensors[f"{what}.scale"])


def _shapes(told: HeadDescription) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        name: (told.state_dim if name.startswith("state") else told.action_dim,) for name in STATISTICS
    }
    for number, (inputs, outputs) in enumerate(layer_sizes(told.state_dim, told.action_dim, told.hidden)):
        shapes |= {f"layers.{number}.weight": (inputs, outputs), f"layers.{number}.bias": (outputs,)}
    return shapes


def _shown(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {list(shape)}"
