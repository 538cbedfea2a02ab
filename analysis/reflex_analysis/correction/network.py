"""A small network of tanh layers, and Adam, in numpy: enough for a head, and the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Adam", "Layers", "gradients", "new_layers"]

Array = npt.NDArray[np.float32]
Layers = list[tuple[Array, Array]]

SMALL_OUTPUT: Final = 0.01
"""A new head corrects almost nothing."""
DECAY: Final = 1e-4
BETAS: Final = (0.9, 0.999)
EPSILON: Final = 1e-8


def new_layers(sizes: Sequence[tuple[int, int]], random: np.random.Generator) -> Layers:
    """Weights that keep the spread of what goes through them."""
    layers = [(_weights(inputs, outputs, random), np.zeros(outputs, np.float32)) for inputs, outputs in sizes]
    weights, bias = layers[-1]
    layers[-1] = (weights * np.float32(SMALL_OUTPUT), bias)
    return layers


def _weights(inputs: int, outputs: int, random: np.random.Generator) -> Array:
    drawn: Array = (random.normal(0.0, 1.0, (inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
    return drawn


def gradients(layers: Layers, features: Array, targets: Array) -> tuple[float, Layers]:
    """The mean squared error, and how it changes with each number."""
    seen = [features]
    for weights, bias in layers[:-1]:
        seen.append(np.tanh(seen[-1] @ weights + bias))
    error = seen[-1] @ layers[-1][0] + layers[-1][1] - targets
    back = (2.0 / error.size * error).astype(np.float32)
    found: Layers = []
    for (weights, _bias), values in zip(reversed(layers), reversed(seen), strict=True):
        found.append((values.T @ back, back.sum(axis=0)))
        back = (back @ weights.T) * (1.0 - values * values)
    return float(np.mean(error * error)), found[::-1]


@dataclass
class Adam:
    """With decoupled weight decay; changes the layers in place."""

    layers: Layers
    steps: int = 0
    _moments: list[tuple[Array, Array]] = field(init=False)

    def __post_init__(self) -> None:
        self._moments = [(np.zeros_like(number), np.zeros_like(number)) for number in _numbers(self.layers)]

    def step(self, found: Layers, rate: float) -> None:
        """One step against the gradients."""
        self.steps += 1
        first, second = (1.0 - beta**self.steps for beta in BETAS)
        for number, slope, (mean, square) in zip(_numbers(self.layers), _numbers(found), self._moments, strict=True):
            mean += (1.0 - BETAS[0]) * (slope - mean)
            square += (1.0 - BETAS[1]) * (slope * slope - square)
            number -= rate * (mean / first / (np.sqrt(square / second) + EPSILON) + DECAY * number)


def _numbers(layers: Layers) -> Iterator[Array]:
    for weights, bias in layers:
        yield weights
        yield bias
