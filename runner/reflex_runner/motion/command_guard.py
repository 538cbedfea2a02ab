"""`CommandGuard`: the last check of every single command, against the command before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment
from reflex.guard import ActionGuard, GuardResult, PreviousActionError, Violation

__all__ = ["CommandGuard"]

FloatArray = npt.NDArray[np.float32]


class CommandGuard:
    """Holds each command to the range, and within one step of the one before it.

    It begins at the measured pose, and from then on counts from what it last let through: never from what a chunk
    wanted, nor from what is measured later, for an arm that lags would be driven ever further in smaller steps.
    """

    def __init__(self, robot: Embodiment, *, max_clamped_steps: int) -> None:
        """`robot` has the step limit of one control period."""
        self._guard = ActionGuard(robot)
        self._max_step = np.asarray(robot.action_max_step)
        self.widths = np.asarray(robot.action_high) - np.asarray(robot.action_low)
        """Of the axes' ranges."""
        self._max_clamped_steps = max_clamped_steps
        self._clamped_in_a_row = 0
        self._previous: FloatArray | None = None

    @property
    def has_begun(self) -> bool:
        """Whether anything was commanded since `begin`."""
        return self._previous is not None

    @property
    def commanded(self) -> FloatArray:
        """The last command; `PreviousActionError` when there is none."""
        if self._previous is None:
            raise PreviousActionError("nothing may be commanded before it is known where the robot is")
        return self._previous

    @property
    def names(self) -> tuple[str, ...]:
        """Of the axes."""
        return self._guard.embodiment.action_names

    @property
    def changes_too_much(self) -> bool:
        """Whether as many commands in a row had to be changed as are allowed."""
        return self._clamped_in_a_row >= self._max_clamped_steps

    def forget(self) -> None:
        """The next command needs a new `begin`."""
        self._previous = None
        self._clamped_in_a_row = 0

    def begin(self, measured: npt.NDArray[Any]) -> FloatArray:
        """The first command: stay where you are, or up to one step back into the range.

        `PreviousActionError` when the robot stands further outside, or when that is not known.
        """
        if not np.isfinite(measured).all():
            axis = int(np.argmin(np.isfinite(measured)))
            raise PreviousActionError(f"{self.names[axis]} is measured as {measured[axis]}; check its motor and cable")
        inside: FloatArray = self._guard.check(measured[None]).actions[0]
        outside = np.abs(inside.astype(np.float64) - measured) > self._max_step
        if outside.any():
            axis = int(np.argmax(outside))
            raise PreviousActionError(
                f"{self.names[axis]} is measured at {measured[axis]:g}, further outside its range than one step leads "
                "back: bring the robot back into its range by hand, then start again"
            )
        self.forget()
        self._previous = inside
        return inside

    def admit(self, wanted: npt.NDArray[Any]) -> GuardResult:
        """`wanted` held to the limits, as a chunk of one step. Refuses what is not finite before it holds anything.

        After a refusal, which is an error of `reflex.guard`, the last command stays what it was.
        """
        result = self._guard.check(wanted[None], previous=self.commanded)
        self._previous = result.actions[0]
        self._clamped_in_a_row = self._clamped_in_a_row + 1 if result.clamped else 0
        return result

    def last_words(self, violations: tuple[Violation, ...]) -> str:
        """Why a run of changed commands ends, by what was wrong with the last of them."""
        worst = violations[-1] if violations else None
        named = (
            "" if worst is None else f": {worst.name} wanted {worst.value:g}, held at {worst.limit:g} ({worst.kind})"
        )
        return f"{self._clamped_in_a_row} commands in a row had to be changed by the guard{named}"
