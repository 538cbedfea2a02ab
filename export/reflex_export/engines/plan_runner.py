"""Runs a plan on the first GPU, to measure what it answers; what serves is Triton's backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_export.engines.compiler import quiet_logger
from reflex_export.engines.gpu_memory import GpuMemory
from reflex_export.engines.toolkit import Toolkit
from reflex_export.errors import DeviceError

__all__ = ["PlanRunner"]

Array = npt.NDArray[Any]


class PlanRunner:
    """One loaded plan."""

    def __init__(self, plan: Path, toolkit: Toolkit, memory: Callable[[], GpuMemory] = GpuMemory) -> None:
        """`DeviceError` for a plan that this GPU cannot run."""
        self._trt: Final = toolkit.api
        self._memory = memory
        self._runtime = self._trt.Runtime(quiet_logger(self._trt))
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise DeviceError(
                f"{plan} does not load on this GPU with {toolkit.engine} {toolkit.version}; build it here, with the "
                "TensorRT that will serve"
            )
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        is_input = {name: self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT for name in names}
        self.inputs: Final = tuple(name for name in names if is_input[name])
        self.outputs: Final = tuple(name for name in names if not is_input[name])

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors in and out by name, each with its batch axis."""
        with self._memory() as memory:
            for name in self.inputs:
                array = inputs[name].astype(self._type_of(name), copy=False)
                self._context.set_input_shape(name, array.shape)
                self._context.set_tensor_address(name, memory.upload(array))
            answers = {name: np.empty(tuple(self._context.get_tensor_shape(name)), self._type_of(name))
                       for name in self.outputs}  # fmt: skip
            places = {name: memory.empty(array.nbytes) for name, array in answers.items()}
            for name, address in places.items():
                self._context.set_tensor_address(name, address)
            if not self._context.execute_async_v3(memory.stream):
                raise DeviceError("TensorRT does not run the engine that it built; build it again with --verbose")
            for name, address in places.items():
                memory.download(address, answers[name])
        return answers

    def _type_of(self, name: str) -> Any:  # noqa: ANN401 - as numpy takes it
        return self._trt.nptype(self._engine.get_tensor_dtype(name))
