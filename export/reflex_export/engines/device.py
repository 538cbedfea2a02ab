"""The GPU that serves here, asked from the driver itself: no CUDA toolkit is needed for that."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["DRIVER", "Gpu", "driver_version", "first_gpu"]

DRIVER: Final = "libcuda.so.1"
RELEASE_FILE: Final = Path("/sys/module/nvidia/version")
SUCCESS: Final = 0
# CUdevice_attribute, from the driver API's header cuda.h.
COMPUTE_CAPABILITY_MAJOR: Final = 75
COMPUTE_CAPABILITY_MINOR: Final = 76
NAME_BYTES: Final = 256


@dataclass(frozen=True)
class Gpu:
    """One device."""

    name: str
    compute_capability: tuple[int, int]

    @property
    def target(self) -> str:
        """Architecture and model: TensorRT warns of a plan that moves to another model of the same architecture."""
        major, minor = self.compute_capability
        return f"sm{major}{minor}/{self.name}"


def first_gpu(driver_name: str = DRIVER) -> Gpu | None:
    """The first device that CUDA shows to this process; None without a driver or a device."""
    try:
        driver = ctypes.CDLL(driver_name)
    except OSError:
        return None
    device = ctypes.c_int()
    if driver.cuInit(0) != SUCCESS or driver.cuDeviceGet(ctypes.byref(device), 0) != SUCCESS:
        return None
    name = ctypes.create_string_buffer(NAME_BYTES)
    if driver.cuDeviceGetName(name, NAME_BYTES, device) != SUCCESS:
        return None
    major = _attribute(driver, COMPUTE_CAPABILITY_MAJOR, device)
    return Gpu(name.value.decode(errors="replace"), (major, _attribute(driver, COMPUTE_CAPABILITY_MINOR, device)))


def driver_version(driver_name: str = DRIVER, release_file: Path = RELEASE_FILE) -> str:
    """The release of the kernel's module, or the CUDA that the library runs; empty where neither tells."""
    try:
        return release_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        pass
    version = ctypes.c_int()
    try:
        found = ctypes.CDLL(driver_name).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return ""
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}" if found == SUCCESS else ""


def _attribute(driver: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    return value.value
