"""Real-time chunking through /act gives what the reference computed, and sends the model what the reference used.

The exported files are run in this process; tests/integration/test_export_to_triton.py has Triton run them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from reflex.export_options import ExportOptions
from reflex_export.checkpoint import Checkpoint
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_frontend.policy.policy import ServedPolicy, load_policy
from support.checkpoints.altered import with_options
from support.checkpoints.golden import Array, golden_case, golden_cases, golden_checkpoint
from support.checkpoints.pi import numpy_chunk
from support.motion.recorded import ExportedGraphs, Recorded, answered

FAMILIES = ("smolvla", "pi0", "pi05")
STEPS = (10, 5)
TOLERANCE, RELATIVE = 1e-4, 1e-5
CASES = [(name, case) for name in FAMILIES for case in golden_cases(name) if case.startswith("case_rtc_")]


@dataclass(frozen=True)
class Exports:
    """Each checkpoint is exported once, when it is wanted."""

    root: Path

    def policy(self, name: str, steps: int, checkpoint: Checkpoint | None = None) -> tuple[Path, ServedPolicy]:
        repository = self.root / f"{name}{'' if checkpoint is None else '-trained'}"
        if not repository.exists():
            options = ExportOptions(repository, name, embodiment="so101", steps=STEPS, check=False)
            export_checkpoint(checkpoint or golden_checkpoint(name), options)
        return repository, load_policy(repository, name if steps == STEPS[0] else f"{name}-{steps}steps")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("models"))


def padded(rest: Array, shape: tuple[int, ...]) -> Array:
    whole = np.zeros(shape, np.float32)
    whole[: len(rest), : rest.shape[1]] = rest
    return whole


def through_act(exports: Exports, name: str, case: dict[str, Array]) -> Recorded:
    repository, policy = exports.policy(name, int(case["num_steps"]))
    graphs = ExportedGraphs(repository, policy.config)
    return asyncio.run(answered(policy, graphs, case, golden_checkpoint(name)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_recorded_chunk_is_continued_as_the_reference_did(exports: Exports, name: str, case: str) -> None:
    recorded = golden_case(name, case)
    found = through_act(exports, name, recorded)
    rest = recorded["rtc.prev_chunk_left_over"].reshape(-1, 6)

    np.testing.assert_array_equal(found.previous, padded(rest, recorded["noise"].shape[1:]))
    np.testing.assert_array_equal(found.weights, recorded["rtc.weights"][0])
    assert found.bound == recorded["rtc.max_guidance_weight"]
    assert (found.answer["rtc_applied"], found.answer["rtc_delay_steps"]) == (True, recorded["rtc.inference_delay"])
    np.testing.assert_allclose(found.answer["actions"], recorded["actions"][0], rtol=RELATIVE, atol=TOLERANCE)


def test_every_schedule_is_held_in_every_family() -> None:
    schedules = {
        name: {str(golden_case(name, case)["rtc.schedule"]) for one, case in CASES if one == name} for name in FAMILIES
    }
    assert all(found == {"LINEAR", "EXP", "ONES", "ZEROS"} for found in schedules.values())


@pytest.mark.slow
@pytest.mark.parametrize(("said", "given"), [(0, 0), (3, 3), (9, 4)])
def test_a_policy_that_was_trained_for_it_keeps_what_it_is_given_and_plans_the_rest(
    exports: Exports, said: int, given: int
) -> None:
    trained = with_options(golden_checkpoint("pi05"), rtc_training_max_delay=4)
    repository, policy = exports.policy("pi05", 10, trained)
    case = {**golden_case("pi05", "case_rtc_2_ones"), "rtc.inference_delay": np.array(said)}
    graphs = ExportedGraphs(repository, policy.config)
    found = asyncio.run(answered(policy, graphs, case, trained))
    assert policy.config.action_space is not None
    scale, offset = (np.array(part) for part in (policy.config.action_space.scale, policy.config.action_space.offset))
    rest = case["rtc.prev_chunk_left_over"].reshape(-1, 6)

    assert found.answer["rtc_delay_steps"] == found.weights.sum() == given
    np.testing.assert_array_equal(found.previous, padded(rest, case["noise"].shape[1:]))
    held = np.array(found.answer["actions"])[:given]
    np.testing.assert_allclose(held, rest[:given] * scale + offset, rtol=RELATIVE, atol=1e-6)
    expected = numpy_chunk(trained, graphs.known, np.zeros(6, np.float32), 10, given)[:, :6]
    np.testing.assert_allclose(found.answer["actions"], expected * scale + offset, rtol=RELATIVE, atol=TOLERANCE)
