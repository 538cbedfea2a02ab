from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reflex.policy_config import PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import ParityError
from reflex_export.exporting.canary import canary_of
from reflex_export.graph.graph import Array
from reflex_export.reading import read_checkpoint
from support.checkpoints.golden import ArrayTensors


class Answer:
    """A policy that always gives this action."""

    def __init__(self, value: float) -> None:
        self._value = value

    def run(self, _inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {"actions": np.full((1, 2, 7), self._value, np.float32)}


@pytest.fixture(scope="module")
def checkpoint(demo_checkpoint: Path) -> Checkpoint:
    """Whose weights are finite."""
    return read_checkpoint(demo_checkpoint)


def refusal(value: float, config: PolicyConfig, checkpoint: Checkpoint) -> str:
    with pytest.raises(ParityError) as refused:
        canary_of(Answer(value), config, checkpoint)
    return str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named_whatever_the_precision(
    precision: str, value: float, demo: PolicyConfig, checkpoint: Checkpoint
) -> None:
    weights = ArrayTensors({"a": np.ones(2), "b.weight": np.array([0, value], np.float32), "c": np.array([np.nan])})
    said = refusal(np.nan, demo.model_copy(update={"precision": precision}), replace(checkpoint, tensors=weights))
    assert "since b.weight in its weights is not finite; fetch or train them again" in said
    assert "--precision" not in said


def test_fp16_that_overflows_may_be_made_in_fp32(demo: PolicyConfig, checkpoint: Checkpoint) -> None:
    said = refusal(np.inf, demo.model_copy(update={"precision": "fp16"}), checkpoint)
    assert "its weights are finite, so try --precision fp32" in said


@pytest.mark.slow
def test_fp32_is_not_told_to_try_itself(demo: PolicyConfig, checkpoint: Checkpoint) -> None:
    said = refusal(np.nan, demo.model_copy(update={"precision": "fp32"}), checkpoint)
    assert "although its weights are finite" in said
    assert "--precision" not in said


def test_the_canary_is_the_observation_with_its_answer(demo: PolicyConfig, checkpoint: Checkpoint) -> None:
    canary = canary_of(Answer(0.5), demo, checkpoint)
    assert canary["expected.actions"].tolist() == [[0.5] * 7] * 2
    assert {tensor.name for tensor in demo.inputs} <= canary.keys()
