"""A plan is run through TensorRT's own calls, with memory of the driver's: here both are stand-ins on the processor."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reflex_export.engines.gpu_memory import GpuMemory
from reflex_export.engines.plan_runner import PlanRunner
from reflex_export.engines.toolkit import Toolkit
from reflex_export.errors import DeviceError

X = np.array([[1.0, -2.0, 3.0]], np.float32)


class HostDriver:
    """The driver's functions over this process's own memory."""

    def __init__(self, **results: int) -> None:
        self.results, self.buffers, self.freed = results, dict[int, Any](), list[int]()
        self.contexts = 0

    def __getattr__(self, name: str) -> Any:
        """By the driver's name; what does nothing here succeeds."""
        known: dict[str, Callable[..., int]] = {
            "cuDevicePrimaryCtxRetain": self.retain, "cuDevicePrimaryCtxRelease_v2": self.release,
            "cuMemAlloc_v2": self.allocate, "cuMemFree_v2": self.free,
            "cuMemcpyHtoD_v2": self.upload, "cuMemcpyDtoH_v2": self.download,
        }  # fmt: skip
        does: Callable[..., int] = known.get(name, lambda *_: 0)
        return lambda *arguments: self.results.get(name) or does(*arguments)

    def retain(self, *_: object) -> int:
        self.contexts += 1
        return 0

    def release(self, *_: object) -> int:
        self.contexts -= 1
        return 0

    def allocate(self, address: Any, size: ctypes.c_size_t) -> int:
        buffer = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(buffer)
        self.buffers[ctypes.addressof(buffer)] = buffer
        return 0

    def free(self, address: ctypes.c_uint64) -> int:
        self.freed.append(address.value)
        return 0

    def upload(self, address: ctypes.c_uint64, source: ctypes.c_void_p, size: ctypes.c_size_t) -> int:
        ctypes.memmove(address.value, source.value or 0, size.value)
        return 0

    def download(self, target: ctypes.c_void_p, address: ctypes.c_uint64, size: ctypes.c_size_t) -> int:
        ctypes.memmove(target.value or 0, address.value, size.value)
        return 0


class Doubling:
    """TensorRT with one engine, which doubles `x` in FP16 and gives it as `y`."""

    num_io_tensors = 2

    def __init__(self, *, loads: bool = True, runs: bool = True) -> None:
        self.loads, self.runs, self.addresses = loads, runs, dict[str, int]()
        self.shape: tuple[int, ...] = ()

    def api(self) -> Any:
        runtime = SimpleNamespace(deserialize_cuda_engine=lambda _content: self if self.loads else None)
        return SimpleNamespace(
            ILogger=type("ILogger", (), {"ERROR": 1}), Runtime=lambda _logger: runtime,
            TensorIOMode=SimpleNamespace(INPUT="in"), nptype=lambda kind: kind,
        )  # fmt: skip

    def create_execution_context(self) -> Doubling:
        return self

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "x" else "out"

    def get_tensor_dtype(self, name: str) -> Any:
        return np.float16 if name == "x" else np.float32

    def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
        return self.shape

    def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, _stream: int) -> bool:
        count = int(np.prod(self.shape))
        x = np.frombuffer(ctypes.string_at(self.addresses["x"], 2 * count), np.float16)
        doubled = (2 * x.astype(np.float32)).tobytes()
        ctypes.memmove(self.addresses["y"], doubled, len(doubled))
        return self.runs


def runner(engine: Doubling, driver: HostDriver, folder: Path) -> PlanRunner:
    (folder / "model.plan").write_bytes(b"plan")
    toolkit = Toolkit("tensorrt", "10.16.0", engine.api())
    return PlanRunner(folder / "model.plan", toolkit, lambda: GpuMemory("libcuda", lambda _name: driver))


def test_a_plan_answers_by_name_in_its_own_types_and_gives_all_memory_back(tmp_path: Path) -> None:
    driver = HostDriver()
    plan = runner(Doubling(), driver, tmp_path)

    first, second = plan.run({"x": X, "other": X}), plan.run({"x": -X})

    assert (plan.inputs, plan.outputs) == (("x",), ("y",))
    np.testing.assert_array_equal(first["y"], 2 * X)
    np.testing.assert_array_equal(second["y"], -2 * X)
    assert sorted(driver.freed) == sorted(driver.buffers)
    assert driver.contexts == 0


def test_a_plan_of_another_gpu_says_where_it_must_be_built(tmp_path: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"model\.plan does not load on this GPU with tensorrt 10\.16\.0; build it here"
    ):
        runner(Doubling(loads=False), HostDriver(), tmp_path)


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ({"cuMemAlloc_v2": 2}, "the GPU's memory is full; stop what else runs on it"),
        ({"cuInit": 999}, r"the driver refuses cuInit \(CUresult 999\)"),
        ({"cuStreamCreate": 719}, r"the driver refuses cuStreamCreate \(CUresult 719\)"),
        ({"cuMemcpyHtoD_v2": 719}, r"the driver refuses cuMemcpyHtoD_v2 \(CUresult 719\)"),
    ],
)
def test_a_driver_that_refuses_is_told_and_nothing_is_kept(results: dict[str, int], told: str, tmp_path: Path) -> None:
    driver = HostDriver(**results)

    with pytest.raises(DeviceError, match=told):
        runner(Doubling(), driver, tmp_path).run({"x": X})

    assert sorted(driver.freed) == sorted(driver.buffers)
    assert driver.contexts == 0


def test_an_engine_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="TensorRT does not run the engine"):
        runner(Doubling(runs=False), HostDriver(), tmp_path).run({"x": X})
