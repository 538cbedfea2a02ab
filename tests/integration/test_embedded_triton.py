"""The embedded Triton, for real: started, asked, killed in every way, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import service_pb2, service_pb2_grpc

from reflex.model_repository import model_file
from reflex.triton_wheel import STUB_FILE
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton, TritonEvent
from reflex_frontend.embedded.cleanup import owner_prefix
from reflex_frontend.embedded.layout import backend_directory, cache_folder
from reflex_frontend.embedded.locate import locate
from support.leftovers import SHARED_MEMORY, living_of_group, regions
from support.promise import Promise
from support.waiting import HANGS_S, eventually, wait_until

NAMES = {np.dtype("float32"): "FP32", np.dtype("int64"): "INT64"}
CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 50),
]

COMPONENT = """
name: "{name}"
backend: "onnxruntime"
max_batch_size: 8
input [{{ name: "{input}" data_type: {input_type} dims: [{dim}] }}]
output [{{ name: "{output}" data_type: TYPE_FP32 dims: [{dim}] }}]
instance_group [{{ kind: KIND_CPU count: 1 }}]
dynamic_batching {{ max_queue_delay_microseconds: 20000 }}
"""
ENSEMBLE = """
name: "affine"
platform: "ensemble"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
ensemble_scheduling { step [
  { model_name: "double" model_version: 1 input_map { key: "x" value: "x" } output_map { key: "h" value: "h" } },
  { model_name: "increment" model_version: 1 input_map { key: "h" value: "h" } output_map { key: "y" value: "y" } }
] }
"""
USER_MODEL = """
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", r.inputs()[0].as_numpy())]) for r in requests]
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ensemble `affine` (2x + 1) of two ONNX models, `pick` (fails on a bad index), a user's model, and broken ones.

    Its path has a space, which Triton by itself cannot take.
    """
    root = tmp_path_factory.mktemp("triton") / "my models"
    _onnx_model(root, "double", "Mul", ["x", "c"], "h")
    _onnx_model(root, "increment", "Add", ["h", "c"], "y", constant=1.0)
    _onnx_model(root, "pick", "Gather", ["c", "i"], "y", constant=[10.0, 11.0, 12.0], kind=TensorProto.INT64, dim=1)
    _onnx_model(root, "misnamed", "Mul", ["x", "c"], "h")
    config = root / "misnamed" / "config.pbtxt"
    config.write_text(config.read_text().replace('"x"', '"pixels"'))
    _onnx_model(root, "broken", "Mul", ["x", "c"], "h")
    model_file(root, "broken").write_bytes(b"not a model")
    _write(root / "affine" / "config.pbtxt", ENSEMBLE)
    (root / "affine" / "1").mkdir()
    python = COMPONENT.format(name="user", input="x", input_type="TYPE_FP32", output="y", dim=4)
    _write(root / "user" / "config.pbtxt", python.replace("onnxruntime", "python"))
    _write(root / "user" / "1" / "model.py", USER_MODEL)
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.slow
def test_an_ensemble_answers_and_its_requests_are_batched(repository: Path) -> None:
    async def scenario() -> None:
        async with _serving(repository, "affine") as (triton, stub):
            inputs = [np.full((1 + n % 2, 4), n, np.float32) for n in range(12)]
            answers = await asyncio.gather(*(_infer(stub, "affine", "x", x) for x in inputs))
            for x, y in zip(inputs, answers, strict=True):
                np.testing.assert_array_equal(y, 2 * x + 1)
            statistics = await stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name="affine"))
            assert statistics.model_stats[0].execution_count < len(inputs)
            assert triton.failure is None

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_bad_request_does_not_spoil_the_others_of_its_batch(repository: Path) -> None:
    async def scenario() -> None:
        async with _serving(repository, "pick") as (_, stub):
            calls = [_infer(stub, "pick", "i", np.array([[i]], np.int64)) for i in (0, 99, 2)]
            first, bad, last = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(bad, grpc.aio.AioRpcError)
            assert "indices element out of data bounds" in (bad.details() or "")
            assert not isinstance(first, BaseException)
            assert not isinstance(last, BaseException)
            assert (float(first[0, 0]), float(last[0, 0])) == (10.0, 12.0)

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "reason"), [("broken", "Protobuf parsing failed"), ("misnamed", "config.pbtxt has input 'pixels'")]
)
def test_a_model_that_cannot_load_is_named_with_its_reason(repository: Path, model: str, reason: str) -> None:
    async def scenario() -> None:
        gave_up = asyncio.Event()
        options = EmbeddedOptions(model_repository=repository, models=(model,), max_failed_starts=1)
        triton = EmbeddedTriton(options, on_event=lambda event: gave_up.set() if event.kind == "gave_up" else None)
        await triton.start()
        try:
            async with asyncio.timeout(HANGS_S):
                await gave_up.wait()
            assert f"model '{model}'" in str(triton.failure)
            assert reason in str(triton.failure)
            assert "At:" not in str(triton.failure)
            assert not triton.is_running
        finally:
            await triton.stop()

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "hung"])
def test_a_lost_triton_is_replaced_at_the_same_address_and_leaves_nothing(
    repository: Path, promise: Promise, how: str
) -> None:
    async def scenario() -> None:
        events: list[TritonEvent] = []
        async with _serving(repository, "affine", "user", on_event=events.append) as (triton, stub):
            group, address, before = _pid(triton), triton.grpc_address, regions(owner_prefix())
            starts, began = triton.restarts, len(events)  # a start may have failed before, on a busy machine
            assert len(before) == 2  # one a stub
            if how == "killed":
                os.kill(group, signal.SIGKILL)
            else:
                os.kill(group, signal.SIGSTOP)
                triton.report_hang()
            restarted_s = await eventually(lambda: triton.restarts == starts + 1, "another Triton is started")
            promise("a lost Triton is started again", restarted_s, at_most=3.0)
            assert not living_of_group(group)
            assert not before & regions(owner_prefix())
            await _ready(stub)
            assert triton.grpc_address == address
            np.testing.assert_array_equal(await _infer(stub, "affine", "x", np.ones((1, 4), np.float32)), [[3] * 4])
            assert triton.last_exit == -signal.SIGKILL
            assert [event.kind for event in events[began:] if event.kind != "hung"] == ["exited", "started"]
        assert events[-1].kind == "stopped"

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_models_process_that_dies_as_it_comes_up_costs_seconds_not_minutes(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first word, for which Triton itself would wait two minutes."""

    async def scenario() -> None:
        events: list[TritonEvent] = []
        async with _serving(repository, "affine", on_event=events.append) as (triton, _):
            assert triton.restarts == 1
        assert [event.kind for event in events] == ["started", "hung", "exited", "started", "stopped"]
        assert "the process of a model died as it came up" in events[1].message

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _first_stub_dies(tmp_path)
    asyncio.run(scenario())


def _first_stub_dies(cache: Path) -> None:
    """The first that has a model: before it, Triton asks the program without one for its version."""
    folder = backend_directory(locate(), cache_folder([cache / "reflex" / "embedded"])) / "python"
    stub, died = folder / STUB_FILE, cache / "one has died"
    whole = stub.resolve()
    stub.unlink()
    _write(stub, f'#!/bin/sh\n[ "$1" ] && mkdir "{died}" 2>/dev/null && kill -9 $$\nexec "{whole}" "$@"\n')
    stub.chmod(0o700)


@pytest.mark.slow
def test_no_other_user_can_talk_to_triton_or_read_its_memory(repository: Path) -> None:
    async def scenario() -> None:
        async with _serving(repository, "affine") as (triton, _):
            group, address = _pid(triton), triton.grpc_address.removeprefix("unix:")
            assert stat.S_IMODE(Path(address).parent.stat().st_mode) == 0o700
            modes = {stat.S_IMODE((SHARED_MEMORY / name).stat().st_mode) for name in regions(owner_prefix())}
            assert modes == {0o600}
            listening = [psutil.Process(pid).net_connections("inet") for pid in living_of_group(group)]
            assert not any(listening), "there is a port"
            if os.geteuid() == 0:
                tried = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", STRANGER, address], check=False)
                assert tried.returncode == errno.EACCES

    asyncio.run(scenario())


@pytest.mark.slow
def test_stop_is_quick_and_leaves_no_process_no_memory_and_no_file(repository: Path, promise: Promise) -> None:
    async def scenario() -> None:
        async with _serving(repository, "affine", "user") as (triton, _):
            group, folder = _pid(triton), Path(triton.grpc_address.removeprefix("unix:")).parent
            assert (folder / "tmp").is_dir()
            assert len(living_of_group(group)) == 4  # tritonserver, two stubs, the guardian
            before_s = time.monotonic()
            await triton.stop()
            promise("the embedded Triton stops", time.monotonic() - before_s, at_most=1.5)
            assert not living_of_group(group)
            assert not regions(owner_prefix())
            assert not folder.exists()

    asyncio.run(scenario())


STRANGER = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))
"""
OWNER = """
import asyncio, sys
from pathlib import Path
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton
async def main():
    triton = EmbeddedTriton(EmbeddedOptions(model_repository=Path(sys.argv[1]), models=("affine", "user")))
    await triton.start()
    print(triton.pid, triton.grpc_address, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("ready", [True, False], ids=["serving", "starting"])
def test_kill_9_of_the_frontend_takes_triton_its_stubs_and_their_memory_along(
    repository: Path, promise: Promise, ready: bool
) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(repository)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        words = owner.stdout.readline().split()
        group, prefix = int(words[0]), owner_prefix(owner.pid)
        if ready:
            asyncio.run(_ready_at(words[1]))
            assert len(living_of_group(group)) == 4
            assert len(regions(prefix)) == 2
        else:
            wait_until(lambda: len(living_of_group(group)) > 2, "the first stub has just been born")
        owner.kill()
    folder = Path(words[1].removeprefix("unix:")).parent
    gone_s = wait_until(
        lambda: not living_of_group(group) and not regions(prefix) and not folder.exists(), "nothing is left of Triton"
    )
    promise("kill -9 of its owner takes the embedded Triton along", gone_s, at_most=2.0)


@contextlib.asynccontextmanager
async def _serving(
    repository: Path, *models: str, on_event: Callable[[TritonEvent], None] = lambda _: None
) -> AsyncIterator[tuple[EmbeddedTriton, Any]]:
    triton = EmbeddedTriton(EmbeddedOptions(model_repository=repository, models=models), on_event=on_event)
    await triton.start()
    try:
        async with grpc.aio.insecure_channel(triton.grpc_address, options=CHANNEL) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            await _ready(stub)
            yield triton, stub
    finally:
        await triton.stop()


async def _ready_at(address: str) -> None:
    async with grpc.aio.insecure_channel(address, options=CHANNEL) as channel:
        await _ready(service_pb2_grpc.GRPCInferenceServiceStub(channel))


async def _ready(stub: Any) -> None:
    async def is_ready() -> bool:
        with contextlib.suppress(grpc.aio.AioRpcError):
            return bool((await stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=1.0)).ready)
        return False

    await eventually(is_ready, "Triton is ready")


async def _infer(stub: Any, model: str, name: str, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One call; the answer's only output, as float32."""
    request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[value.tobytes()])
    request.inputs.add(name=name, datatype=NAMES[value.dtype], shape=value.shape)
    answer = await stub.ModelInfer(request, timeout=HANGS_S)
    return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)


def _pid(triton: EmbeddedTriton) -> int:
    assert triton.pid is not None
    return triton.pid


def _onnx_model(
    root: Path, name: str, operator: str, inputs: Sequence[str], output: str, *,
    constant: float | list[float] = 2.0, kind: TensorProto.DataType = TensorProto.FLOAT, dim: int = 4,
) -> None:  # fmt: skip
    fed = next(value for value in inputs if value != "c")
    values = constant if isinstance(constant, list) else [constant]
    graph = helper.make_graph(
        [helper.make_node(operator, list(inputs), [output])],
        name,
        [helper.make_tensor_value_info(fed, kind, ["batch", dim])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", dim])],
        [helper.make_tensor("c", TensorProto.FLOAT, [len(values)], values)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    datatype = {TensorProto.FLOAT: "TYPE_FP32", TensorProto.INT64: "TYPE_INT64"}[kind]
    config = COMPONENT.format(name=name, input=fed, input_type=datatype, output=output, dim=dim)
    _write(root / name / "config.pbtxt", config)
    (root / name / "1").mkdir()
    onnx.save(model, model_file(root, name))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
