from __future__ import annotations

import json
import math
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from reflex.errors import RepositoryError, SetupError
from reflex.model_repository import CONFIG_FILE
from reflex_export.checking.inspection import (
    GPUS,
    Gpu,
    Inspection,
    Phase,
    find_policy,
    inspect_checkpoint,
    inspect_policy,
    lower_bound,
)
from reflex_export.checkpoint import Camera, Checkpoint, Normalizer, Text
from reflex_export.commands.inspect import inspect_command
from reflex_export.configs import parse_config
from reflex_export.families.common import Arithmetic
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph.graph import OnnxModel
from reflex_export.reading import read_checkpoint
from support.checkpoints.golden import golden_folder

DEMO = Path(__file__).parents[4] / "model_repository"
PROMPT_TOKENS = 20
"""Of the published figures below, which count no padding."""
TOLERANCE = 0.02
PI0_TFLOP = {1: 1.61, 2: 2.83, 3: 4.08}
PI0_CACHE_MB = {1: 5.1, 2: 9.8, 3: 14.5}
MOST_OPERATORS = {"denoise": 4400, "encoder": 900}
"""Of ten steps, and of three cameras; a GPU spends longer on starting a kernel than on what most of them do."""
MERGED_AWAY_BYTES = 10 * 1024 * 1024 * 2
"""Ten steps' reads of a square matrix that the published figures have, and that the graph has multiplied out."""
PI0_MS = {"H200": (2.6, 3.8, 5.1), "H100 SXM": (3.3, 4.4, 5.6), "RTX 4090": (13.9, 21.3, 28.7)}


class ShapesOnly:
    """A `TensorSource` of a checkpoint that is not there: every tensor is zeros that take no memory."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._shapes = shapes

    def names(self) -> frozenset[str]:
        return frozenset(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def load(self, name: str) -> npt.NDArray[Any]:
        zeros: npt.NDArray[Any] = np.broadcast_to(np.float32(0), self._shapes[name])
        return zeros


@cache
def full_pi0(cameras: int, prompt_tokens: int = PROMPT_TOKENS) -> Inspection:
    return inspect_checkpoint(full_size_pi0(cameras, prompt_tokens))


def full_size_pi0(cameras: int, prompt_tokens: int) -> Checkpoint:
    record = json.loads((golden_folder("keys") / "pi0_full.json").read_text())
    keys = [f"observation.images.{index}" for index in range(cameras)]
    return Checkpoint(
        family="pi0",
        config=parse_config("pi0", record["config_json_defaults"]),
        tensors=ShapesOnly({name: tuple(tensor["shape"]) for name, tensor in record["tensors"].items()}),
        cameras=tuple(Camera(key, key.rpartition(".")[2], (3, 224, 224)) for key in keys),
        state_dim=14,
        action_dim=14,
        state=Normalizer("IDENTITY"),
        action=Normalizer("IDENTITY"),
        images=dict.fromkeys(keys, Normalizer("IDENTITY")),
        text=Text("", prompt_tokens, "right", "right", 0),
    )


@pytest.mark.slow
@pytest.mark.parametrize("cameras", [1, 2, 3])
def test_full_size_pi0_has_the_published_work_and_cache(cameras: int) -> None:
    found = full_pi0(cameras)
    assert found.flops / 1e12 == pytest.approx(PI0_TFLOP[cameras], rel=TOLERANCE)
    assert found.cache_bytes / 1e6 == pytest.approx(PI0_CACHE_MB[cameras], rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("gpu", PI0_MS)
def test_full_size_pi0_has_the_published_lower_bounds(gpu: str) -> None:
    for cameras, published in enumerate(PI0_MS[gpu], start=1):
        bound = next(bound for bound in full_pi0(cameras).bounds if bound.gpu == gpu)
        bandwidth = next(known for known in GPUS if known.name == gpu).bandwidth_bytes_s
        expected_ms = published - MERGED_AWAY_BYTES / bandwidth * 1e3
        assert bound.chunk_ms == pytest.approx(expected_ms, rel=TOLERANCE)


def test_full_size_pi0_streams_what_is_published_without_its_dead_last_layer() -> None:
    encoder, denoise = full_pi0(1).phases
    dead = 2 * 2048 * 2048 + 3 * 2048 * 16384
    assert encoder.weight_reads + denoise.weight_reads / 10 + dead == pytest.approx(2.708e9, rel=0.005)


def test_full_size_pi0_is_split_into_its_parts() -> None:
    parts = full_pi0(1).parts
    assert parts["text embedding"] == 257152 * 2048
    assert parts["vision tower"] == pytest.approx(0.412e9, rel=0.01)
    assert parts["action expert"] == pytest.approx(0.311e9, rel=0.01)
    assert "other" not in parts


@pytest.mark.slow
def test_a_longer_prompt_costs_the_prefix_and_not_the_weights() -> None:
    short, long = full_pi0(1), full_pi0(1, 48)
    assert long.cache_bytes - short.cache_bytes == 28 * 18 * 2 * 256 * 2
    assert long.phases[0].flops > short.phases[0].flops
    assert long.phases[0].weight_reads == short.phases[0].weight_reads


@pytest.mark.parametrize("arithmetic", ["fp32", "fp16", "fp16_mlp"])
def test_full_size_pi0_has_few_operators(arithmetic: Arithmetic) -> None:
    graphs = build_graphs(full_size_pi0(3, 48), [10], arithmetic)
    counted = graphs.counted(10) if graphs.counted else None
    assert counted is not None
    assert operators(graphs.denoise[10]) <= MOST_OPERATORS["denoise"]
    assert operators(counted) <= MOST_OPERATORS["denoise"]
    assert operators(graphs.encoder) <= MOST_OPERATORS["encoder"]


def test_what_is_told_of_operators_is_what_the_graph_has() -> None:
    encoder, denoise = inspect_checkpoint(full_size_pi0(3, 48)).phases
    graphs = build_graphs(full_size_pi0(3, 48), [10], "fp32")
    assert (encoder.nodes, denoise.nodes) == (operators(graphs.encoder), operators(graphs.denoise[10]))


def operators(model: OnnxModel) -> int:
    return len(onnx.load_model_from_string(model.content).graph.node)


def test_a_bound_is_the_slower_of_memory_and_compute_in_each_phase() -> None:
    gpu = Gpu("slow", bandwidth_bytes_s=2e9, fp16_flops_s=1e12, source="made up")
    bound = lower_bound((Phase("encoder", 1, 1_000_000, 5 * 10**9), Phase("denoise", 10, 3_000_000, 10**9)), gpu)
    assert (bound.encoder_limit, bound.denoise_limit) == ("compute", "memory")
    assert [bound.encoder_ms, bound.denoise_ms] == pytest.approx([5.0, 3.0])
    assert bound.chunk_ms == pytest.approx(8.0)


def test_every_gpu_says_where_its_rates_are_from() -> None:
    assert all(gpu.source.startswith("NVIDIA ") and gpu.source.endswith("data sheet") for gpu in GPUS)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["pi0", "pi05", "smolvla", "act", "diffusion"])
def test_every_family_is_counted_without_rest(family: str) -> None:
    found = inspect_checkpoint(read_checkpoint(golden_folder(family)))
    assert found.family == family
    assert found.stored_parameters is not None
    assert 0 < found.parameters <= found.stored_parameters
    assert found.parts.get("other", 0) < 0.01 * found.parameters
    assert all(phase.flops > phase.weight_reads > 0 for phase in found.phases)
    images = {f"observation.images.{camera.name}" for camera in found.cameras}
    assert {row.feature for row in found.normalization} == {"observation.state", "action", *images}


def test_twice_the_steps_are_twice_the_denoising_and_the_same_encoder() -> None:
    checkpoint = read_checkpoint(golden_folder("smolvla"))
    four, eight = (inspect_checkpoint(checkpoint, steps=count) for count in (4, 8))
    assert eight.phases[0] == four.phases[0]
    # Not exactly: the projections of the prefix's cache are out of the loop.
    assert eight.phases[1].weight_reads == pytest.approx(2 * four.phases[1].weight_reads, rel=0.02)
    assert eight.phases[1].flops == pytest.approx(2 * four.phases[1].flops, rel=0.02)
    assert eight.parameters == four.parameters


def test_a_repositorys_policy_is_counted_in_its_graphs() -> None:
    found = inspect_policy(DEMO / "demo")
    assert (found.family, found.horizon, found.steps) == ("smolvla", 50, 10)
    assert found.cache_bytes == 2 * math.prod(found.cache_shape) * 2 > 0
    assert set(found.parts) == {"text embedding", "projections", "vision tower", "action expert", "language model"}


def test_a_published_policy_says_where_it_is_from_and_what_serves_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_command(str(DEMO), policy="demo") == 0

    said = "exported          in fp32 from demo_checkpoint, served by onnx, parity not checked"
    assert said in capsys.readouterr().out.splitlines()


def test_the_least_time_of_a_tiny_policy_is_told_in_microseconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_command(str(DEMO), policy="demo") == 0

    rows = capsys.readouterr().out.split("GPU ")[1].split("\n\n")[0].splitlines()[1:]
    assert rows
    assert all(re.search(r">= [0-9.]+ us ", row) for row in rows), rows


def test_a_folder_of_one_policy_needs_no_name() -> None:
    assert find_policy(DEMO, None) == find_policy(DEMO, "demo") == find_policy(DEMO / "demo", None)


def test_a_repository_of_several_policies_asks_for_one_by_name(tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / CONFIG_FILE).write_text("{}")
    with pytest.raises(SetupError, match="--policy one of left, right"):
        find_policy(tmp_path, None)


def test_what_is_no_repository_is_left_to_the_checkpoint_reader(tmp_path: Path) -> None:
    assert find_policy(tmp_path, None) is None
    assert find_policy(Path("lerobot/smolvla_base"), None) is None


@pytest.mark.parametrize("content", [None, b"", b"no graph at all"])
def test_a_policy_without_a_readable_graph_is_refused_by_path(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / CONFIG_FILE).write_bytes((DEMO / "demo" / CONFIG_FILE).read_bytes())
    if content is not None:
        folder = tmp_path / "demo_encoder" / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(content)
    with pytest.raises(RepositoryError, match="demo_encoder"):
        inspect_policy(tmp_path / "demo")


def test_a_policys_normalisation_is_told_by_feature_with_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    source = golden_folder("smolvla")

    assert inspect_command(str(source)) == 0
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert inspect_command(str(source), as_json=True) == 0
    rows = json.loads(capsys.readouterr().out)["normalization"]

    file = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
    assert f"action MEAN_STD mean, std 5 {file}" in told
    action = {"feature": "action", "mode": "MEAN_STD", "statistics": ["mean", "std"], "origin": file}
    assert action | {"never_moved": [5]} in rows
    assert "observation.images.camera1 IDENTITY none nothing: passed on as it is" in told


def test_what_an_export_warned_of_stays_with_the_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DEMO, tmp_path / "models")
    path = tmp_path / "models" / "demo" / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"warnings": ["reads as radians"]}))

    assert inspect_command(str(tmp_path / "models"), policy="demo") == 0
    assert "warning: reads as radians" in capsys.readouterr().out.splitlines()
    assert inspect_command(str(tmp_path / "models"), policy="demo", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == ["reads as radians"]
