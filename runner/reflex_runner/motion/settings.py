"""`MotionSettings`: how a run moves its robot, and when it stops it."""

from __future__ import annotations

from dataclasses import dataclass

from reflex.embodiments import Embodiment, StopLadder
from reflex.errors import SetupError
from reflex_runner.motion.freshness import Freshness, freshness_of

__all__ = ["MotionSettings", "ladder_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionSettings:
    """How a run moves its robot. `robot` has the limits that hold, narrowed already; it must have a stop ladder."""

    robot: Embodiment
    period_s: float
    hold_after_ms: int | None = None
    """None: as the robot's stop ladder says."""
    stop_after_ms: int | None = None
    max_clamped_steps: int = 30
    """So many commands in a row that the guard had to change stop the run."""
    ease_in_s: float = 1.0
    """The first chunk takes over from the measured pose in at least this time."""
    begin_within_s: float = 60.0
    """The run ends when nothing could be commanded for so long after its start."""

    @property
    def freshness(self) -> Freshness:
        """How old a chunk may be."""
        return freshness_of(ladder_of(self.robot), self.hold_after_ms, self.stop_after_ms)


def ladder_of(robot: Embodiment) -> StopLadder:
    """`SetupError` when nobody has said how it is stopped."""
    if robot.stop_ladder is None:
        raise SetupError(
            f"embodiment {robot.name} does not say how it is stopped, and nothing moves without: give it a stop_ladder "
            "(an arm without brakes falls when its torque goes off, so there is no default)"
        )
    return robot.stop_ladder
