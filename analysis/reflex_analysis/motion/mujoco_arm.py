"""The arm as a chain of links in MuJoCo: what one joint does, the others feel. Nothing is drawn.

As in the scene's picture, the range of each axis is an angle from -1 to 1 rad. The weight is taken off, as servos do
that hold a real arm; each is critically damped for the inertia that its own joint has at the beginning.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_analysis.motion.arm import SERVO_HZ, Vector

__all__ = ["MujocoArm"]

REACH_M: Final = 0.6
WEIGHT_KG: Final = 2.0
"""Of all links together; about an arm that stands on a table."""
GEAR_KG_M2: Final = 0.01
"""What a motor of that size adds behind its gear."""
LONGEST_STEP_S: Final = 0.002
LINK: Final = """<body pos="{at} 0 0"><joint name="j{number}" axis="0 0 1" armature="{gear}"/>
<geom type="capsule" fromto="0 0 0 {length} 0 0" size="0.02" mass="{mass}"/>"""
MODEL: Final = """<mujoco><option gravity="0 0 0" integrator="implicitfast"><flag contact="disable"/></option>
<worldbody>{links}</worldbody><actuator>{servos}</actuator></mujoco>"""


class MujocoArm:
    """Like `Arm`; `low` and `high` are the ends of each axis' range, in its own unit."""

    def __init__(self, positions: Vector, low: Vector, high: Vector) -> None:
        self._mujoco = _mujoco()
        self._middle, self._half = (low + high) / 2.0, (high - low) / 2.0
        self._model = self._mujoco.MjModel.from_xml_string(_chain(len(low)))
        self._data = self._mujoco.MjData(self._model)
        self.place(positions)
        self._set_servos()

    @property
    def positions(self) -> Vector:
        found: Vector = self._middle + self._half * self._data.qpos
        return found

    def place(self, positions: Vector) -> None:
        """Put it there, at rest."""
        self._mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = self._angles(positions)
        self._mujoco.mj_forward(self._model, self._data)

    def follow(self, command: Vector, seconds: float) -> None:
        """Move towards `command` for so long."""
        steps = max(1, math.ceil(seconds / LONGEST_STEP_S))
        self._model.opt.timestep = seconds / steps
        self._data.ctrl[:] = self._angles(command)
        self._mujoco.mj_step(self._model, self._data, steps)

    def _angles(self, positions: Vector) -> Vector:
        angles: Vector = (positions - self._middle) / self._half
        return angles

    def _set_servos(self) -> None:
        """Torque = stiffness (command - angle) - damping velocity, for what each joint has to move."""
        whole = np.zeros((self._model.nv, self._model.nv))
        self._mujoco.mj_fullM(self._model, self._data, whole)
        inertia, pull = np.diag(whole), 2.0 * math.pi * SERVO_HZ
        self._model.actuator_gainprm[:, 0] = inertia * pull**2
        self._model.actuator_biasprm[:, 1] = -inertia * pull**2
        self._model.actuator_biasprm[:, 2] = -inertia * 2.0 * pull


def _chain(axes: int) -> str:
    length = REACH_M / axes
    links = "".join(
        LINK.format(at=length if number else 0.0, number=number, gear=GEAR_KG_M2, length=length, mass=WEIGHT_KG / axes)
        for number in range(axes)
    )
    servos = "".join(f'<general joint="j{number}" biastype="affine"/>' for number in range(axes))
    return MODEL.format(links=links + "</body>" * axes, servos=servos)


def _mujoco() -> Any:  # noqa: ANN401 - a package without types that need not be there
    try:
        import mujoco
    except ImportError as exc:
        raise SetupError(f"--plant mujoco needs MuJoCo: {install_line('sim')}") from exc
    return mujoco
