"""What NVIDIA GPUs this machine has, by their driver alone, and which way of serving on them works here and why not.

Nothing here starts a process or imports a library of a GPU; without a driver it costs one failed look for a file.
"""

from __future__ import annotations

from reflex.gpus.driver import Driver, Gpu, read_driver
from reflex.gpus.libraries import Libraries, read_libraries
from reflex.gpus.ways import (
    DEVICES,
    Choice,
    Device,
    Machine,
    Serving,
    Wanted,
    choose,
    driver_problem,
    only_one,
    read_machine,
    ways,
)

__all__ = [
    "DEVICES",
    "Choice",
    "Device",
    "Driver",
    "Gpu",
    "Libraries",
    "Machine",
    "Serving",
    "Wanted",
    "choose",
    "driver_problem",
    "only_one",
    "read_driver",
    "read_libraries",
    "read_machine",
    "ways",
]
