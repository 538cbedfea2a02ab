"""Memory of the first GPU, through the driver's own library: what TensorRT needs to be run without another package."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_export.engines.device import DRIVER, SUCCESS
from reflex_export.errors import DeviceError

__all__ = ["GpuMemory"]

Array = npt.NDArray[Any]
OUT_OF_MEMORY: Final = 2
"""CUDA_ERROR_OUT_OF_MEMORY."""


class GpuMemory(ExitStack):
    """A stream and buffers on the first GPU; leaving the context gives all of it back."""

    def __init__(self, library: str = DRIVER, open_library: Callable[[str], Any] = ctypes.CDLL) -> None:
        """`DeviceError` when the driver refuses."""
        super().__init__()
        self._cuda = open_library(library)
        try:
            self.stream: Final = self._new_stream()
        except BaseException:
            self.close()  # nobody enters what was not made
            raise

    def empty(self, size_bytes: int) -> int:
        """The address of a new buffer."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(1, size_bytes)))
        self.callback(self._cuda.cuMemFree_v2, address)
        return int(address.value)

    def upload(self, array: Array) -> int:
        """The address of a copy."""
        content = np.ascontiguousarray(array)
        address = self.empty(content.nbytes)
        source = ctypes.c_void_p(content.ctypes.data)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, ctypes.c_size_t(content.nbytes))
        return address

    def download(self, address: int, array: Array) -> None:
        """Fill a contiguous array with what lies there, once everything on the stream is done."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))
        target = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), ctypes.c_size_t(array.nbytes))

    def _new_stream(self) -> int:
        """In the context that TensorRT uses too."""
        device, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.callback(self._cuda.cuDevicePrimaryCtxRelease_v2, device)
        self._call("cuCtxSetCurrent", context)
        self._call("cuStreamCreate", ctypes.byref(stream), ctypes.c_uint(0))
        self.callback(self._cuda.cuStreamDestroy_v2, stream)
        return int(stream.value or 0)

    def _call(self, name: str, *arguments: object) -> None:
        result = int(getattr(self._cuda, name)(*arguments))
        if result == OUT_OF_MEMORY:
            raise DeviceError("the GPU's memory is full; stop what else runs on it (see `nvidia-smi`), then try again")
        if result != SUCCESS:
            raise DeviceError(f"the driver refuses {name} (CUresult {result}); see `dmesg | grep Xid`, then try again")
