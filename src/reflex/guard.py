"""ActionGuard: the last check between a policy's actions and a robot.

Pure: no I/O, no clock, no state between calls. The server and the robot's runner call the same function.

    refuse anything not finite  ->  hold each axis to its range  ->  hold each step near the action before it

The order matters: clamping a NaN gives a NaN, so nothing is clamped before everything is known to be finite. The guard
never invents an action: what it cannot hold to the limits it refuses, for zeros would be a pose like any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment
from reflex.errors import ReflexError, SetupError
from reflex.wire import GuardViolation

__all__ = [
    "ActionGuard",
    "ActionShapeError",
    "GuardResult",
    "NonFiniteActionError",
    "PreviousActionError",
    "Violation",
    "ViolationKind",
]

ViolationKind = Literal["below_range", "above_range", "step_limit"]
Actions = npt.NDArray[np.float32]

FLOAT32_DIGITS: Final = 24
"""Bits of a float32's significand, the hidden one included (IEEE 754 binary32)."""


class NonFiniteActionError(ReflexError):
    """A chunk holds a NaN or an infinity, first at `step` and `axis`; none of it may be executed."""

    code = "non_finite_action"

    def __init__(self, step: int, axis: int, name: str) -> None:
        super().__init__(
            f"the action at step {step}, axis {axis} ({name}) is not a finite float32; the whole chunk is refused: "
            "check the policy's normalisation statistics and its precision"
        )
        self.step = step
        self.axis = axis
        self.name = name


class ActionShapeError(ReflexError):
    """The actions are not a chunk of this embodiment: the wrong shape, no steps, or not real numbers."""

    code = "action_shape"


class PreviousActionError(ReflexError):
    """The last commanded action cannot be a starting point: range and step limit could not both be kept."""

    code = "previous_action"


class Violation(NamedTuple):
    """One value that the guard changed. A tuple and not a dataclass, for a bad chunk has hundreds of them.

    `value` is what the policy asked for, `limit` the bound that it broke, in the same unit: the end of the range, or
    for `step_limit` the furthest position within reach of the step before. A value that breaks both is reported once,
    by its range.
    """

    step: int
    axis: int
    name: str
    value: float
    limit: float
    kind: ViolationKind

    def as_dict(self) -> GuardViolation:
        """The entry of `guard_violations` in an answer of `/act`."""
        return {
            "step": self.step,
            "axis": self.axis,
            "name": self.name,
            "value": self.value,
            "limit": self.limit,
            "kind": self.kind,
        }


@dataclass(frozen=True, slots=True, eq=False)
class GuardResult:
    """`actions` (float32 [steps, axes], never the caller's own array) and what had to change, by step, then axis."""

    actions: Actions
    violations: tuple[Violation, ...] = ()

    @property
    def clamped(self) -> bool:
        """Whether any value was changed."""
        return bool(self.violations)


class ActionGuard:
    """Holds chunks of one embodiment to its limits. Build it once; it keeps no state between calls.

    What `check` returns is finite, inside the range, within the step limit of its predecessor, and comes back unchanged
    and without violations when checked again. All of this holds exactly, for the numbers in the embodiment's file.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        self.embodiment = embodiment
        # Rounded inward, so that a float32 inside these is inside the file's limits, not one rounding above them.
        self._low = np.float32(0.0) - _round_down([-low for low in embodiment.action_low])  # 0 - 0 is 0, never -0
        self._high = _round_down(embodiment.action_high)
        self._max_step = _round_down(embodiment.action_max_step).astype(np.float64)
        self._grid = [_spacing(low, high) for low, high in zip(self._low.tolist(), self._high.tolist(), strict=True)]
        for name, low, high, max_step, grid in zip(
            embodiment.action_names, self._low, self._high, self._max_step, self._grid, strict=True
        ):
            if not (low < high and grid <= max_step):
                raise SetupError(
                    f"embodiment {embodiment.name}: {name}: its range or action_max_step is finer than a float32 can "
                    "tell apart at this magnitude; choose a unit in which the range is nearer to 1"
                )

    def check(self, actions: npt.NDArray[Any], *, previous: npt.NDArray[Any] | None = None) -> GuardResult:
        """Return `actions` ([steps, axes], robot units) held to the limits, and what that changed.

        `previous` ([axes]) is the last commanded action, from which step 0 is limited; without it step 0 may be
        anywhere in the range. Both are taken as float32. Raises `ActionShapeError`, `NonFiniteActionError` and
        `PreviousActionError`; the input is never changed.
        """
        raw = self._admit(actions)
        start = None if previous is None else self._admit_previous(previous)
        in_range = np.minimum(np.maximum(raw, self._low), self._high)
        held = self._limit_steps(in_range, start)
        changed = held != raw
        if not changed.any():
            return GuardResult(held)
        return GuardResult(held, self._describe(raw, held, changed))

    def _admit(self, actions: npt.NDArray[Any]) -> Actions:
        axes = self.embodiment.action_dim
        if actions.ndim != 2 or actions.shape[0] == 0 or actions.shape[1] != axes or actions.dtype.kind not in "fiu":
            raise ActionShapeError(
                f"a chunk for {self.embodiment.name} is an array of real numbers of shape [steps, {axes}], not "
                f"{actions.dtype} of shape {list(actions.shape)}; check that policy and embodiment belong together"
            )
        raw = _as_float32(actions)
        finite = np.isfinite(raw)
        if not finite.all():
            step, axis = (int(index) for index in np.argwhere(~finite)[0])
            raise NonFiniteActionError(step, axis, self.embodiment.action_names[axis])
        return raw

    def _admit_previous(self, previous: npt.NDArray[Any]) -> Actions:
        if previous.shape != (self.embodiment.action_dim,) or previous.dtype.kind not in "fiu":
            raise ActionShapeError(
                f"the previous action for {self.embodiment.name} is an array of {self.embodiment.action_dim} real "
                f"numbers, not {previous.dtype} of shape {list(previous.shape)}"
            )
        # Compared before rounding: a float64 on a limit is inside, its nearest float32 may not be. NaN is outside.
        low, high = self.embodiment.action_low, self.embodiment.action_high
        inside = (previous >= low) & (previous <= high)
        if not inside.all():
            axis = int(np.argmin(inside))
            raise PreviousActionError(
                f"axis {axis} ({self.embodiment.action_names[axis]}) of the previous action is {previous[axis]}, "
                f"outside {low[axis]} to {high[axis]}: no next action is sure to keep both the range and the step "
                "limit; bring the robot back into its range first"
            )
        return np.minimum(np.maximum(_as_float32(previous), self._low), self._high)

    def _limit_steps(self, in_range: Actions, start: Actions | None) -> Actions:
        """Hold each step within reach of the one before. Only axes with a step that is too long are walked."""
        # In float64 the difference of two float32 is exact, or so close that it falls on the same side of the limit.
        path = in_range.astype(np.float64)
        if start is not None:
            path = np.vstack((start.astype(np.float64), path))
        too_long = np.abs(path[1:] - path[:-1]) > self._max_step
        if not too_long.any():
            return in_range
        for axis in np.flatnonzero(too_long.any(axis=0)).tolist():
            path[:, axis] = _walk(path[:, axis].tolist(), float(self._max_step[axis]), self._grid[axis])
        return path[-len(in_range) :].astype(np.float32)

    def _describe(self, raw: Actions, held: Actions, changed: npt.NDArray[np.bool_]) -> tuple[Violation, ...]:
        steps, axes = (index.tolist() for index in np.nonzero(changed))
        names, low, high = self.embodiment.action_names, self.embodiment.action_low, self.embodiment.action_high
        violations = []
        for step, axis, value, reached in zip(steps, axes, raw[changed].tolist(), held[changed].tolist(), strict=True):
            limit, kind = _broken_limit(value, low[axis], high[axis], reached)
            violations.append(Violation(step, axis, names[axis], value, limit, kind))
        return tuple(violations)


def _broken_limit(value: float, low: float, high: float, reached: float) -> tuple[float, ViolationKind]:
    if value < low:
        return low, "below_range"
    if value > high:
        return high, "above_range"
    return reached, "step_limit"


def _walk(path: list[float], max_step: float, grid: float) -> list[float]:
    """Follow `path` in steps of at most `max_step`; the first entry stays.

    A shortened step ends on a multiple of `grid`, rounded towards the predecessor: such a number is a float32, so
    nothing is rounded afterwards, and it lies between predecessor and goal, so the range is kept too.
    """
    position = path[0]
    for step, goal in enumerate(path):
        if goal - position > max_step:
            position = math.floor((position + max_step) / grid) * grid
        elif position - goal > max_step:
            position = math.ceil((position - max_step) / grid) * grid
        else:
            position = goal
        path[step] = position
    return path


def _as_float32(values: npt.NDArray[Any]) -> Actions:
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes an infinity, which is refused next
        return values.astype(np.float32)


def _round_down(values: list[float] | tuple[float, ...]) -> Actions:
    """The largest float32 not above each value."""
    nearest = np.asarray(values, dtype=np.float32)
    above = nearest.astype(np.float64) > np.asarray(values, dtype=np.float64)
    return np.where(above, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _spacing(low: float, high: float) -> float:
    """The widest gap between neighbouring float32 in the range; each of its multiples in the range is a float32."""
    _, exponent = math.frexp(max(-low, high))
    return math.ldexp(1.0, exponent - FLOAT32_DIGITS)
