"""TensorRT for RTX, for real and without a GPU: built, cached, built once by two, killed, and refused readably."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

from docs.documents import REPOSITORY, blocks_of
from reflex.durable_files import partial_of
from reflex.errors import RepositoryError, SetupError
from reflex.model_repository import CONFIG_FILE, model_file
from reflex.policy_config import read_policy_config
from reflex_export.engines import (
    BuildOptions,
    EngineError,
    EngineRecord,
    GraphRefusedError,
    PolicyEngines,
    PrecisionError,
    build_engine,
    build_repository,
    profile_of,
    read_onnx,
)
from reflex_export.engines.cache import EngineCache
from reflex_export.engines.record import read_manifest
from reflex_frontend.policy.policy import load_policy
from support.promise import Promise
from support.server import running_server
from support.waiting import HANGS_S, let_pass, wait_until
from unit.reflex_export.engines.graphs import attention_block, linear, save

GUIDE = REPOSITORY / "docs" / "engines.md"
DEMO = Path(__file__).parents[2] / "model_repository"
RTX = BuildOptions("tensorrt-rtx")
HIT_S = 2.0
ENDED_S = 5.0
BUILD_S = 240.0


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


def copy_of_demo(folder: Path) -> Path:
    return Path(shutil.copytree(DEMO, folder / "model_repository", dirs_exist_ok=True))


def build(path: Path, cache: Path, options: BuildOptions = RTX, **more: Any) -> EngineRecord:
    return build_engine(path, profile_of(read_onnx(path).inputs, max_batch=4), options, cache=cache, **more)


def config_of(model: Path) -> Any:
    return text_format.Parse((model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


@contextlib.contextmanager
def command(repository: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """`build_command` in a process of its own, which prints its JSON."""
    code = (
        "import sys; from pathlib import Path; from reflex_export.commands.engines import build_command; "
        "build_command(Path(sys.argv[1]), engine='tensorrt-rtx', cache=Path(sys.argv[2]), as_json=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(repository), str(cache)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The process in which TensorRT runs, once there is one."""
    workers: list[psutil.Process] = []

    def is_started() -> bool:
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.Error):
                if "reflex_export.engines.worker" in child.cmdline():
                    workers.append(child)
        return bool(workers)

    wait_until(is_started, "a worker is started")
    return workers[0]


def entries(cache: Path) -> list[str]:
    """Finished engines of a cache."""
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith(".") and path.name != "locks")


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


def test_without_a_backend_in_triton_the_policy_is_still_served_from_onnx(built: Built) -> None:
    assert not built.policies[0].active
    assert config_of(built.repository / "demo_denoise") == config_of(DEMO / "demo_denoise")
    with running_server("--model-repository", str(built.repository)) as server:
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
    started_s = time.monotonic()

    with command(repository, built.cache) as process:
        output, errors = process.communicate(timeout=BUILD_S)

    promise("engines that are there already are found", time.monotonic() - started_s, at_most=HIT_S)
    assert errors == ""
    (engines,) = json.loads(output)["engines"]
    assert [component["cached"] for component in engines["components"]] == [True, True]


def test_a_plan_that_is_there_already_is_not_written_again(built: Built) -> None:
    plan = built.repository / "demo_denoise" / "1" / "model.plan"
    before = plan.stat()

    build_repository(built.repository, "demo", "tensorrt-rtx", cache=built.cache)

    assert (plan.stat().st_ino, plan.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_two_that_build_the_same_at_once_build_it_once(tmp_path: Path) -> None:
    records: list[EngineRecord] = []
    phases: list[str] = []

    def build_encoder() -> None:
        path = model_file(DEMO, "demo_encoder")
        records.append(build(path, tmp_path, progress=lambda step: phases.append(step.phase)))

    threads = [threading.Thread(target=build_encoder) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(record.cached for record in records) == [False, True]
    assert phases.count("Building engine") == 1
    assert "waiting for another build of the same engine" in phases


def test_two_commands_at_once_build_each_engine_once(tmp_path: Path) -> None:
    repository, cache = copy_of_demo(tmp_path), tmp_path / "cache"
    shutil.copytree(DEMO / "demo_encoder" / "1", repository / "demo_denoise" / "1", dirs_exist_ok=True)  # the small one

    with command(repository, cache) as first, command(repository, cache) as second:
        outputs = [process.communicate(timeout=BUILD_S) for process in (first, second)]

    built = [json.loads(output)["engines"][0]["components"] for output, _ in outputs]
    # Encoder and denoise differ in their greatest batch only: two engines, four times asked for.
    assert sum(not component["cached"] for components in built for component in components) == 2
    assert len(entries(cache)) == 2


@pytest.mark.parametrize("delay_s", [0.0, 0.45, 0.9])
def test_a_build_that_is_killed_leaves_no_half_engine(tmp_path: Path, delay_s: float) -> None:
    repository, cache = copy_of_demo(tmp_path), tmp_path / "cache"
    with command(repository, cache) as process:
        worker = worker_of(process)
        let_pass(delay_s)
        process.kill()
        process.wait()
        gone, alive = psutil.wait_procs([worker], timeout=HANGS_S)

    assert (len(gone), alive) == (1, [])
    assert not list(repository.glob("*/1/*.plan"))
    assert all(EngineCache(cache).find(key) is not None for key in entries(cache))
    record = build(model_file(repository, "demo_encoder"), cache)
    assert record.plan.stat().st_size == record.manifest.plan_bytes
    assert not list(cache.glob(f".{record.manifest.key}*"))


@pytest.mark.parametrize("delay_s", [0.0, 0.6])
def test_ctrl_c_ends_a_build_at_once_and_leaves_nothing(tmp_path: Path, promise: Promise, delay_s: float) -> None:
    repository, cache = copy_of_demo(tmp_path), tmp_path / "cache"
    shutil.copytree(DEMO / "demo_denoise" / "1", repository / "demo_encoder" / "1", dirs_exist_ok=True)  # the slow one
    with command(repository, cache) as process:
        worker = worker_of(process)
        let_pass(delay_s)
        started_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=BUILD_S)
        took_s = time.monotonic() - started_s
        gone, _ = psutil.wait_procs([worker], timeout=HANGS_S)

    promise("Ctrl-C ends an engine build", took_s, at_most=ENDED_S)
    assert gone == [worker]
    assert entries(cache) == []
    assert not list(cache.glob(".*.partial"))


def test_a_worker_that_dies_is_an_error_that_says_how(tmp_path: Path) -> None:
    repository = copy_of_demo(tmp_path)
    with command(repository, tmp_path / "cache") as process:
        worker_of(process).kill()
        output, _ = process.communicate(timeout=BUILD_S)

    assert process.returncode == 1
    assert "killed, probably because memory ran out" in json.loads(output)["message"]


def test_fp16_layers_are_proven_and_the_fp32_islands_are_known(tmp_path: Path) -> None:
    record = build(attention_block(tmp_path / "model.onnx"), tmp_path / "cache", precision="fp16")

    precision = record.manifest.precision
    assert precision.products == {"fp16": 4}
    assert precision.share_of("fp16") == 1.0
    assert precision.multiplications["fp16"] == 16 * 64 * (3 * 64 + 16 + 16 + 64)
    assert precision.layers["fp32"] >= 6  # the norm, the softmax, the residual
    assert record.manifest.plan_bytes > 10_000


def test_an_fp32_graph_that_claims_fp16_is_refused_built_or_cached(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")

    for _ in ("built", "cached"):
        with pytest.raises(PrecisionError, match=r"100% fp32.*--precision fp16"):
            build(path, tmp_path / "cache", precision="fp16")


def test_weights_in_another_file_are_found(tmp_path: Path) -> None:
    record = build(linear(tmp_path / "model.onnx", np.float16, external=True), tmp_path / "cache")

    assert record.manifest.precision.products == {"fp16": 1}


def test_images_of_any_size_are_taken_within_the_profile(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Shape", ["image"], ["batch_size"], start=0, end=1, name="batch"),
        helper.make_node("Concat", ["batch_size", "size"], ["sizes"], axis=0, name="sizes"),
        helper.make_node("Resize", ["pixels", "", "", "sizes"], ["y"], mode="linear", name="resize"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])
    resized = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64, 64, 3])
    path = save(tmp_path / "model.onnx", nodes, [image], [resized], {"size": np.array([64, 64, 3])})

    record = build(path, tmp_path / "cache")

    assert record.manifest.profile["image"].minimum == (1, 1, 1, 3)
    assert record.manifest.profile["image"].maximum == (4, 1920, 1920, 3)


def test_a_target_makes_another_engine_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")
    portable = build(path, tmp_path / "cache")

    for_ada = build(path, tmp_path / "cache", BuildOptions("tensorrt-rtx", targets=("SM89",)))

    assert (portable.manifest.target, for_ada.manifest.target) == ("rtx-sm80-and-later", "rtx-sm89")
    assert portable.manifest.key != for_ada.manifest.key
    with pytest.raises(SetupError, match=r"SM90 is no target of tensorrt-rtx .* it has SM75, SM80, SM86"):
        build(path, tmp_path / "cache", BuildOptions("tensorrt-rtx", targets=("SM90",)))


def test_a_refused_graph_lists_every_node_in_its_own_line(tmp_path: Path) -> None:
    vector = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="determinant"),
        helper.make_node("MatMul", ["x", "half"], ["b"], name="mixed"),
        helper.make_node("Fancy", ["x"], ["y"], name="unknown", domain="com.example"),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])]
    path = save(tmp_path / "model.onnx", nodes, [vector], outputs, {"half": np.ones((8, 8), np.float16)})

    with pytest.raises(GraphRefusedError) as refused:
        build(path, tmp_path / "cache")

    first, *lines = str(refused.value).splitlines()
    assert first == f"TensorRT cannot take {path}:"
    assert lines[0] == "  node determinant (Det): this operator is not supported"
    assert any(line.startswith("  node unknown (Fancy): unknown operator") for line in lines)
    assert entries(tmp_path / "cache") == []


def test_a_type_mismatch_is_told_in_tensorrts_words(tmp_path: Path) -> None:
    vector = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])
    nodes = [helper.make_node("MatMul", ["x", "half"], ["y"], name="mixed")]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])]
    path = save(tmp_path / "model.onnx", nodes, [vector], outputs, {"half": np.ones((8, 8), np.float16)})

    with pytest.raises(
        GraphRefusedError, match=r"node mixed \(MatMul\): .*`A` is of type Float and `B` is of type Half"
    ):
        build(path, tmp_path / "cache")


def test_a_profile_for_other_inputs_is_refused(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")

    with pytest.raises(EngineError):
        build_engine(path, {}, RTX, cache=tmp_path / "cache")


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


def export_with_engines(repository: Path, home: Path, *options: str) -> subprocess.Popen[str]:
    """`reflex export --engine tensorrt-rtx` of the demo's checkpoint, with a cache of its own."""
    source = REPOSITORY / "export" / "demo_checkpoint"
    where = ["--name", "arm", "--embodiment", "franka", "--repository", str(repository)]
    return subprocess.Popen(
        [sys.executable, "-m", "reflex.cli", "export", str(source), *where, "--engine", "tensorrt-rtx", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"HOME": str(home), "PATH": ""},
    )


def test_an_export_with_engines_publishes_them_beside_the_onnx(tmp_path: Path) -> None:
    with export_with_engines(tmp_path / "models", tmp_path, "--steps", "1", "--json") as process:
        output, errors = process.communicate(timeout=BUILD_S)

    assert (process.returncode, errors) == (0, "")
    (engines,) = json.loads(output)["engines"]
    assert [Path(part["plan"]) for part in engines["components"]] == [
        tmp_path / "models" / f"arm_{role}" / "1" / "model.plan" for role in ("encoder", "denoise")
    ]
    for part in engines["components"]:
        plan = Path(part["plan"])
        assert plan.stat().st_size == part["plan_bytes"]
        assert {path.name for path in plan.parent.iterdir()} == {"model.onnx", "model.plan", "engine.json"}
    described = read_policy_config(tmp_path / "models" / "arm")
    # Triton itself has no backend for these plans: what is served, and so what is said, is the ONNX.
    assert (described.engine, described.precision, described.inference_mode) == ("onnx", "fp32", "onnx_cpu")
    assert load_policy(tmp_path / "models", "arm").config == described


def test_an_export_whose_engines_fail_publishes_nothing(tmp_path: Path) -> None:
    with export_with_engines(tmp_path / "models", tmp_path, "--steps", "10") as process:
        worker_of(process).kill()
        _, errors = process.communicate(timeout=BUILD_S)

    assert process.returncode == 1
    assert "killed, probably because memory ran out" in errors
    assert not (tmp_path / "models").exists()


def test_a_dry_run_with_engines_publishes_nothing(tmp_path: Path) -> None:
    with export_with_engines(tmp_path / "models", tmp_path, "--steps", "1", "--dry-run") as process:
        _, errors = process.communicate(timeout=BUILD_S)

    assert process.returncode == 0, errors
    assert not (tmp_path / "models").exists()
