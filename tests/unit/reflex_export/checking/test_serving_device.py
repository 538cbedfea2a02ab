"""Where a policy is measured: on the processor, or on a GPU, of which everything that is missing is named."""

from __future__ import annotations

import ctypes.util
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from reflex_export.checking import serving_device as devices
from reflex_export.checking.parity import PolicyRunner
from reflex_export.checking.serving_device import CUDA_PROVIDER, ServingDevice, cuda_device, serving_device
from reflex_export.engines.device import Gpu, driver_version
from reflex_export.errors import DeviceError
from reflex_export.graph.graph import GraphBuilder

H200 = Gpu("NVIDIA H200", (9, 0))
NO_DRIVER = "libcuda-of-no-machine.so.1"


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver shows a card, and ONNX Runtime says that it was built for CUDA."""
    monkeypatch.setattr(devices, "first_gpu", lambda _driver: H200)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER, "CPUExecutionProvider"])


def neg(folder: Path) -> Path:
    g = GraphBuilder("neg")
    g.output(g.op("Neg", g.input("x", "FP32", (2,))), "y", "FP32", (2,))
    folder.mkdir()
    g.build().save(folder)
    return folder / "model.onnx"


def test_the_processor_needs_nothing() -> None:
    assert serving_device("cpu").is_processor


def test_without_a_driver_the_loaders_words_and_three_ways_on_are_told() -> None:
    with pytest.raises(DeviceError, match=rf"no NVIDIA driver here \({NO_DRIVER}.*--gpus all.*--device cpu"):
        cuda_device(NO_DRIVER)


def test_a_driver_without_a_card_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "first_gpu", lambda _driver: None)
    loaded = ctypes.util.find_library("c") or "libc.so.6"

    with pytest.raises(DeviceError, match=r"the driver shows no GPU; see what `nvidia-smi -L` lists"):
        cuda_device(loaded)


def test_a_package_that_computes_on_the_cpu_alone_is_named_with_the_one_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "first_gpu", lambda _driver: H200)

    with pytest.raises(
        DeviceError, match=r"onnxruntime [\d.]+ computes on the CPU alone; run: .*install onnxruntime-gpu"
    ):
        cuda_device(NO_DRIVER)


@pytest.mark.usefixtures("with_gpu")
def test_a_gpu_is_asked_for_without_tf32_and_described(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcufft.so.12"))

    device = cuda_device(NO_DRIVER)

    assert (device.name, device.compute_capability) == ("NVIDIA H200", "9.0")
    assert device.providers[0] == (CUDA_PROVIDER, {"use_tf32": "0"})
    assert device.runtime["onnxruntime"] == onnxruntime.__version__
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:Specified provider")  # the build of this machine has none for CUDA
@pytest.mark.usefixtures("with_gpu")
def test_a_provider_that_does_not_start_is_an_error_with_the_missing_library_and_never_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        DeviceError, match=rf"cannot compute on NVIDIA H200: {CUDA_PROVIDER} does not start \(.*\.so.*\); install"
    ):
        PolicyRunner([neg(tmp_path / "m")], cuda_device(NO_DRIVER))

    assert capsys.readouterr().out == ""


def test_a_failure_on_a_device_speaks_of_the_device(tmp_path: Path) -> None:
    runner = PolicyRunner([neg(tmp_path / "m")], ServingDevice("NVIDIA H200"))

    with pytest.raises(DeviceError, match=r"fails on a request on NVIDIA H200 \(.*\); see by `nvidia-smi`"):
        runner.run({"x": np.zeros((1, 3), np.float32)})


def test_the_drivers_version_is_its_modules_or_the_cuda_of_its_library(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("580.95.05\n")

    assert driver_version(NO_DRIVER, tmp_path / "version") == "580.95.05"
    assert driver_version(NO_DRIVER, tmp_path / "absent") == ""
    assert sys.platform != "linux" or driver_version("libc.so.6", tmp_path / "absent") == ""
