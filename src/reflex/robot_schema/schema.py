"""`RobotSchema`: an embodiment, the cameras that are on the robot, and how it is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import ConfigDict

from reflex.embodiments import LADDER, Embodiment, Rung
from reflex.embodiments.stop_ladder import LATEST_STOP_MS
from reflex.signed.canonical import sha256_of

__all__ = ["Camera", "RobotSchema", "SafeStop"]

MAX_CAMERA_CHARACTERS: Final = 64

_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of the robot; a session may begin without one that is not `required`."""

    __pydantic_config__ = _STRICT
    name: str
    required: bool

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_CAMERA_CHARACTERS or not self.name.isprintable():
            raise ValueError(f"name must have 1 to {MAX_CAMERA_CHARACTERS} printable characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeStop:
    """What the robot does when no fresh chunk comes: it holds, and then goes down the ladder.

    It has no default: an arm against gravity falls when its torque goes off, and only who knows the arm can say more.
    Raises `ValueError` when the fields contradict each other.
    """

    __pydantic_config__ = _STRICT
    hold_after_ms: int
    """Without a fresh chunk for so long, the last position is held."""
    stop_after_ms: int
    """Without one for so long, the ladder begins, and only a person lets the robot go on."""
    ladder: tuple[Rung, ...]
    rest_pose: tuple[float, ...] | None = None
    """Where `return_to_rest` goes: one value an action axis, in its unit."""
    rest_speed: float | None = None
    """How fast, as a share of `action_max_step`."""
    release_is_safe: bool = False
    """That the robot stays where it is without torque."""

    def __post_init__(self) -> None:
        if not 0 < self.hold_after_ms < self.stop_after_ms <= LATEST_STOP_MS:
            raise ValueError(
                f"hold_after_ms must be above 0 and below stop_after_ms, which is at most {LATEST_STOP_MS}"
            )
        if not self.ladder or self.ladder != tuple(step for step in LADDER if step in self.ladder):
            raise ValueError(f"ladder must have at least one of {', '.join(LADDER)}, each once and in that order")
        self._refuse_half_a_rest()
        if "release" in self.ladder and self.release_is_safe is not True:
            raise ValueError(
                "release_is_safe must be true for a ladder with release: does the arm stay up without torque?"
            )

    def _refuse_half_a_rest(self) -> None:
        given = [self.rest_pose is not None, self.rest_speed is not None]
        if given != ["return_to_rest" in self.ladder] * 2:
            raise ValueError("rest_pose and rest_speed are given exactly when the ladder has return_to_rest")
        if self.rest_speed is not None and not 0 < self.rest_speed <= 1:
            raise ValueError("rest_speed must be above 0 and at most 1, a share of action_max_step")


@dataclass(frozen=True, slots=True)
class RobotSchema:
    """A kind of robot. Raises `ValueError` when its parts contradict each other."""

    embodiment: Embodiment
    cameras: tuple[Camera, ...]
    safe_stop: SafeStop
    simulation: bool = False
    """Its robots move nothing real: policies that were trained for simulation alone may drive them."""

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.cameras]
        if len(set(names)) != len(names):
            raise ValueError("cameras must have different names")
        self._refuse_unreachable_rest()

    @property
    def limits_hash(self) -> str:
        """`sha256:` and 64 digits; two schemas have the same one exactly when their actions keep the same limits."""
        robot = self.embodiment
        numbers = {"low": robot.action_low, "high": robot.action_high, "max_step": robot.action_max_step}
        return sha256_of(
            {
                "names": robot.action_names,
                "units": robot.action_units,
                **{name: [_one_spelling(value) for value in values] for name, values in numbers.items()},
                "control_hz": _one_spelling(robot.control_hz),
            }
        )

    def _refuse_unreachable_rest(self) -> None:
        pose, robot = self.safe_stop.rest_pose, self.embodiment
        if pose is None:
            return
        if len(pose) != robot.action_dim:
            raise ValueError(
                f"safe_stop.rest_pose must have {robot.action_dim} values, one an action axis, not {len(pose)}"
            )
        axes = zip(robot.action_names, robot.action_low, pose, robot.action_high, strict=True)
        for name, low, value, high in axes:
            if not low <= value <= high:  # a NaN too
                raise ValueError(
                    f"safe_stop.rest_pose: {name} lies outside the range of its action, {low:g} to {high:g}"
                )


def _one_spelling(value: float) -> float:
    """1 and 1.0, and 0.0 and -0.0, are the same limit and different JSON."""
    return float(value) + 0.0
