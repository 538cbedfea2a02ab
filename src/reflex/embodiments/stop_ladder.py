"""`StopLadder`: what a robot does, rung by rung, when it has to stop, and how soon it has to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from pydantic import ConfigDict

__all__ = ["LADDER", "LATEST_STOP_MS", "Rung", "StopLadder"]

Rung = Literal["hold", "return_to_rest", "release"]
LADDER: Final[tuple[Rung, ...]] = get_args(Rung)
"""The order in which a robot's rungs follow each other."""
LATEST_STOP_MS: Final = 60_000
"""A later stop would be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLadder:
    """How a robot is stopped. It has no default: an arm against gravity falls when its torque goes off.

    Raises `ValueError` when the fields contradict each other.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    rungs: tuple[Rung, ...]
    """`hold` keeps torque and position, `return_to_rest` goes to `rest_pose`, `release` takes the torque off."""
    rest_pose: tuple[float, ...] | None = None
    """Where `return_to_rest` goes: one value an action axis, in its unit."""
    rest_speed: tuple[float, ...] | None = None
    """How fast each action axis goes there at most, in its unit per second."""
    release_is_safe: bool = False
    """That the robot stays where it is without torque."""
    hold_after_ms: int = 200
    """Without a fresh chunk for so long, the last commanded position is held."""
    stop_after_ms: int = 1000
    """Without one for so long the robot is stopped, and only a person lets it go on."""

    def __post_init__(self) -> None:
        if not 0 < self.hold_after_ms < self.stop_after_ms <= LATEST_STOP_MS:
            raise ValueError(
                f"hold_after_ms must be above 0 and below stop_after_ms, which is at most {LATEST_STOP_MS}"
            )
        if not self.rungs or self.rungs != tuple(rung for rung in LADDER if rung in self.rungs):
            raise ValueError(f"rungs must have at least one of {', '.join(LADDER)}, each once and in that order")
        given = [self.rest_pose is not None, self.rest_speed is not None]
        if given != ["return_to_rest" in self.rungs] * 2:
            raise ValueError("rest_pose and rest_speed are given exactly when rungs has return_to_rest")
        if "release" in self.rungs and self.release_is_safe is not True:
            raise ValueError(
                "release_is_safe must be true for rungs with release: does the robot stay up without torque?"
            )

    def refuse_other_axes(
        self, names: Sequence[str], low: Sequence[float], high: Sequence[float], top_speed: Sequence[float]
    ) -> None:
        """`ValueError` when the rest pose is not one of these axes, or its way there is faster than they may go."""
        if self.rest_pose is None or self.rest_speed is None:
            return
        if not len(names) == len(self.rest_pose) == len(self.rest_speed):
            raise ValueError(f"stop_ladder: rest_pose and rest_speed must have {len(names)} values, one an action axis")
        for index, name in enumerate(names):
            # Written so that a NaN, which compares false with everything, is refused too.
            if not low[index] <= self.rest_pose[index] <= high[index]:
                raise ValueError(
                    f"stop_ladder: rest_pose: {name} lies outside its range, {low[index]:g} to {high[index]:g}"
                )
            if not 0 < self.rest_speed[index] <= top_speed[index]:
                raise ValueError(
                    f"stop_ladder: rest_speed: {name} must be above 0 and at most {top_speed[index]:g} per second, "
                    "which is action_max_step times control_hz"
                )
