"""The choice of a provider, with the real ONNX Runtime of this environment; and its errors, as the GPU tells them.

Where `REFLEX_TEST_ONNXRUNTIME_GPU` names the Python of an environment with `onnxruntime-gpu` and NVIDIA's plugin, the
same is tried with them, as far as they load on a machine without a driver.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as states

from support.gpus.backend import BACKEND, backend_module, doubling, model_config
from support.gpus.standin import RTX_4090, Standin

device = backend_module("reflex_device")
ensemble = backend_module("reflex_ensemble")
session = backend_module("reflex_session")

GPU_PYTHON = os.environ.get("REFLEX_TEST_ONNXRUNTIME_GPU")


@pytest.mark.parametrize(
    ("config", "written", "where"),
    [
        ({}, "", "cuda"),
        ({}, "instance_group [{ kind: KIND_CPU count: 1 }]", "cpu"),
        ({}, "# kind: KIND_CPU\ninstance_group [{ kind: KIND_GPU }]", "cuda"),
        ({"dims": (-1, -1, 3)}, "", "cpu"),
    ],
)
def test_a_model_runs_on_the_chosen_device_unless_it_asks_for_the_cpu_or_takes_any_size(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], written: str, where: str
) -> None:
    monkeypatch.setenv("REFLEX_ONNX_DEVICE", "cuda")
    assert device.device_of(model_config(**config), written) == where
    monkeypatch.delenv("REFLEX_ONNX_DEVICE")
    assert device.device_of(model_config(**config), written) == "cpu"


ILLEGAL = "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; expr=cudaStreamSynchronize(stream)"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ILLEGAL, "the GPU is lost (CUDA failure 700)"),
        ("CUDA failure 999: unknown error ; GPU=0", "the GPU is lost (CUDA failure 999)"),
        ("CUDA failure 719: unspecified launch failure", "the GPU is lost"),
        ("CUDA failure 2: out of memory ; GPU=0", "the GPU's memory ran out"),
        ("Failed to allocate memory for requested buffer of size 536870912", "the GPU's memory ran out"),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", "the GPU's memory ran out"),
    ],
)
def test_an_error_of_the_gpu_is_told_in_words_with_what_to_do(error: str, said: str) -> None:
    sentence = session.reason_of(RuntimeError(f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {error}"), on_gpu=True)
    assert sentence.startswith(said)
    assert "`" in sentence


@pytest.mark.parametrize(
    "error",
    [
        states.RuntimeException("Failed to allocate memory for requested buffer of size 536870912"),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
)
def test_on_the_cpu_it_is_the_machines_memory_that_ran_out(error: Exception) -> None:
    sentence = device.reason_of(error, on_gpu=False)
    assert sentence.startswith("this machine's memory ran out; see with `free -h`")
    assert "GPU" not in sentence


def test_a_request_that_needs_more_memory_than_there_is_says_so(tmp_path: Path) -> None:
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["shape"], to=onnx.TensorProto.INT64),
        onnx.helper.make_node("ConstantOfShape", ["shape"], ["y"]),
    ]
    graph = onnx.helper.make_graph(nodes, "vast", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "model.onnx")
    opened = session.open_session(model_config(max_batch_size=0), tmp_path)
    model = ensemble.Step("denoise", opened, {"x": "x"}, {"y": "y"}, batches=False, most_rows=0)
    sides = np.full(4, 1 << 14, np.float32)  # more than any address space has
    (result,) = ensemble.Ensemble("policy", (model,)).run_all([{"x": sides}], frozenset({"y"}), lambda _: False)
    assert str(result).startswith("in ensemble 'policy', denoise: ONNX Runtime: this machine's memory ran out")


def test_other_errors_stay_what_they_are() -> None:
    assert device.sentence_of("Got invalid dimensions for input: x") is None
    assert device.sentence_of("CUDA failure 1: invalid argument") is None


def loaded_on(wanted: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a model's load error says."""
    doubling(folder / "model.onnx")
    monkeypatch.setenv("REFLEX_ONNX_DEVICE", wanted)
    with pytest.raises(session.LoadError) as refused:
        session.open_session(model_config(), folder)
    return str(refused.value)


def test_a_package_without_cuda_is_no_reason_to_run_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = loaded_on("cuda", tmp_path, monkeypatch)
    assert said.startswith("device cuda: the package onnxruntime here computes on the CPU alone")


def test_a_package_without_the_plugin_is_no_reason_to_run_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded_on("trt-rtx", tmp_path, monkeypatch).startswith("device trt-rtx: No module named")


def test_a_provider_that_onnxruntime_passes_over_silently_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", _as_with_cuda)
    said = loaded_on("cuda", tmp_path, monkeypatch)
    assert said.startswith("device cuda: its provider cannot be loaded: ")


def corrupted(path: Path) -> None:
    path.write_bytes(b"no graph" * 8)


def without_its_weights(path: Path) -> None:
    doubling(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0)
    (path.parent / "weights").unlink()


def of_an_unknown_operator(path: Path) -> None:
    doubling(path)
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, path)


def with_a_fixed_batch(path: Path) -> None:
    doubling(path, batched=False)


INT64 = {"name": "x", "data_type": "TYPE_INT64", "dims": ["4"]}
ELSEWHERE = {"name": "elsewhere", "data_type": "TYPE_FP32", "dims": ["4"]}
THREADS = {"intra_op_thread_count": {"string_value": "many"}}


@pytest.mark.parametrize(
    ("written", "config", "said"),
    [
        (corrupted, {}, "model.onnx cannot be loaded: INVALID_PROTOBUF : Load model from"),
        (without_its_weights, {}, "model.onnx cannot be loaded: FAIL : External data path"),
        (of_an_unknown_operator, {}, "No Op registered for NoSuchOperator"),
        (with_a_fixed_batch, {}, "max_batch_size is 4, but the first axis of input 'x' is fixed at 1"),
        (doubling, {"input": [ELSEWHERE]}, "config.pbtxt has input 'elsewhere', the model has only x"),
        (doubling, {"input": [INT64]}, "input 'x' is TYPE_INT64 in config.pbtxt and tensor(float) in the model"),
        (doubling, {"parameters": THREADS}, "config.pbtxt has intra_op_thread_count 'many'; write a whole number"),
    ],
)
def test_what_is_wrong_with_a_model_is_no_fault_of_the_gpu_and_is_told_as_on_the_cpu(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: Callable[[Path], object],
    config: dict[str, Any],
    said: str,
) -> None:
    written(tmp_path / "model.onnx")
    told = []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", _as_on_cuda)
    for wanted in ("cpu", "cuda"):
        monkeypatch.setenv("REFLEX_ONNX_DEVICE", wanted)
        with pytest.raises(session.LoadError) as refused:
            session.open_session(model_config(**config), tmp_path)
        told.append(str(refused.value))
    assert said in told[0]
    assert told[1] == told[0]


def _as_on_cuda(path: str, options: Any, **_: Any) -> Any:
    """A session of the CPU that says that the GPU runs it."""
    opened = _as_with_cuda(path, options)
    opened.get_providers = lambda: ["CUDAExecutionProvider"]
    return opened


@pytest.mark.parametrize(
    ("error", "is_models"),
    [
        (RuntimeError("Error in execution: Got invalid dimensions for input: x for the following indices"), True),
        (KeyError("elsewhere"), True),
        (PermissionError(13, "Permission denied", "/r/CUDA/model.onnx"), True),
        (states.InvalidProtobuf("Load model from /r/CUDA/model.onnx failed:Protobuf parsing failed."), True),
        (states.InvalidArgument("Invalid CUDA device ID 0"), False),
        (states.InvalidArgument("CUDA failure 2: out of memory ; GPU=0"), False),
        (states.Fail("Failed to load library /x/libp.so with error: libcuda.so.1: cannot open"), False),
        (states.RuntimeException("CUDA failure 209: no kernel image is available"), False),
        (PermissionError(13, "Permission denied", "/dev/nvidia0"), False),
    ],
)
def test_an_error_is_the_models_where_no_device_would_take_it(error: Exception, is_models: bool) -> None:
    assert device._is_of_model(error, Path("/r/CUDA/model.onnx")) is is_models


def _as_with_cuda(path: str, options: Any, **_: Any) -> Any:
    return onnxruntime.capi.onnxruntime_inference_collection.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )


def test_the_cpu_stays_a_plain_session(tmp_path: Path) -> None:
    doubling(tmp_path / "model.onnx")
    opened = session.open_session(model_config(), tmp_path)
    assert type(opened) is onnxruntime.InferenceSession
    assert (opened.run(["y"], {"x": np.ones((1, 4), np.float32)})[0] == 2.0).all()


def test_the_plugin_is_given_the_batches_that_come_and_its_cache_hangs_on_them() -> None:
    assert device._profile(model_config(dims=(3, 64), max_batch_size=8)) == {
        "nv_profile_min_shapes": "x:1x3x64",
        "nv_profile_opt_shapes": "x:1x3x64",
        "nv_profile_max_shapes": "x:8x3x64",
    }
    assert device._profile(model_config(max_batch_size=0)) == {}


def test_what_onnxruntime_says_of_a_library_goes_on_without_codes_and_paths() -> None:
    said = "[ONNXRuntimeError] : 1 : FAIL : Failed to load library /x/libp.so with error: libcuda.so.1: cannot open"
    assert device._plainly(said) == (
        "its library cannot be loaded: libcuda.so.1: cannot open; `reflex doctor` says more"
    )
    assert device._plainly("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : no kernel image") == "no kernel image"
    assert device._plainly(said.replace("libcuda.so.1", "/opt/nvidia/libcuda.so.1")) == device._plainly(said)


def test_where_in_its_source_and_on_which_machine_onnxruntime_failed_is_not_told() -> None:
    where = " ; GPU=0 ; hostname=arm-7 ; file=/onnxruntime_src/onnxruntime/core/cuda_call.cc ; line=129 ; expr=x"
    said = f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : CUDA failure 209: no kernel image{where}"
    assert device._plainly(said) == "CUDA failure 209: no kernel image"
    assert device.reason_of(RuntimeError(said), on_gpu=True) == "RUNTIME_EXCEPTION : CUDA failure 209: no kernel image"


@pytest.mark.parametrize(
    ("config", "captures"),
    [({}, "1"), ({"max_batch_size": 64}, "0"), ({"output": [{"name": "y", "dims": ["-1"]}]}, "0")],
)
def test_graphs_are_asked_for_where_every_shape_is_known(config: dict[str, Any], captures: str) -> None:
    assert device._rtx_options(model_config(**config))["enable_cuda_graph"] == captures


TRY = """
import json, sys
sys.path.insert(0, {backend!r})
import reflex_session
try:
    reflex_session.open_session(json.loads({config!r}), __import__("pathlib").Path({folder!r}))
except reflex_session.LoadError as exc:
    print("LOAD ERROR", exc)
"""


def with_gpu_packages(folder: Path, wanted: str, libraries: Path) -> str:
    """What the load error says in that other environment, where the loader looks into `libraries`, too."""
    doubling(folder / "model.onnx")
    code = TRY.format(backend=str(BACKEND), config=json.dumps(model_config()), folder=str(folder))
    environment = os.environ | {"REFLEX_ONNX_DEVICE": wanted, "LD_LIBRARY_PATH": str(libraries)}
    run = subprocess.run([str(GPU_PYTHON), "-c", code], env=environment, capture_output=True, text=True, check=False)
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("LOAD ERROR ")] or [run.stderr]
    return line.removeprefix("LOAD ERROR ")


if GPU_PYTHON:

    def test_onnxruntime_gpu_without_cudas_libraries_names_the_one_that_is_missing(tmp_path: Path) -> None:
        said = with_gpu_packages(tmp_path, "cuda", tmp_path)
        assert said.startswith("device cuda: its provider cannot be loaded: libcublasLt.so.13: cannot open")

    def test_nvidias_plugin_without_a_driver_names_the_library_that_is_missing(tmp_path: Path) -> None:
        said = with_gpu_packages(tmp_path, "trt-rtx", tmp_path)
        assert said.startswith("device trt-rtx: ")
        assert "libcuda.so.1" in said

    def test_nvidias_plugin_with_a_driver_alone_goes_on_to_its_next_library(tmp_path: Path) -> None:
        Standin([RTX_4090]).write(tmp_path / "libcuda.so.1")
        said = with_gpu_packages(tmp_path, "trt-rtx", tmp_path)
        assert "libcuda.so.1: cannot open" not in said
        assert "libnvidia-ml.so.1" in said
