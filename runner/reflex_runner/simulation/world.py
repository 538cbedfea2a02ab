"""The simulated arm, its table and its cube: reset, command, let time pass, measure. No thread and no picture."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from reflex_runner.errors import HardwareError
from reflex_runner.simulation.axes import AXES, GRIPPER, SIMULATED, to_radians, to_units
from reflex_runner.simulation.cube import HALF_SIDE_M, HELD_PERCENT, Cube
from reflex_runner.simulation.engine import build_model, mujoco
from reflex_runner.simulation.start import Looks, Start, draw_second_xy, draw_start

__all__ = ["CONTROL_PERIOD_S", "Wanted", "World"]

FloatArray = npt.NDArray[np.float32]
Wanted = Literal["red", "green"]
"""Of two cubes, the one that is to be lifted."""

CONTROL_PERIOD_S: Final = 1.0 / SIMULATED.control_hz


class World:
    """One arm and one cube, or two where one is `wanted`. Made by one thread at a time: who shares it holds a lock."""

    def __init__(self, seed: int = 0, *, varied_looks: bool = False, wanted: Wanted | None = None) -> None:
        self._engine = mujoco()
        self.model: Any = build_model(second_cube=wanted is not None)
        self.data: Any = self._engine.MjData(self.model)
        self._grasp_site = self.model.site("grasp").id
        self._plain_light = self.model.light("lamp").diffuse.copy()
        self._plain_front = self.model.camera("front").pos.copy()
        self._varied_looks = varied_looks
        self.wanted: Wanted | None = wanted
        """From the next reset on; a world that was made for one cube has one."""
        self._goal = np.zeros(len(AXES))
        self._jammed: dict[int, float] = {}
        self._commands: deque[tuple[float, npt.NDArray[np.float64]]] = deque()
        self.has_lifted = False
        """Whether the cube was lifted since the reset, whatever became of it."""
        self.delay_s = 0.0
        """From a command to the servo that hears it."""
        self.cube = Cube(np.zeros(3))
        """The one that is to be lifted."""
        self._cubes: dict[int, Cube] = {}
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Begin the episode of that seed: everything stands still, and nothing is commanded but to stay."""
        start = draw_start(seed, varied_looks=self._varied_looks)
        self._engine.mj_resetData(self.model, self.data)
        self._jammed.clear()
        self._commands.clear()
        self.has_lifted = False
        self.data.qpos[:] = self._goal = to_radians(start.pose)
        self._lay_out(seed, start)
        self._dress(start.looks)
        self._place_cubes()
        self._engine.mj_forward(self.model, self.data)

    @property
    def time_s(self) -> float:
        """Since the reset, on the simulation's own clock."""
        return float(self.data.time)

    @property
    def grip(self) -> npt.NDArray[np.float64]:
        """The point between the jaws, in metres from the base."""
        return np.array(self.data.site_xpos[self._grasp_site])

    def state(self) -> FloatArray:
        """Measured joint positions, in the embodiment's units."""
        return to_units(self.data.qpos)

    def command(self, action: npt.NDArray[Any], *, after_s: float = 0.0) -> None:
        """Set where the servos go, in the embodiment's units. They stay there until the next command.

        Those that are there for later moments are forgotten: each command without `after_s` begins anew.
        """
        if action.shape != (len(AXES),) or not np.isfinite(action).all():
            raise HardwareError(f"the simulated arm takes {len(AXES)} finite numbers, not {action!r}")
        due_s = self.time_s + self.delay_s + after_s
        while self._commands and self._commands[-1][0] >= due_s:
            self._commands.pop()
        self._commands.append((due_s, to_radians(action)))

    def hold(self) -> None:
        """Command the arm to stay where it is now."""
        self._commands.clear()
        self._goal = np.array(self.data.qpos)

    def jam(self, axis: str) -> None:
        """From now on that joint stands where it is, whatever it is told; until the next reset."""
        index = AXES.index(axis)
        self._jammed.setdefault(index, float(self.data.qpos[index]))

    def advance(self, duration_s: float) -> None:
        """Let so much time pass, in whole steps of the physics."""
        step_s = float(self.model.opt.timestep)
        for _ in range(max(1, round(duration_s / step_s))):
            self._step(step_s)

    def _step(self, step_s: float) -> None:
        while self._commands and self._commands[0][0] <= self.time_s:
            self._goal = self._commands.popleft()[1]
        goal = self._goal.copy()
        if any(cube.is_held for cube in self._cubes.values()):  # what lies between the jaws keeps them apart
            goal[GRIPPER] = max(goal[GRIPPER], math.radians(HELD_PERCENT * 1.1))
        self.data.ctrl[:] = goal
        self._engine.mj_step(self.model, self.data)
        for index, angle in self._jammed.items():
            self.data.qpos[index], self.data.qvel[index] = angle, 0.0
        for cube in self._cubes.values():
            cube.follow(self.grip, float(to_units(self.data.qpos)[GRIPPER]), step_s)
        self.has_lifted |= self.cube.is_lifted
        self._place_cubes()

    def _lay_out(self, seed: int, start: Start) -> None:
        self.cube = red = Cube(np.array([*start.cube_xy_m, HALF_SIDE_M]), start.cube_yaw_rad)
        self._cubes = {self._body_of("cube"): red}
        if self.wanted is not None:
            green = Cube(np.array([*draw_second_xy(seed, start.cube_xy_m), HALF_SIDE_M]))
            self._cubes[self._body_of("second_cube")] = green
            self.cube = green if self.wanted == "green" else red

    def _body_of(self, name: str) -> int:
        return int(self.model.body(name).mocapid[0])

    def _place_cubes(self) -> None:
        for body, cube in self._cubes.items():
            half = cube.yaw_rad / 2
            self.data.mocap_pos[body] = cube.middle
            self.data.mocap_quat[body] = (math.cos(half), 0.0, 0.0, math.sin(half))

    def _dress(self, looks: Looks) -> None:
        self.model.geom("cube").rgba[:3] = looks.cube_rgb
        self.model.geom("table").rgba[:3] = looks.table_rgb
        self.model.light("lamp").diffuse[:] = np.clip(self._plain_light * looks.light, 0.0, 1.0)
        self.model.camera("front").pos[:] = self._plain_front + looks.camera_shift_m
