"""What the simulated cameras see, drawn by MuJoCo without a GPU. OpenGL belongs to the thread that makes an `Eyes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from reflex_runner.simulation.engine import build_renderer, mujoco
from reflex_runner.simulation.world import World

__all__ = ["CAMERAS", "LARGEST_PX", "SMALLEST_PX", "Eyes", "Scene"]

Picture = npt.NDArray[np.uint8]

CAMERAS: Final = ("front", "wrist")
SMALLEST_PX: Final = 16
LARGEST_PX: Final = (1280, 960)
"""Width and height that the scene has room for."""


class Scene:
    """Where everything was at one moment: what a picture needs, so that drawing it holds no simulation up."""

    def __init__(self, world: World) -> None:
        self.time_s = world.time_s
        self.joints = np.array(world.data.qpos)
        self.cube = np.array(world.data.mocap_pos), np.array(world.data.mocap_quat)


class Eyes:
    """Draws pictures of one size. Used, and closed, by the thread that made it."""

    def __init__(self, model: Any, width: int, height: int, cameras: Sequence[str] = CAMERAS) -> None:  # noqa: ANN401
        self._engine = mujoco()
        self._model = model
        self._data = self._engine.MjData(model)
        self._cameras = tuple(cameras)
        self._renderer = build_renderer(model, width, height)

    def look(self, scene: Scene) -> Mapping[str, Picture]:
        """A picture of each camera, uint8 of shape [height, width, 3]."""
        self._data.qpos[:] = scene.joints
        self._data.mocap_pos[:], self._data.mocap_quat[:] = scene.cube
        self._engine.mj_kinematics(self._model, self._data)
        self._engine.mj_camlight(self._model, self._data)
        return {camera: self._draw(camera) for camera in self._cameras}

    def close(self) -> None:
        """Give back what the driver holds."""
        self._renderer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _draw(self, camera: str) -> Picture:
        self._renderer.update_scene(self._data, camera=camera)
        picture: Picture = self._renderer.render()
        return picture
