"""From the encoder's steps to the units of an embodiment, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment, load_embodiment
from reflex.errors import SetupError
from reflex_runner.so101.calibration import Calibration, Joint
from reflex_runner.so101.registers import MOTORS, STEPS

__all__ = ["Axis", "Scale", "Unit", "scale_for", "unit_of"]

Unit = Literal["degrees", "percent"]
DEGREES_A_STEP: Final = 360 / (STEPS - 1)
UNIT_OF: Final[dict[str, Unit]] = {"deg": "degrees", "percent_of_half_range": "percent"}


@dataclass(frozen=True, slots=True)
class Axis:
    """Of one joint: `zero` is the step of value 0, and it changes by `a_step` with each."""

    zero: float
    a_step: float
    low_step: int
    high_step: int
    clips: bool
    """Whether a measured step beyond the calibrated range counts as its end, as LeRobot has it."""

    def value(self, step: int) -> float:
        within = min(max(step, self.low_step), self.high_step) if self.clips else step
        return (within - self.zero) * self.a_step

    def step(self, value: float) -> int:
        """The nearest one, within the calibrated range: the servo goes no further."""
        return min(max(round(value / self.a_step + self.zero), self.low_step), self.high_step)


@dataclass(frozen=True, slots=True)
class Scale:
    """All six, in the order of the motors."""

    axes: tuple[Axis, ...]

    def state(self, steps: Sequence[int]) -> npt.NDArray[np.float32]:
        pairs = zip(self.axes, steps, strict=True)
        return np.array([axis.value(step) for axis, step in pairs], np.float32)

    def steps(self, action: npt.NDArray[np.float32]) -> tuple[int, ...]:
        """`ValueError` for what is no action: another length, or not finite."""
        if action.shape != (len(self.axes),) or not np.isfinite(action).all():
            raise ValueError(f"an action of an SO-101 is {len(self.axes)} finite numbers, not {action.tolist()}")
        return tuple(axis.step(float(value)) for axis, value in zip(self.axes, action, strict=True))


def unit_of(embodiment: Embodiment) -> Unit:
    """What the joints of an embodiment are in; `SetupError` for one that is no SO-101's."""
    if embodiment.state_names != tuple(MOTORS.values()) or embodiment.action_names != embodiment.state_names:
        raise SetupError(
            f"embodiment {embodiment.name} is not an SO-101's: its axes are {', '.join(embodiment.state_names)}"
        )
    units = {*embodiment.state_units[:-1], *embodiment.action_units[:-1]}
    unit = UNIT_OF.get(next(iter(units))) if len(units) == 1 else None
    if unit is None or {embodiment.state_units[-1], embodiment.action_units[-1]} != {"percent_open"}:
        raise SetupError(
            f"embodiment {embodiment.name} is in units that an SO-101 is not driven in ({', '.join(sorted(units))}): "
            "use so101 (degrees) or so101_percent, or units as theirs"
        )
    return unit


def scale_for(name: str, calibration: Calibration, unit: Unit | None = None) -> tuple[Scale, Embodiment]:
    """The scale of an embodiment, by its name or file; `SetupError` where `unit` says another one."""
    embodiment = load_embodiment(name)
    own = unit_of(embodiment)
    if unit is not None and unit != own:
        other = "so101" if unit == "degrees" else "so101_percent"
        raise SetupError(
            f"`units: {unit}` contradicts the embodiment {name}, which is in {own}: for a policy that was trained "
            f"in {unit} use `embodiment: {other}`, for this one leave `units` out"
        )
    joints = [_degrees(joint) if own == "degrees" else _half_range(joint) for joint in calibration.joints[:-1]]
    return Scale((*joints, _opening(calibration.joints[-1]))), embodiment


def _degrees(joint: Joint) -> Axis:
    """From the middle of the range; LeRobot passes over `drive_mode` here, and so do its data sets."""
    return Axis((joint.range_min + joint.range_max) / 2, DEGREES_A_STEP, joint.range_min, joint.range_max, clips=False)


def _half_range(joint: Joint) -> Axis:
    a_step = 200 / (joint.range_max - joint.range_min)
    zero = (joint.range_min + joint.range_max) / 2
    return Axis(zero, -a_step if joint.drive_mode else a_step, joint.range_min, joint.range_max, clips=True)


def _opening(joint: Joint) -> Axis:
    a_step = 100 / (joint.range_max - joint.range_min)
    if joint.drive_mode:
        return Axis(joint.range_max, -a_step, joint.range_min, joint.range_max, clips=True)
    return Axis(joint.range_min, a_step, joint.range_min, joint.range_max, clips=True)
