"""TensorRT for RTX, for real and without a GPU: what a policy's engines are, and what their builds refuse."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.documents import REPOSITORY, blocks_of
from integration.engine_builds import BUILD_S, DEMO, command, config_of, copy_of_demo
from reflex.durable_files import partial_of
from reflex.errors import RepositoryError
from reflex.model_repository import CONFIG_FILE, model_file
from reflex.policy_config import read_policy_config
from reflex_export.engines import (
    EngineError,
    PolicyEngines,
    PrecisionError,
    build_repository,
)
from reflex_export.engines.record import read_manifest
from reflex_frontend.policy.policy import load_policy
from support.promise import Promise
from support.server import running_server

pytestmark = pytest.mark.slow

GUIDE = REPOSITORY / "docs" / "engines.md"
HIT_S = 2.0


@dataclass(frozen=True)
class Built:
    repository: Path
    cache: Path
    policies: tuple[PolicyEngines, ...]
    phases: tuple[str, ...]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The demo policy with its engines, still served from ONNX."""
    folder = tmp_path_factory.mktemp("engines")
    repository, cache = copy_of_demo(folder), folder / "cache"
    phases: list[str] = []
    policies = build_repository(
        repository, None, "tensorrt-rtx", cache=cache, progress=lambda step: phases.append(step.phase)
    )
    return Built(repository, cache, policies, tuple(phases))


def test_encoder_and_denoise_of_the_demo_policy_are_built(built: Built) -> None:
    (policy,) = built.policies

    assert [component.name for component in policy.components] == ["demo_encoder", "demo_denoise"]
    for component in policy.components:
        manifest = read_manifest((component.plan.parent / "engine.json").read_bytes())
        assert component.plan.stat().st_size == manifest.plan_bytes > 1_000_000
        assert manifest.precision.products.keys() == {"fp32"}
        assert not partial_of(component.plan).exists()


def test_the_progress_names_what_tensorrt_does(built: Built) -> None:
    assert {"reading the graph", "Building engine"} <= set(built.phases)


def test_without_a_backend_in_triton_the_policy_is_still_served_from_onnx(built: Built, tmp_path: Path) -> None:
    assert not built.policies[0].active
    assert config_of(built.repository / "demo_denoise") == config_of(DEMO / "demo_denoise")
    repository = Path(shutil.copytree(built.repository, tmp_path / "served"))
    shutil.copy(model_file(DEMO, "demo_denoise"), model_file(repository, "demo_denoise"))  # the canary's own
    with running_server("--model-repository", str(repository)) as server:
        assert server.health().json()["status"] == "ready"


def test_an_active_engine_has_cuda_graphs_and_a_warm_up_and_the_policy_says_so(built: Built, tmp_path: Path) -> None:
    repository = copy_of_demo(tmp_path)

    (policy,) = build_repository(repository, "demo", "tensorrt-rtx", activate=True, cache=built.cache)

    assert policy.active
    before, config = config_of(DEMO / "demo_denoise"), config_of(repository / "demo_denoise")
    assert (config.backend, config.optimization.cuda.graphs) == ("tensorrt_rtx", True)
    assert [warmup.batch_size for warmup in config.model_warmup] == [1, 8]
    assert all(set(warmup.inputs) == {tensor.name for tensor in before.input} for warmup in config.model_warmup)
    assert all(list(config.model_warmup[0].inputs[t.name].dims) == list(t.dims) for t in before.input)
    assert config_of(repository / "demo_preprocess").backend == "onnxruntime"
    described = read_policy_config(repository / "demo")
    assert (described.engine, described.inference_mode, described.parity) == ("tensorrt-rtx", "decomposed", None)
    assert load_policy(repository, "demo").config == described


def test_a_second_build_takes_under_two_seconds_and_builds_nothing(
    built: Built, tmp_path: Path, promise: Promise
) -> None:
    repository = copy_of_demo(tmp_path)

    with promise.beside_neighbours() as neighbours:
        started_s = time.monotonic()
        with command(repository, built.cache) as process:
            output, errors = process.communicate(timeout=BUILD_S)
        took_s = time.monotonic() - started_s

    promise("engines that are there already are found", neighbours.without(took_s), at_most=HIT_S)
    assert errors == ""
    (engines,) = json.loads(output)["engines"]
    assert [component["cached"] for component in engines["components"]] == [True, True]


def test_a_plan_that_is_there_already_is_not_written_again(built: Built) -> None:
    plan = built.repository / "demo_denoise" / "1" / "model.plan"
    before = plan.stat()

    build_repository(built.repository, "demo", "tensorrt-rtx", cache=built.cache)

    assert (plan.stat().st_ino, plan.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_policy_that_claims_fp16_with_fp32_graphs_publishes_nothing(built: Built, tmp_path: Path) -> None:
    repository = copy_of_demo(tmp_path)
    described = repository / "demo" / CONFIG_FILE
    described.write_text(described.read_text().replace('"precision": "fp32"', '"precision": "fp16"'))

    with pytest.raises(PrecisionError):
        build_repository(repository, "demo", "tensorrt-rtx", cache=built.cache)

    assert not list(repository.glob("*/1/*.plan"))


def test_a_repository_without_its_onnx_says_what_to_do(tmp_path: Path) -> None:
    repository = copy_of_demo(tmp_path)
    model_file(repository, "demo_encoder").unlink()

    with pytest.raises(EngineError, match=r"model\.onnx is missing.*export the policy again"):
        build_repository(repository, "demo", "tensorrt-rtx", cache=tmp_path / "cache")


def test_the_example_of_the_guide_runs(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_of_demo(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reflex_export.engines.build.default_cache_folder", lambda: built.cache)
    (example,) = (block for block in blocks_of(GUIDE) if block.language == "py")

    exec(compile(example.code, str(GUIDE), "exec"), {})

    assert (tmp_path / "model_repository" / "demo_denoise" / "1" / "model.plan").is_file()


def test_an_unknown_policy_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="other"):
        build_repository(copy_of_demo(tmp_path), "other", "tensorrt-rtx", cache=tmp_path / "cache")
