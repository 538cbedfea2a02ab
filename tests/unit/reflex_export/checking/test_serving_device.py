"""Where a policy is measured: on the processor, or on a GPU, of which everything that is missing is named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from reflex.export_options import ExportOptions
from reflex.model_repository import MODEL_FILE, cuda_model_file
from reflex_export.checking.parity import PolicyRunner
from reflex_export.checking.serving_device import (
    CUDA_PROVIDER,
    PROCESSOR,
    ServingDevice,
    cuda_device,
    serving_device,
)
from reflex_export.checking.verification import verify_policy
from reflex_export.engines.device import driver_version
from reflex_export.errors import DeviceError
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.graph import onnx_model
from reflex_export.progress import Stage
from support.checkpoints.golden import golden_checkpoint
from support.gpus.negation import negation
from support.gpus.standin import H200, Standin

NO_DRIVER = "libcuda-of-no-machine.so.1"


@pytest.fixture
def driver(tmp_path: Path) -> str:
    """That of a machine with a card."""
    return str(Standin([H200]).write(tmp_path / "libcuda.so.1"))


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime says that it was built for CUDA."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER, "CPUExecutionProvider"])


def test_the_processor_needs_nothing() -> None:
    assert serving_device("cpu").is_processor


def test_without_a_driver_the_loaders_words_and_three_ways_on_are_told() -> None:
    with pytest.raises(DeviceError, match=rf"no NVIDIA driver here \({NO_DRIVER}.*--gpus all.*--device cpu"):
        cuda_device(NO_DRIVER)


@pytest.mark.parametrize(
    ("standin", "sentence"),
    [
        (Standin([]), r"the driver finds no GPU .*; see what `nvidia-smi -L` lists.*--device cpu"),
        (Standin([H200], cuda=12040), r"runs? CUDA 12.4, and CUDA 13 needs release 580.*--device cpu"),
        (Standin([H200], results={"cuInit": 803}), r"not of one release .*803.*--device cpu"),
    ],
)
def test_a_driver_without_a_card_too_old_or_broken_is_told_apart(
    tmp_path: Path, standin: Standin, sentence: str
) -> None:
    with pytest.raises(DeviceError, match=f"^--device cuda: .*{sentence}"):
        cuda_device(str(standin.write(tmp_path / "libcuda.so.1")))


def test_a_package_that_computes_on_the_cpu_alone_goes_with_the_other_before_one_comes(driver: str) -> None:
    """They share their files: taking one away leaves a broken other, where both are installed."""
    with pytest.raises(
        DeviceError,
        match=r"onnxruntime [\d.]+ computes on the CPU alone; run: .*uninstall.* -y onnxruntime onnxruntime-gpu && "
        r".*install.*\[gpu\]",
    ):
        cuda_device(driver)


@pytest.mark.usefixtures("with_cuda")
def test_a_gpu_is_asked_for_without_tf32_and_described(
    driver: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcufft.so.12"))

    device = cuda_device(driver)

    assert (device.name, device.compute_capability) == ("NVIDIA H200", "9.0")
    assert device.providers[0] == (CUDA_PROVIDER, {"use_tf32": "0"})
    assert device.runtime["onnxruntime"] == onnxruntime.__version__
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:Specified provider")  # the build of this machine has none for CUDA
@pytest.mark.usefixtures("with_cuda")
def test_a_provider_that_does_not_start_is_an_error_with_the_missing_library_and_never_the_cpu(
    tmp_path: Path, driver: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        DeviceError, match=rf"cannot compute on NVIDIA H200: {CUDA_PROVIDER} does not start \(.*\.so.*\); install"
    ):
        PolicyRunner([negation(tmp_path / "m")], cuda_device(driver))

    assert capsys.readouterr().out == ""


def test_a_failure_on_a_device_speaks_of_the_device(tmp_path: Path) -> None:
    runner = PolicyRunner([negation(tmp_path / "m")], ServingDevice("NVIDIA H200"))

    with pytest.raises(DeviceError, match=r"fails on a request on NVIDIA H200 \(.*\); see by `nvidia-smi`"):
        runner.run({"x": np.zeros((1, 3), np.float32)})


@pytest.mark.parametrize("kind", [ort.EPFail, ort.NotImplemented, ort.RuntimeException])
def test_whatever_onnx_runtime_raises_speaks_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind("")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)

    with pytest.raises(DeviceError, match=rf"cannot be loaded on NVIDIA H200 \({kind.__name__}\)"):
        PolicyRunner([tmp_path / "model.onnx"], ServingDevice("NVIDIA H200"))


def test_the_drivers_version_is_its_modules_or_the_cuda_of_its_library(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("580.95.05\n")

    assert driver_version(NO_DRIVER, tmp_path / "version") == "580.95.05"
    assert driver_version(NO_DRIVER, tmp_path / "absent") == ""
    assert sys.platform != "linux" or driver_version("libc.so.6", tmp_path / "absent") == ""


def test_what_a_server_opens_on_cuda_is_what_is_measured_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card computes on the CPU here, and the form for CUDA has a fault, by which they can be told apart."""
    monkeypatch.setattr(onnx_model, "_EXTERNAL_FROM_BYTES", 1)
    checkpoint, options = (
        golden_checkpoint("pi05"),
        ExportOptions(tmp_path, "arm", "so101", "fp16", steps=(1,), check=False),
    )
    (policy,) = export_checkpoint(checkpoint, options).policies
    own = cuda_model_file(tmp_path, policy.component("denoise"))
    assert own is not None
    graph = onnx.load(own, load_external_data=False)
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name == "scale":
                attribute.f = 4.0
    own.write_bytes(graph.SerializeToString())
    card = ServingDevice("a card", (("CPUExecutionProvider", {}),))

    told: list[Stage] = []

    def found(device: ServingDevice) -> tuple[str, str]:
        verification = verify_policy(tmp_path, policy, checkpoint, None, told.append, device)
        return verification.parity.verdict, verification.form

    assert [found(PROCESSOR), found(card)] == [("passed", MODEL_FILE), ("failed", own.name)]
    with monkeypatch.context() as asked:
        asked.setenv("REFLEX_CUDA_MASKS", "1")
        assert found(card) == ("passed", MODEL_FILE)
    own.write_bytes(b"no graph")
    assert found(card) == ("passed", MODEL_FILE)
    assert [stage.name for stage in told if own.name in stage.name] == [
        f"{own.name} does not run on a card: {MODEL_FILE} is measured, as it is served"
    ]
