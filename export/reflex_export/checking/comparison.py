"""A policy's models against recorded cases, or against the FP32 graphs of the same checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from reflex.interruption import scratch_folder
from reflex.model_repository import MODEL_FILE
from reflex.policy_config import PolicyConfig
from reflex_export.checking.observations import typical_inputs
from reflex_export.checking.parity import Parity, PolicyRunner, gate_of
from reflex_export.checking.recorded import find_cases, read_case
from reflex_export.checking.rounding import Runner
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError
from reflex_export.families.common import FamilyGraphs
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph.graph import Array
from reflex_export.progress import Progress, Stage

__all__ = ["Fp32Answers", "compare_with_cases", "compare_with_fp32", "parity_of", "running"]

OBSERVATIONS: Final = 4


class Fp32Answers:
    """What a checkpoint's FP32 graphs answer to the generated observations: an export asks for it up to three times."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._known: dict[int, tuple[Array, ...]] = {}

    def of(self, config: PolicyConfig) -> tuple[Array, ...]:
        """To each observation, at the policy's own step count."""
        steps = config.denoising_steps
        if steps not in self._known:
            with running(build_graphs(self.checkpoint, (steps,), "fp32"), steps) as exact:
                observations = (typical_inputs(config.inputs, self.checkpoint, seed) for seed in range(OBSERVATIONS))
                self._known[steps] = tuple(exact.run(inputs)["actions_normalized"] for inputs in observations)
        return self._known[steps]


def parity_of(
    runner: Runner, config: PolicyConfig, exact: Fp32Answers, cases: Path | None, progress: Progress
) -> Parity:
    """Against the recorded cases; without any, FP16 against FP32 graphs, and FP32 against nothing."""
    parity = Parity(gate_of(config.precision), "recorded cases")
    if cases is not None:
        compare_with_cases(parity, runner, config, exact.checkpoint, cases, progress)
    if not parity.cases and config.precision == "fp16":
        parity = Parity(gate_of(config.precision), "the FP32 graphs", skipped=parity.skipped)
        compare_with_fp32(parity, runner, config, exact, progress)
    return parity


def compare_with_cases(
    parity: Parity, runner: Runner, config: PolicyConfig, checkpoint: Checkpoint, folder: Path, progress: Progress
) -> None:
    """Count every case of the policy's own step count."""
    paths = find_cases(folder)
    for number, path in enumerate(paths):
        progress(Stage(f"checking {config.policy_id}", number, len(paths), "cases"))
        case = read_case(path, checkpoint, config.inputs)
        if case.steps is not None and case.steps != config.denoising_steps:
            parity.skipped.append(case.name)
            continue
        found, expected = runner.run(case.inputs)["actions_normalized"], case.actions_normalized
        if found.size != expected.size:
            raise CheckpointError(
                f"{path}: its actions_norm have the shape {expected.shape}, but the policy answers {found.shape}; name "
                "the folder of this policy's cases with --cases"
            )
        parity.compare(case.name, found, expected)


def compare_with_fp32(
    parity: Parity, runner: Runner, config: PolicyConfig, exact: Fp32Answers, progress: Progress
) -> None:
    """Without recordings, FP16 is held against the same checkpoint's FP32 graphs."""
    for seed in range(OBSERVATIONS):
        progress(Stage(f"checking {config.policy_id}", seed, OBSERVATIONS, "cases"))
        found = runner.run(typical_inputs(config.inputs, exact.checkpoint, seed))["actions_normalized"]
        parity.compare(f"generated observation {seed}", found, exact.of(config)[seed])


@contextmanager
def running(graphs: FamilyGraphs, steps: int) -> Iterator[PolicyRunner]:
    """The graphs of one step count, from a temporary folder."""
    with scratch_folder("reflex-export-") as scratch:
        paths = []
        for index, model in enumerate((graphs.preprocess, graphs.encoder, graphs.denoise[steps])):
            folder = scratch / str(index)
            folder.mkdir()
            model.save(folder)
            paths.append(folder / MODEL_FILE)
        yield PolicyRunner(paths)
