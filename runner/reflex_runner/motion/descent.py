"""`Descent`: a robot on its way down the stop ladder, one rung after the other; a rung that fails goes to the next.

    hold ──(HOLD_S)──▶ return_to_rest ──(there, or too late)──▶ release ──▶ over

It never goes up again. What a rung needs of the robot other than a command is an `Act`, which the control loop does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Rung, StopLadder
from reflex.errors import ReflexError
from reflex_runner.motion.command_guard import CommandGuard

__all__ = ["HOLD_S", "SETTLE_S", "Act", "Descent", "StopCause", "rungs_of"]

FloatArray = npt.NDArray[np.float32]
Pose = npt.NDArray[np.float64]
Act = Literal["hold", "release"]

HOLD_S: Final = 0.5
"""Before it goes anywhere the robot stands: what swings comes to rest, and who stands beside it sees that it stops."""
SETTLE_S: Final = 2.0
"""How long after the last command the robot may take to be measured in its rest pose."""
REST_TOLERANCE: Final = 0.05
"""Of an axis' range: gravity keeps a servo from going quite where it is told."""


@dataclass(frozen=True, slots=True)
class StopCause:
    """Why the run stops: for an error, because somebody said so, or because it has reached its end."""

    code: str
    message: str
    kind: Literal["fault", "operator", "end"] = "fault"


def rungs_of(ladder: StopLadder, *, has_begun: bool) -> tuple[Rung, ...]:
    """What a stop does: a robot that this run has never moved is not moved by its stop either."""
    if not has_begun:
        return ("hold",)
    return tuple(rung for rung in ladder.rungs if rung != "release" or ladder.release_is_safe)


class Descent:
    """Goes through `rungs` with one call of `command` a period. Keeps what went wrong in `failures`."""

    def __init__(self, rungs: Sequence[Rung], ladder: StopLadder, guard: CommandGuard, period_s: float) -> None:
        self._waiting = list(rungs)
        self._rest_pose = np.asarray(ladder.rest_pose or (), dtype=np.float64)
        self._rest_speed = np.asarray(ladder.rest_speed or (), dtype=np.float64)
        self._guard = guard
        self._period_s = period_s
        self._began_s: float | None = None
        self._arrived_s: float | None = None
        self._act: Act | None = None
        self._doing: Act | None = None
        self._is_held = False
        self.failures: list[str] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing will be done any more."""
        return not self._waiting and self._act is None

    @property
    def rung(self) -> Rung | None:
        """The one that the robot is on."""
        return self._waiting[0] if self._waiting else None

    def take_act(self) -> Act | None:
        """What must be done with the robot in this period beside the command; each once."""
        self._doing, self._act = self._act, None
        self._is_held = self._is_held or self._doing == "hold"
        return self._doing

    def cut_short(self) -> None:
        """Hold at once, and leave the other rungs: somebody wants it to stand still now."""
        self._waiting.clear()
        self._act = "hold"

    def fail(self, why: str) -> None:
        """What this period was to do with the robot did not work: on to the next rung.

        A return to rest that fails, and is the last, is followed by a hold where the robot is.
        """
        failed = self._doing or self.rung or "hold"
        self._is_held = self._is_held and self._doing != "hold"
        self.failures.append(f"{failed}: {why}")
        if failed == self.rung:
            self._next()
        if not self._waiting and failed == "return_to_rest":
            self._act = "hold"

    def command(self, now: float, measured: FloatArray | None) -> FloatArray | None:
        """What is commanded in this period; only `return_to_rest` commands anything."""
        self._doing = None
        begins = self._began_s is None
        self._began_s = now if self._began_s is None else self._began_s
        match self.rung:
            case "hold":
                self._hold(now - self._began_s, begins=begins)
            case "release":
                self._act = "release"
                self._next()
            case "return_to_rest":
                return self._return_to_rest(now, measured, begins=begins)
        return None

    def _hold(self, held_s: float, *, begins: bool) -> None:
        if begins:
            self._act = "hold"
        if held_s >= HOLD_S or len(self._waiting) == 1:
            self._next()

    def _return_to_rest(self, now: float, measured: FloatArray | None, *, begins: bool) -> FloatArray | None:
        try:
            if begins and self._is_held and measured is not None:
                return self._guard.begin(measured)  # it was held where it is, which need not be where it was told
            return self._towards_rest(now, measured)
        except ReflexError as exc:
            self.fail(str(exc))
            return None

    def _towards_rest(self, now: float, measured: FloatArray | None) -> FloatArray | None:
        reach = self._rest_speed * self._period_s
        way: Pose = self._rest_pose - self._guard.commanded
        if not (np.abs(way) <= reach).all():
            return self._admitted(self._guard.commanded + np.clip(way, -reach, reach))
        self._arrived_s = now if self._arrived_s is None else self._arrived_s
        if measured is not None and self._is_at_rest(measured):
            self._next()
        elif now - self._arrived_s >= SETTLE_S:
            self.fail("the robot was not measured in its rest pose: something may be in its way, or a motor is off")
            return None
        return self._admitted(self._rest_pose)

    def _admitted(self, wanted: Pose) -> FloatArray:
        command: FloatArray = self._guard.admit(wanted).actions[0]
        return command

    def _is_at_rest(self, measured: FloatArray) -> bool:
        return bool((np.abs(measured - self._rest_pose) <= REST_TOLERANCE * self._guard.widths).all())

    def _next(self) -> None:
        del self._waiting[:1]
        self._began_s = self._arrived_s = None
