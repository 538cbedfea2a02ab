"""How an episode begins: where the cube lies and how the arm stands, drawn from the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_runner.simulation.geometry import grip_of

__all__ = ["APART_M", "CUBE_BEARING_DEG", "CUBE_DISTANCE_M", "Looks", "Start", "draw_second_xy", "draw_start"]

CUBE_DISTANCE_M: Final = (0.15, 0.23)
"""From the axis that pans the arm: the hand reaches all of it, pointing down, and 10 cm above it."""
CUBE_BEARING_DEG: Final = (-45.0, 45.0)
APART_M: Final = 0.06
"""Between two cubes' middles, at least: open jaws around the one are clear of the other."""
_SECOND: Final = 2
"""Its draws have a stream of their own, so that the first cube and the arm are where they are without it."""
_POSE_LOW: Final = np.array([-50.0, -45.0, -10.0, 30.0, -15.0, 0.0])
_POSE_HIGH: Final = np.array([50.0, 15.0, 50.0, 80.0, 15.0, 80.0])
_LOWEST_GRIP_M: Final = 0.06


@dataclass(frozen=True, slots=True)
class Looks:
    """What a picture may show otherwise though nothing else changed: colours and light."""

    cube_rgb: tuple[float, float, float] = (0.85, 0.12, 0.1)
    table_rgb: tuple[float, float, float] = (0.62, 0.64, 0.66)
    light: float = 1.0
    camera_shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """One beginning."""

    pose: npt.NDArray[np.float64]
    """Of the six axes, in the embodiment's units."""
    cube_xy_m: tuple[float, float]
    cube_yaw_rad: float
    looks: Looks = field(default_factory=Looks)


def draw_start(seed: int, *, varied_looks: bool = False) -> Start:
    """The beginning of that seed: the same on every machine. `varied_looks` changes what is seen and nothing else."""
    random = np.random.Generator(np.random.PCG64(seed))
    distance, bearing = random.uniform(*CUBE_DISTANCE_M), math.radians(random.uniform(*CUBE_BEARING_DEG))
    yaw = random.uniform(-math.pi / 4, math.pi / 4)
    pose = _draw_pose(random)
    looks = _draw_looks(random) if varied_looks else Looks()
    return Start(pose, (distance * math.cos(bearing), distance * math.sin(bearing)), yaw, looks)


def draw_second_xy(seed: int, first_xy_m: tuple[float, float]) -> tuple[float, float]:
    """Where the second cube of that seed lies: anywhere that the first could, and not too near to it."""
    random = np.random.Generator(np.random.PCG64([seed, _SECOND]))
    while True:
        distance, bearing = random.uniform(*CUBE_DISTANCE_M), math.radians(random.uniform(*CUBE_BEARING_DEG))
        place = distance * math.cos(bearing), distance * math.sin(bearing)
        if math.dist(place, first_xy_m) >= APART_M:
            return place


def _draw_pose(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Any pose in the range whose hand is clear of the table."""
    while True:
        pose = random.uniform(_POSE_LOW, _POSE_HIGH)
        if grip_of(pose).z >= _LOWEST_GRIP_M:
            return pose


def _draw_looks(random: np.random.Generator) -> Looks:
    red, grey = random.uniform(0.7, 1.0), random.uniform(0.4, 0.8)
    cube = (red, *random.uniform(0.0, 0.25, 2).tolist())
    table = tuple((grey + random.uniform(-0.06, 0.06, 3)).tolist())
    shift = tuple(random.uniform(-0.01, 0.01, 3).tolist())
    return Looks(cube, table, float(random.uniform(0.7, 1.3)), shift)
