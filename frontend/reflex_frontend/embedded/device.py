"""What the embedded Triton computes on: chosen before it starts, told to its models, and changed when `auto` must.

A device that was named stays: a model that does not come up on it says why, and is tried again. With `auto` a failure
of the device itself is an answer, and the next best one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reflex.gpus import Choice, Device, Driver, Libraries, Machine, Serving, Wanted, choose

if TYPE_CHECKING:  # the Triton image has no pydantic
    from reflex.policy_config import PolicyConfig

__all__ = ["HIDDEN", "DeviceInUse"]

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
VISIBILITY_SCRIPT: Final = "onnxruntime/reflex_visible.sh"
HIDDEN: Final = {VISIBLE: ""}
"""tritonserver itself takes no card: a found one would only cost its memory."""


class DeviceInUse:
    """One for a server. `choice` is None where Triton runs elsewhere, and computes on what it likes."""

    def __init__(self, wanted: Wanted = "cpu", machine: Machine | None = None) -> None:
        """`SetupError` where the device that is named does not work on this machine."""
        self._wanted = wanted
        self._machine = Machine(Driver(problem="absent"), Libraries()) if machine is None else machine
        self._failed: dict[Device, str] = {}
        self._is_settled = False
        self.choice: Choice | None = choose(wanted, self._machine)
        self.on_change: Callable[[], None] = lambda: None
        """Called when it has become another one."""
        self.replays_graphs: Callable[[], bool] = lambda: False
        """Whether a model says that it runs as CUDA graphs."""
        self.form_of: Callable[[str], str | None] = lambda _model: None
        """From which file a model says that it runs on the GPU; None where it has not said."""

    @classmethod
    def elsewhere(cls) -> DeviceInUse:
        """Of a Triton that others run."""
        device = cls()
        device.choice = None
        return device

    @property
    def name(self) -> Device | None:
        return None if self.choice is None else self.choice.device

    @property
    def card(self) -> str | None:
        """The GPU's name; None on the processor, and elsewhere."""
        return None if self.choice is None or self.choice.gpu is None else self.choice.gpu.name

    def serving(self, config: PolicyConfig) -> Serving | None:
        """What computes this policy, as its record names it; None elsewhere."""
        if self.choice is None:
            return None
        way = self.choice.device
        return Serving(self.card or way, way, self.form_of(config.component("denoise")))

    @property
    def passed_over(self) -> tuple[str, ...]:
        """A sentence for each better device that `auto` could not take."""
        return () if self.choice is None else self.choice.passed_over

    @property
    def may_step_down(self) -> bool:
        return self._wanted == "auto" and not self._is_settled and self.name not in (None, "cpu")

    def mode(self, config: PolicyConfig) -> str:
        """The `inference_mode` of a policy that runs on it."""
        if self.name is None:
            return config.inference_mode
        if self.name == "trt-rtx":
            return "onnx_trt_fp16" if config.precision == "fp16" else "decomposed"
        return "onnx_cuda" if self.name == "cuda" else "onnx_cpu"

    def step_down(self, failure: str, *, has_served: bool = False) -> bool:
        """Whether a process that ended with these words did so by the device's fault: the next best one is taken now.

        Other words of one that `has_served` say nothing of the device: its models did come up on it.
        """
        if not self.may_step_down or self.name is None:
            return False
        mark = f"device {self.name}: "
        if mark not in failure:
            self._is_settled = self._is_settled or not has_served  # a broken model is broken on any device
            return False
        self._failed[self.name] = failure.partition(mark)[2]
        self.choice = choose("auto", self._machine, self._failed)
        self.on_change()
        return True

    def environment(self, inherited: Mapping[str, str], backends: Path, cache: Path) -> dict[str, str]:
        """What tritonserver and its models find in their environment."""
        if self.choice is None or self.choice.gpu is None:
            return HIDDEN
        gpu, driver = self.choice.gpu, self._machine.driver
        visible = [part.strip() for part in inherited.get(VISIBLE, "").split(",") if part.strip()]
        return HIDDEN | {
            "BASH_ENV": str(backends / VISIBILITY_SCRIPT),
            "REFLEX_ONNX_GPU": visible[gpu.index] if gpu.index < len(visible) else str(gpu.index),
            "REFLEX_ONNX_DEVICE": self.choice.device,
            "REFLEX_ONNX_CACHE": str(cache / "compiled"),
            "REFLEX_ONNX_CARD": f"{gpu.capability[0]}.{gpu.capability[1]}, driver {_major(driver)}",
        }


def _major(driver: Driver) -> str:
    """What compiled graphs hang on: the release, or the CUDA that it runs where the release is not told."""
    return driver.release.partition(".")[0] if driver.release else f"CUDA {driver.cuda}"
