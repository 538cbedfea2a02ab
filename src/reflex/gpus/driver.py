"""NVIDIA's driver, asked through its own library: which cards there are, what they can, and what is wrong with it.

The library is opened in this process and told to find its cards; no memory of a card is taken by that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

__all__ = ["LIBRARY", "Driver", "DriverProblem", "Gpu", "read_driver"]

LIBRARY: Final = "libcuda.so.1"
"""The loader looks for it; where else it may lie, LD_LIBRARY_PATH says."""
RELEASE_FILE: Final = Path("/sys/module/nvidia/version")

CAPABILITY_MAJOR: Final = 75
CAPABILITY_MINOR: Final = 76
"""CUdevice_attribute of the compute capability."""
NAME_BYTES: Final = 256
MAX_GPUS: Final = 64

DriverProblem = Literal["absent", "no device", "mismatch", "not ready", "lost"]
PROBLEM_OF: Final[dict[int, DriverProblem]] = {100: "no device", 802: "not ready", 803: "mismatch", 804: "mismatch"}
"""By CUresult; any other failure means that the driver is there and does not work: a card fell off its bus, mostly."""
ERROR_NAMES: Final = {
    3: "CUDA_ERROR_NOT_INITIALIZED",
    46: "CUDA_ERROR_DEVICE_UNAVAILABLE",
    100: "CUDA_ERROR_NO_DEVICE",
    101: "CUDA_ERROR_INVALID_DEVICE",
    802: "CUDA_ERROR_SYSTEM_NOT_READY",
    803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    804: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    999: "CUDA_ERROR_UNKNOWN",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card as the driver counts them, which leaves out what CUDA_VISIBLE_DEVICES hides."""

    index: int
    name: str
    capability: tuple[int, int]
    memory_bytes: int

    def __str__(self) -> str:
        return f"{self.name}, compute capability {dotted(self.capability)}, {self.memory_bytes / 2**30:.0f} GiB"


@dataclass(frozen=True, slots=True)
class Driver:
    """What was found. With a `problem` there are no `gpus`."""

    cuda: tuple[int, int] | None = None
    """The newest CUDA that it runs, like (13, 0); None where it is absent or does not say."""
    release: str | None = None
    """Of the kernel module, like "580.95.05", where the system tells it."""
    gpus: tuple[Gpu, ...] = ()
    problem: DriverProblem | None = None
    error: str = ""
    """The driver's or the loader's own words for the problem."""


def read_driver(library: str = LIBRARY, release_file: Path = RELEASE_FILE) -> Driver:
    """Ask it; some milliseconds where there is a card, up to a second when the driver sleeps. Never raises."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError as exc:
        return Driver(problem="absent", error=str(exc))
    release, version = _release(release_file), _version(cuda)
    try:
        gpus = tuple(_gpus(cuda))
    except OSError as exc:
        return Driver(version, release, (), PROBLEM_OF.get(exc.errno or 0, "lost"), str(exc.strerror))
    except AttributeError as exc:  # a library of that name which is none of NVIDIA's
        return Driver(version, release, (), "lost", str(exc))
    return Driver(version, release, gpus, None if gpus else "no device", "" if gpus else "it counts 0 of them")


def dotted(version: tuple[int, int]) -> str:
    """Like 13.0."""
    return f"{version[0]}.{version[1]}"


def _gpus(cuda: ctypes.CDLL) -> Iterator[Gpu]:
    _call(cuda.cuInit, ctypes.c_uint(0))
    count = ctypes.c_int()
    _call(cuda.cuDeviceGetCount, ctypes.byref(count))
    for index in range(min(count.value, MAX_GPUS)):
        yield _gpu(cuda, index)


def _gpu(cuda: ctypes.CDLL, index: int) -> Gpu:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(NAME_BYTES)
    _call(cuda.cuDeviceGet, ctypes.byref(device), ctypes.c_int(index))
    _call(cuda.cuDeviceGetName, name, ctypes.c_int(NAME_BYTES), device)
    _call(cuda.cuDeviceTotalMem_v2, ctypes.byref(memory), device)
    capability = (_attribute(cuda, CAPABILITY_MAJOR, device), _attribute(cuda, CAPABILITY_MINOR, device))
    shown = "".join(char for char in name.value.decode("utf-8", "replace") if char.isprintable())
    return Gpu(index, shown or "GPU", capability, memory.value)


def _attribute(cuda: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(cuda.cuDeviceGetAttribute, ctypes.byref(value), ctypes.c_int(attribute), device)
    return value.value


def _version(cuda: ctypes.CDLL) -> tuple[int, int] | None:
    """It answers before the driver is set up, and also when that fails."""
    value = ctypes.c_int()
    try:
        _call(cuda.cuDriverGetVersion, ctypes.byref(value))
    except (OSError, AttributeError):
        return None
    return value.value // 1000, value.value % 1000 // 10


def _call(function: object, *arguments: object) -> None:
    """`OSError` with the driver's own number and name when it refuses."""
    result = int(function(*arguments))  # type: ignore[operator]  # ctypes makes functions at run time
    if result != 0:
        raise OSError(result, f"{ERROR_NAMES.get(result, 'CUresult')}, {result}")


def _release(path: Path) -> str | None:
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0][:32] if words else None
