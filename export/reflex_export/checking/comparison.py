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
from reflex_export.progress import Progress, Stage

__all__ = ["compare_with_cases", "compare_with_fp32", "parity_of", "running"]

OBSERVATIONS: Final = 4


def parity_of(
    runner: Runner, config: PolicyConfig, checkpoint: Checkpoint, cases: Path | None, progress: Progress
) -> Parity:
    """Against the recorded cases; without any, FP16 against FP32 graphs, and FP32 against nothing."""
    parity = Parity(gate_of(config.precision), "recorded cases")
    if cases is not None:
        compare_with_cases(parity, runner, config, checkpoint, cases, progress)
    if not parity.cases and config.precision == "fp16":
        parity = Parity(gate_of(config.precision), "the FP32 graphs", skipped=parity.skipped)
        compare_with_fp32(parity, runner, config, checkpoint, progress)
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
    parity: Parity, runner: Runner, config: PolicyConfig, checkpoint: Checkpoint, progress: Progress
) -> None:
    """Without recordings, FP16 is held against the same checkpoint's FP32 graphs."""
    graphs = build_graphs(checkpoint, (config.denoising_steps,), "fp32")
    with running(graphs, config.denoising_steps) as exact:
        for seed in range(OBSERVATIONS):
            progress(Stage(f"checking {config.policy_id}", seed, OBSERVATIONS, "cases"))
            inputs = typical_inputs(config.inputs, checkpoint, seed)
            found, expected = (one.run(inputs)["actions_normalized"] for one in (runner, exact))
            parity.compare(f"generated observation {seed}", found, expected)


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
