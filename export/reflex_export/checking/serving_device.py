"""The device on which a policy is run to be measured: the processor, or the GPU through ONNX Runtime's CUDA provider.

TF32, which keeps ten bits of FP32's mantissa, is off: an FP32 policy is measured in FP32.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import onnxruntime
from onnxruntime.capi import build_and_package_info

from reflex.gpus import driver_problem, only_one, read_driver
from reflex.readiness.precision_proof import CPU
from reflex.wording.install import pip_line
from reflex_export.engines.device import DRIVER, driver_version
from reflex_export.errors import DeviceError

__all__ = ["DEVICE_NAMES", "PROCESSOR", "DeviceName", "ServingDevice", "cuda_device", "serving_device"]

DeviceName = Literal["cpu", "cuda"]
DEVICE_NAMES: Final[tuple[DeviceName, ...]] = ("cpu", "cuda")
CPU_PROVIDER: Final = "CPUExecutionProvider"
CUDA_PROVIDER: Final = "CUDAExecutionProvider"
Providers = Sequence[tuple[str, Mapping[str, str]]]
PROVIDER_LIBRARY: Final = "libonnxruntime_providers_cuda.so"


@dataclass(frozen=True)
class ServingDevice:
    """Where graphs run."""

    name: str
    """As its driver calls it."""
    providers: Providers = ((CPU_PROVIDER, {}),)
    """ONNX Runtime's, the wanted one first."""
    compute_capability: str = ""
    driver: str = ""
    runtime: Mapping[str, str] = field(default_factory=dict)
    """Versions, by the library's name."""

    @property
    def is_processor(self) -> bool:
        return self.name == CPU

    def require(self, session: onnxruntime.InferenceSession) -> None:
        """`DeviceError` where ONNX Runtime took another provider than was wanted, which it does without a word."""
        wanted = self.providers[0][0]
        if wanted not in session.get_providers():
            raise DeviceError(
                f"ONNX Runtime cannot compute on {self.name}: {wanted} does not start ({_why_not()}); install the "
                f"libraries of CUDA {_built_for() or '13'} that it names: {pip_line('install', *_libraries())}"
            )


PROCESSOR: Final = ServingDevice(CPU)


def serving_device(name: DeviceName) -> ServingDevice:
    """`DeviceError` says which of driver, GPU and package is missing, and what to do."""
    return cuda_device() if name == "cuda" else PROCESSOR


def cuda_device(driver: str = DRIVER) -> ServingDevice:
    """The first GPU that CUDA shows to this process."""
    found = read_driver(driver)
    problem = driver_problem(found)
    if problem is not None:
        raise DeviceError(f"--device cuda: {problem}; or verify on the CPU by --device cpu")
    gpu = found.gpus[0]
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"--device cuda: onnxruntime {onnxruntime.__version__} computes on the CPU alone; run: {only_one('gpu')}"
        )
    # It prints what it does not find, and whoever asked for JSON reads stdout.
    with contextlib.redirect_stdout(sys.stderr):
        onnxruntime.preload_dlls()
    major, minor = gpu.capability
    runtime = {"onnxruntime": onnxruntime.__version__, "cuda": _built_for()}
    providers: Providers = ((CUDA_PROVIDER, {"use_tf32": "0"}), (CPU_PROVIDER, {}))
    return ServingDevice(gpu.name, providers, f"{major}.{minor}", driver_version(driver), runtime)


def _built_for() -> str:
    """The CUDA that ONNX Runtime was built for; empty for one that has none."""
    return str(getattr(build_and_package_info, "cuda_version", "") or "")


def _why_not() -> str:
    """The loader's own words of the first library that is missing."""
    try:
        ctypes.CDLL(str(Path(onnxruntime.__file__).parent / "capi" / PROVIDER_LIBRARY))
    except OSError as exc:
        return str(exc)
    return "its libraries load; see what it logs"


def _libraries() -> tuple[str, ...]:
    return ("nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft", "nvidia-curand")
