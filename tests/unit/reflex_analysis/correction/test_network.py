from __future__ import annotations

import numpy as np

from reflex_analysis.correction.network import Adam, gradients, new_layers

SIZES = [(3, 5), (5, 4), (4, 2)]


def test_the_gradients_are_those_of_finite_differences() -> None:
    random = np.random.default_rng(0)
    layers = [(weights * 30, bias) for weights, bias in new_layers(SIZES, random)]
    features = random.normal(size=(6, 3)).astype(np.float32)
    targets = random.normal(size=(6, 2)).astype(np.float32)

    _, found = gradients(layers, features, targets)

    for layer, slopes in zip(layers, found, strict=True):
        for numbers, slope in zip(layer, slopes, strict=True):
            index = tuple(0 for _ in numbers.shape)
            kept, errors = float(numbers[index]), []
            for change in (0.01, -0.01):
                numbers[index] = kept + change
                errors.append(gradients(layers, features, targets)[0])
            numbers[index] = kept
            assert abs((errors[0] - errors[1]) / 0.02 - float(slope[index])) < 2e-2


def test_adam_learns_a_line() -> None:
    random = np.random.default_rng(1)
    layers = new_layers([(2, 16), (16, 1)], random)
    features = random.uniform(-1, 1, (200, 2)).astype(np.float32)
    targets = features[:, :1] - 0.5 * features[:, 1:]
    adam = Adam(layers)

    first, _ = gradients(layers, features, targets)
    for _ in range(300):
        error, found = gradients(layers, features, targets)
        adam.step(found, 0.01)

    assert error < first / 50
