"""What a policy is held against: recorded cases, or the FP32 graphs of its own checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.policy_config import PolicyConfig
from reflex_export.checking.comparison import Fp32Answers, compare_with_cases, parity_of, running
from reflex_export.checking.observations import typical_inputs
from reflex_export.checking.parity import Parity, PolicyRunner, gate_of
from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import FamilyGraphs
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph.graph import Array
from reflex_export.progress import Stage, unseen
from reflex_export.reading import read_checkpoint

CHUNK = np.array([[[0.5, -0.25]]], np.float32)


@pytest.fixture(scope="module")
def checkpoint(demo_checkpoint: Path) -> Checkpoint:
    return read_checkpoint(demo_checkpoint)


@pytest.fixture
def half(demo: PolicyConfig) -> PolicyConfig:
    return demo.model_copy(update={"precision": "fp16"})


class Answers:
    """A policy that gives these chunks in turn, and keeps what it was asked."""

    def __init__(self, *chunks: Array) -> None:
        self._chunks = list(chunks)
        self.asked: list[Mapping[str, Array]] = []

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.asked.append(inputs)
        return {"actions_normalized": self._chunks.pop(0)}


def record(folder: Path, number: int, checkpoint: Checkpoint, demo: PolicyConfig, *, steps: int | None) -> None:
    """A case whose answer is CHUNK; its observation is the typical one of seed `number`."""
    inputs = typical_inputs(demo.inputs, checkpoint, number)
    images = {f"image.{camera.key}": inputs[f"image.{camera.name}"][0] for camera in checkpoint.cameras}
    kept = {name: inputs[name] for name in ("tokens", "token_mask", "noise")}
    about = {} if steps is None else {"num_steps": np.array(steps)}
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / f"case_{number}.npz", state_raw=inputs["state"][0], actions=CHUNK, actions_norm=CHUNK,
        **images, **kept, **about,
    )  # fmt: skip


def test_every_case_of_the_policys_own_steps_is_compared_and_the_others_are_named(
    tmp_path: Path, demo: PolicyConfig, checkpoint: Checkpoint
) -> None:
    own = demo.denoising_steps
    for number, steps in enumerate((own, own + 1, None, own)):
        record(tmp_path / "cases", number, checkpoint, demo, steps=steps)
    parity, runner = Parity(gate_of("fp32"), "recorded cases"), Answers(CHUNK, CHUNK + 1, CHUNK)
    stages: list[Stage] = []

    compare_with_cases(parity, runner, demo, checkpoint, tmp_path / "cases", stages.append)

    assert (parity.cases, parity.skipped) == (3, ["case_1"])
    assert (parity.worst, parity.max_abs) == ("case_2", 1.0)
    assert stages == [Stage(f"checking {demo.policy_id}", number, 4, "cases") for number in range(4)]
    for asked, number in zip(runner.asked, (0, 2, 3), strict=True):
        np.testing.assert_array_equal(asked["noise"], typical_inputs(demo.inputs, checkpoint, number)["noise"])


def test_a_policy_with_cases_is_held_against_them_alone(
    tmp_path: Path, half: PolicyConfig, checkpoint: Checkpoint
) -> None:
    record(tmp_path / "cases", 0, checkpoint, half, steps=half.denoising_steps)

    parity = parity_of(Answers(CHUNK), half, Fp32Answers(checkpoint), tmp_path / "cases", unseen)

    assert (parity.verdict, parity.against, parity.cases) == ("passed", "recorded cases", 1)


def test_an_fp32_policy_without_cases_is_held_against_nothing(demo: PolicyConfig, checkpoint: Checkpoint) -> None:
    parity = parity_of(Answers(), demo, Fp32Answers(checkpoint), None, unseen)

    assert (parity.verdict, parity.gate) == ("not checked", gate_of("fp32"))


def test_an_fp32_policy_with_cases_of_other_steps_is_held_against_nothing(
    tmp_path: Path, demo: PolicyConfig, checkpoint: Checkpoint
) -> None:
    record(tmp_path / "cases", 0, checkpoint, demo, steps=demo.denoising_steps + 1)

    parity = parity_of(Answers(), demo, Fp32Answers(checkpoint), tmp_path / "cases", unseen)

    assert (parity.verdict, parity.against, parity.skipped) == ("not checked", "recorded cases", ["case_0"])


@pytest.mark.slow
def test_an_fp16_policy_without_cases_is_held_against_the_fp32_graphs(
    runner: PolicyRunner, half: PolicyConfig, checkpoint: Checkpoint
) -> None:
    stages: list[Stage] = []

    parity = parity_of(runner, half, Fp32Answers(checkpoint), None, stages.append)

    assert (parity.verdict, parity.against, parity.cases) == ("passed", "the FP32 graphs", 4)
    assert parity.gate == gate_of("fp16")
    assert stages == [Stage(f"checking {half.policy_id}", seed, 4, "cases") for seed in range(4)]


@pytest.mark.slow
def test_the_fp32_graphs_of_an_export_are_built_once_for_each_step_count(
    runner: PolicyRunner, half: PolicyConfig, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[int, ...]] = []

    def building(checkpoint: Checkpoint, steps: tuple[int, ...], arithmetic: Any) -> FamilyGraphs:
        built.append(steps)
        return build_graphs(checkpoint, steps, arithmetic)

    monkeypatch.setattr("reflex_export.checking.comparison.build_graphs", building)
    exact, fewer = Fp32Answers(checkpoint), half.model_copy(update={"denoising_steps": 2})

    found = [parity_of(runner, config, exact, None, unseen).verdict for config in (half, half, fewer, half)]

    assert built == [(half.denoising_steps,), (2,)]
    assert found == ["passed", "passed", "failed", "passed"]


@pytest.mark.slow
def test_one_generated_observation_that_comes_out_otherwise_is_named(
    runner: PolicyRunner, half: PolicyConfig, checkpoint: Checkpoint
) -> None:
    inputs = [typical_inputs(half.inputs, checkpoint, seed) for seed in range(4)]
    chunks = [runner.run(one)["actions_normalized"] for one in inputs]
    chunks[2] = chunks[2] + np.float32(1)
    answers = Answers(*chunks)

    parity = parity_of(answers, half, Fp32Answers(checkpoint), None, unseen)

    assert (parity.verdict, parity.worst) == ("failed", "generated observation 2")
    assert parity.max_abs == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_an_fp16_policy_with_cases_of_other_steps_only_is_held_against_the_fp32_graphs_and_says_so(
    tmp_path: Path, runner: PolicyRunner, half: PolicyConfig, checkpoint: Checkpoint
) -> None:
    record(tmp_path / "cases", 0, checkpoint, half, steps=half.denoising_steps + 1)

    parity = parity_of(runner, half, Fp32Answers(checkpoint), tmp_path / "cases", unseen)

    assert (parity.verdict, parity.against, parity.skipped) == ("passed", "the FP32 graphs", ["case_0"])


@pytest.mark.slow
def test_graphs_that_run_leave_no_file_behind(
    tmp_path: Path, demo: PolicyConfig, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    graphs = build_graphs(checkpoint, (demo.denoising_steps,), "fp32")

    with running(graphs, demo.denoising_steps) as exact:
        assert len(list(tmp_path.glob("reflex-export-*/*/model.onnx"))) == 3
        assert "actions_normalized" in exact.run(typical_inputs(demo.inputs, checkpoint))

    assert not list(tmp_path.iterdir())
