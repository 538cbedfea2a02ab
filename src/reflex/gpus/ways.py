"""The three ways in which the embedded Triton computes, and for each that does not work here a sentence that says why.

    cpu      ONNX Runtime on the processor; works everywhere
    cuda     ONNX Runtime on the GPU: `onnxruntime-gpu`, built for CUDA 13
    trt-rtx  TensorRT for RTX, through NVIDIA's plugin of ONNX Runtime

`auto` takes the best that works and tells what it passed over; a device that is named is taken or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from reflex.errors import SetupError
from reflex.gpus.driver import Driver, Gpu, dotted, read_driver
from reflex.gpus.libraries import CUDA_MAJOR, Libraries, read_libraries
from reflex.wording.install import install_line, pip_line

__all__ = [
    "DEVICES",
    "Choice",
    "Device",
    "Machine",
    "Serving",
    "Wanted",
    "choose",
    "driver_problem",
    "only_one",
    "read_machine",
    "ways",
]

Device = Literal["cpu", "cuda", "trt-rtx"]
Wanted = Literal["auto", "cpu", "cuda", "trt-rtx"]
DEVICES: Final[tuple[Wanted, ...]] = get_args(Wanted)
BEST_FIRST: Final[tuple[Device, ...]] = ("trt-rtx", "cuda", "cpu")

NEEDED_RELEASE: Final = 580
"""The first of the driver that runs CUDA 13."""
OLDEST_CUDA_CARD: Final = (7, 5)
"""CUDA 13 has left the cards before Turing behind."""
PLUGIN_CARDS: Final = frozenset({(8, 6), (8, 9)})
NEWEST_ARE_TAKEN_FROM: Final = (12, 0)
"""The plugin's own list (its header of options): 8.6, 8.9, and 12.0 or later."""
OLDEST_ONNXRUNTIME_OF_PLUGIN: Final = (1, 24)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a choice is made from."""

    driver: Driver
    libraries: Libraries


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs."""

    device: Device
    gpu: Gpu | None = None
    """None on the processor."""
    passed_over: tuple[str, ...] = ()
    """A sentence for each better way that `auto` could not take; none where there is no driver at all."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What computes a policy's answers."""

    device: str
    """The card, as its driver calls it, or `cpu`."""
    way: Device
    form: str | None = None
    """The file of the denoise graph that runs; None where nobody knows."""


NONE_FAILED: Final[Mapping[Device, str]] = MappingProxyType({})


def read_machine() -> Machine:
    """This one. The libraries are only looked for where there is a driver that could use them."""
    driver = read_driver()
    return Machine(driver, Libraries() if driver.problem == "absent" else read_libraries())


def ways(machine: Machine) -> dict[Device, Gpu | str | None]:
    """For each device the card that it would take, or why it does not work here; None for the processor."""
    return {"trt-rtx": _trt_rtx(machine), "cuda": _cuda(machine), "cpu": None}


def choose(wanted: Wanted, machine: Machine, failed: Mapping[Device, str] = NONE_FAILED) -> Choice:
    """What `--device` comes to on this machine; `SetupError` where the device that is named does not work.

    `failed` says of devices that were tried why they did not work after all.
    """
    if wanted == "cpu":
        return Choice("cpu")
    found: dict[Device, Gpu | str | None] = {**ways(machine), **failed}
    if wanted != "auto":
        way = found[wanted]
        if isinstance(way, str):
            raise SetupError(f"--device {wanted}: {way}, or serve with --device cpu")
        return Choice(wanted, way)
    device = next(device for device in BEST_FIRST if not isinstance(found[device], str))
    passed = [f"{better}: {found[better]}" for better in BEST_FIRST[: BEST_FIRST.index(device)]]
    card = found[device]
    return Choice(
        device, card if isinstance(card, Gpu) else None, () if machine.driver.problem == "absent" else tuple(passed)
    )


def _trt_rtx(machine: Machine) -> Gpu | str:
    return driver_problem(machine.driver) or _card(machine.driver, _runs_rtx, _no_rtx_card) or _plugin(machine)


def _cuda(machine: Machine) -> Gpu | str:
    return driver_problem(machine.driver) or _card(machine.driver, _runs_cuda, _no_cuda_card) or _provider(machine)


def driver_problem(driver: Driver) -> str | None:
    """Why CUDA does not run on it, and what to do; None where it does."""
    if driver.problem == "absent":
        return (
            f"there is no NVIDIA driver here ({driver.error}); install release {NEEDED_RELEASE} or later, and give a "
            "container the GPU (docker run --gpus all)"
        )
    if driver.cuda is not None and driver.cuda < (CUDA_MAJOR, 0):
        release = f"release {driver.release}, which runs" if driver.release else "one that runs"
        return (
            f"the driver is {release} CUDA {dotted(driver.cuda)}, and CUDA {CUDA_MAJOR} needs release "
            f"{NEEDED_RELEASE} or later; upgrade the driver"
        )
    return PROBLEMS[driver.problem].format(error=driver.error) if driver.problem is not None else None


PROBLEMS: Final[Mapping[str, str]] = {
    "no device": "the driver finds no GPU ({error}); see what `nvidia-smi -L` lists, and unset CUDA_VISIBLE_DEVICES",
    "mismatch": "the driver's library and its kernel module are not of one release ({error}); restart the machine",
    "not ready": "the driver is not ready ({error}); start NVIDIA's fabric manager, which boards of several GPUs need",
    "lost": "the driver does not answer ({error}), its GPU is lost; restart the machine, and see `dmesg | grep Xid`",
}


def _card(driver: Driver, runs: Callable[[Gpu], bool], why_not: Callable[[Gpu], str]) -> str | None:
    """None when one of the cards will do."""
    return None if any(map(runs, driver.gpus)) else why_not(driver.gpus[0])


def _runs_cuda(gpu: Gpu) -> bool:
    return gpu.capability >= OLDEST_CUDA_CARD


def _runs_rtx(gpu: Gpu) -> bool:
    return gpu.capability in PLUGIN_CARDS or gpu.capability >= NEWEST_ARE_TAKEN_FROM


def _no_cuda_card(gpu: Gpu) -> str:
    return (
        f"{gpu.name} has compute capability {dotted(gpu.capability)}, and CUDA {CUDA_MAJOR} needs "
        f"{dotted(OLDEST_CUDA_CARD)}; use a card of Turing or later"
    )


def _no_rtx_card(gpu: Gpu) -> str:
    said = f"{gpu.name} has compute capability {dotted(gpu.capability)}, which TensorRT for RTX does not run on"
    if not _runs_cuda(gpu):
        return f"{said} (8.6, 8.9, 12.0 and later); use a card of the RTX 30 series or later"
    return f"{said} (8.6, 8.9, 12.0 and later); serve with --device cuda"


def _provider(machine: Machine) -> Gpu | str:
    found = machine.libraries
    if found.cuda is None:
        if "onnxruntime-gpu" in found.distributions:
            return f"onnxruntime has overwritten onnxruntime-gpu; {only_one('gpu')}"
        if found.distributions:
            return f"onnxruntime computes on the CPU alone; {only_one('gpu')}"
        return f"the package onnxruntime-gpu is not installed; {install_line('gpu')}"
    if found.cuda.partition(".")[0] != str(CUDA_MAJOR):
        return f"onnxruntime-gpu {found.onnxruntime} is built for CUDA {found.cuda}; {install_line('gpu')}"
    if found.missing:
        return f"CUDA's libraries are not all there ({', '.join(found.missing)}); {install_line('gpu')}"
    return next(filter(_runs_cuda, machine.driver.gpus))


def _plugin(machine: Machine) -> Gpu | str:
    found = machine.libraries
    if found.plugin is None:
        return f"NVIDIA's plugin for ONNX Runtime is not installed; {install_line('gpu-rtx')}"
    if found.plugin_cuda != CUDA_MAJOR:
        return f"NVIDIA's plugin for ONNX Runtime is that for CUDA {found.plugin_cuda}; {install_line('gpu-rtx')}"
    if found.onnxruntime is None:
        return f"the package onnxruntime is not installed; {install_line('embedded')}"
    if _numbers(found.onnxruntime) < OLDEST_ONNXRUNTIME_OF_PLUGIN:
        wanted = f"'onnxruntime>={dotted(OLDEST_ONNXRUNTIME_OF_PLUGIN)}'"
        return f"onnxruntime {found.onnxruntime} is too old for NVIDIA's plugin; {pip_line('install', wanted)}"
    return next(filter(_runs_rtx, machine.driver.gpus))


def only_one(extra: str) -> str:
    """The line that leaves one of onnxruntime and onnxruntime-gpu: they share files, so both go before it comes."""
    return f"{pip_line('uninstall', '-y', 'onnxruntime', 'onnxruntime-gpu')} && {install_line(extra)}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
