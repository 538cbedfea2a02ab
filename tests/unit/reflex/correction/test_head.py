from __future__ import annotations

import numpy as np
import pytest

from reflex.correction.head import CorrectionHead
from support.motion.heads import head_for, record

STATE = (0.3, -0.2, 0.9)
CHUNK = np.linspace(-1, 1, 40, dtype=np.float32).reshape(20, 2)


def test_the_residuals_are_those_of_the_formula_written_out_step_by_step() -> None:
    head = head_for(largest=(0.4, 0.4))
    tensors = head.tensors
    tensors["state.mean"][:] = (0.1, 0.2, 0.3)
    tensors["action.scale"][:] = (2.0, 0.5)
    tensors["residual.scale"][:] = (0.5, 3.0)

    found = head.residuals(STATE, CHUNK, 4)

    for step, action in enumerate(CHUNK):
        seen = np.concatenate(((np.array(STATE) - (0.1, 0.2, 0.3)), action / (2.0, 0.5)))
        lead, age = min(step, 10) / 10, 4 / 10
        features = np.concatenate((seen, seen * lead, seen * age, (lead, age)))
        inner = np.tanh(features @ tensors["layers.0.weight"] + tensors["layers.0.bias"])
        outer = (inner @ tensors["layers.1.weight"] + tensors["layers.1.bias"]) * (0.5, 3.0)
        np.testing.assert_allclose(found[step], np.clip(outer, -0.4, 0.4), atol=1e-5)


def test_beyond_what_was_trained_the_correction_is_that_of_the_last_trained_step() -> None:
    head = head_for()
    same = np.repeat(CHUNK[:1], 20, axis=0)

    found = head.residuals(STATE, same, 99)

    np.testing.assert_array_equal(found[10:], np.repeat(found[10:11], 10, axis=0))
    np.testing.assert_array_equal(found, head.residuals(STATE, same, 10))
    assert not np.array_equal(found[9], found[10])


def test_no_correction_is_larger_than_training_has_seen() -> None:
    found = head_for(constant=5.0, largest=(0.25, 0.0)).residuals(STATE, CHUNK, 0)

    assert (found == np.array([0.25, 0.0], np.float32)).all()


@pytest.mark.parametrize(
    ("head", "is_trained"),
    [
        (head_for(), True),
        (head_for(constant=0.5), True),
        (head_for(constant=0.0), False),
        (head_for(training=None), False),
        (head_for(training=record(2, removed=0.0)), False),
        (head_for(training=record(2, removed=-0.3)), False),
    ],
)
def test_a_head_is_trained_that_says_something_and_made_errors_smaller(head: CorrectionHead, is_trained: bool) -> None:
    assert head.is_trained is is_trained


def test_tensors_that_are_not_the_described_ones_are_refused() -> None:
    head = head_for()
    for name, tensor in (("layers.0.weight", np.zeros((2, 8), np.float32)), ("more", np.zeros(1, np.float32))):
        with pytest.raises(ValueError, match=name):
            CorrectionHead(head.description, {**head.tensors, name: tensor})
    with pytest.raises(ValueError, match="absent"):
        CorrectionHead(head.description, {k: v for k, v in head.tensors.items() if k != "state.mean"})
    with pytest.raises(ValueError, match="scale"):
        CorrectionHead(head.description, {**head.tensors, "action.scale": np.zeros(2, np.float32)})
