"""How much the velocity changes from step to step, as the graphs report it: by its definition, for every loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reflex_export.blocks.euler import EulerTrace, velocity_output
from reflex_export.families.common import Arithmetic
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph.graph import GraphBuilder, OnnxModel
from reflex_export.reading import read_checkpoint
from support.checkpoints.golden import (
    golden_case,
    golden_checkpoint,
    guidance_feeds,
    observation_feeds,
    run_graphs,
    run_model,
)
from support.checkpoints.pi import build, random_observation
from support.checkpoints.random_checkpoint import write_checkpoint
from support.checkpoints.sizes import PiSizes

Array = npt.NDArray[Any]


def by_definition(velocity: Array, action_dim: int, *, heeded: slice = slice(None)) -> Array:
    """[steps], of v [steps, T, A]: by root mean squares, in float64."""
    real = velocity[:, heeded, :action_dim].astype(np.float64)
    change = np.zeros(len(real))
    for step in range(1, len(real)):
        change[step] = np.sqrt(np.mean((real[step] - real[step - 1]) ** 2) / np.mean(real[step] ** 2))
    return change


def run_recorded(name: str, case: str, arithmetic: Arithmetic = "fp32") -> Mapping[str, Array]:
    recorded, checkpoint = golden_case(name, case), golden_checkpoint(name)
    feeds = observation_feeds(recorded, checkpoint) | guidance_feeds(recorded, *recorded["noise"].shape[1:])
    steps = int(recorded["num_steps"])
    return run_graphs(build_graphs(checkpoint, [steps], arithmetic, taps=True), steps, feeds)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["case_1", "case_2", "case_rtc_1_exp"])
@pytest.mark.parametrize("name", ["smolvla", "pi0", "pi05"])
def test_it_is_that_of_the_references_velocity_without_guidance_and_padding(name: str, case: str) -> None:
    recorded, found = golden_case(name, case), run_recorded(name, case)["velocity_change"]
    expected = by_definition(
        recorded["v_t"].reshape(-1, *recorded["noise"].shape[1:]), golden_checkpoint(name).action_dim
    )
    assert found.dtype == np.float32
    assert found.shape == (1, len(expected))
    assert found[0] == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert found[0, 0] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smolvla", "pi0", "pi05"])
def test_fp16_reports_it_in_fp32_and_nearly_the_same(name: str) -> None:
    exact, half = (run_recorded(name, "case_1", arithmetic)["velocity_change"] for arithmetic in ("fp32", "fp16"))
    assert half.dtype == np.float32
    assert half == pytest.approx(exact, rel=0.02, abs=1e-3)


@pytest.mark.parametrize("fixed", [0, 2, 5])
def test_actions_that_are_given_to_trained_chunking_count_for_nothing(fixed: int, tmp_path: Path) -> None:
    sizes = PiSizes(family="pi05", config={"rtc_training_max_delay": 4})
    checkpoint = read_checkpoint(write_checkpoint(tmp_path, sizes))
    feeds = random_observation(checkpoint, seed=5)
    feeds["rtc_weights"][0, :fixed] = 1.0
    known = run_graphs(build(checkpoint, steps=[3], taps=True), 3, feeds)
    expected = by_definition(known["tap.v_t"][0], sizes.action_dim, heeded=slice(fixed, None))
    assert known["velocity_change"][0] == pytest.approx(expected, rel=1e-3)


def loop_over(steps: int, *, given: bool = False) -> OnnxModel:
    """A graph whose velocity of step k is its input in<k>, [B, 4, 3], of which two channels are real."""
    g = GraphBuilder("loop")
    velocities = [g.input(f"in{step}", "FP32", (4, 3)) for step in range(steps)]
    mask = g.op("Unsqueeze", g.input("given", "BOOL", (4,)), g.ints(2)) if given else None
    velocity_output(g, EulerTrace(velocities[0], velocity=velocities, given=mask), 2)
    return g.build()


def test_each_sample_of_a_batch_has_its_own() -> None:
    random = np.random.RandomState(0)
    feeds = {f"in{step}": random.standard_normal((2, 4, 3)).astype(np.float32) for step in range(3)}
    found = run_model(loop_over(3), feeds)["velocity_change"]
    for sample in range(2):
        stacked = np.stack([feeds[f"in{step}"][sample] for step in range(3)])
        assert found[sample] == pytest.approx(by_definition(stacked, 2), rel=1e-5)


def test_one_step_has_nothing_to_change() -> None:
    assert run_model(loop_over(1), {"in0": np.ones((1, 4, 3), np.float32)})["velocity_change"].tolist() == [[0.0]]


def test_a_velocity_of_zero_and_actions_that_are_all_given_are_no_division_by_zero() -> None:
    zero, one = np.zeros((1, 4, 3), np.float32), np.ones((1, 4, 3), np.float32)
    assert run_model(loop_over(2), {"in0": zero, "in1": zero})["velocity_change"].tolist() == [[0.0, 0.0]]
    whole = run_model(loop_over(2, given=True), {"in0": one, "in1": 9 * one, "given": np.ones((1, 4), np.bool_)})
    assert whole["velocity_change"].tolist() == [[0.0, 0.0]]
