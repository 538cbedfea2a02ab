"""What the bench moves: the table that `--plant` chooses from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Final, Protocol

from reflex_analysis.motion.arm import Arm, Vector
from reflex_analysis.motion.mujoco_arm import MujocoArm
from reflex_analysis.motion.scene import Scene

__all__ = ["MUJOCO", "PLANTS", "POINT_MASS", "Plant", "best_plant"]

POINT_MASS: Final = "point-mass"
MUJOCO: Final = "mujoco"


class Plant(Protocol):
    """Follows its commands with inertia. All values are in the units of its axes."""

    @property
    def positions(self) -> Vector: ...

    def place(self, positions: Vector) -> None: ...

    def follow(self, command: Vector, seconds: float) -> None: ...


PLANTS: Final[Mapping[str, Callable[[Scene], Plant]]] = MappingProxyType(
    {
        POINT_MASS: lambda scene: Arm(scene.rest),
        MUJOCO: lambda scene: MujocoArm(scene.rest, scene.low, scene.low + scene.ranges),
    }
)


def best_plant() -> str:
    """MuJoCo's where it is installed."""
    return MUJOCO if find_spec("mujoco") is not None else POINT_MASS
