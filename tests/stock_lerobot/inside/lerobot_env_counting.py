"""A simulation of LeRobot that needs no other package: the arm of lerobot_robot_counting as a Gymnasium environment.

Runs in LeRobot's own environment, whose plugin loader finds it by its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot_robot_counting import JOINTS, picture

__all__ = ["CountingEnv", "CountingEnvConfig"]

VIEWS = {"camera1": (48, 64), "camera2": (64, 64)}
EPISODE_STEPS = 30
Array = npt.NDArray[Any]


class CountingEnv(gym.Env[dict[str, Any], Array]):  # type: ignore[misc]  # not installed where types are checked
    """Where it is sent is where it stands. Each action becomes a line of JSON in a file of the episode's seed."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - Gymnasium's
    task_description = "pick up the cube"
    task = "pick up the cube"

    def __init__(self, log: str, render_mode: str = "rgb_array") -> None:
        self.render_mode = render_mode
        self._max_episode_steps = EPISODE_STEPS
        self._log = Path(log)
        self._seed = 0
        self._steps = 0
        self._position = np.zeros(len(JOINTS))
        images = {name: gym.spaces.Box(0, 255, (*size, 3), np.uint8) for name, size in VIEWS.items()}
        self.observation_space = gym.spaces.Dict(
            {"pixels": gym.spaces.Dict(images), "agent_pos": gym.spaces.Box(-1e6, 1e6, (len(JOINTS),), np.float64)}
        )
        self.action_space = gym.spaces.Box(-1e6, 1e6, (len(JOINTS),), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ARG002 - Gymnasium's
        self._seed = self._seed if seed is None else seed
        self._steps = 0
        self._position = np.zeros(len(JOINTS))
        return self._observation(), {"is_success": False}

    def step(self, action: Array) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        self._position = np.asarray(action, np.float64)
        with (self._log / f"{self._seed}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(self._position.tolist()) + "\n")
        self._steps += 1
        ends = self._steps >= EPISODE_STEPS
        return self._observation(), 0.0, ends, False, {"is_success": ends}

    def render(self) -> Array:
        seen: Array = picture(0, self._steps, *VIEWS["camera2"])
        return seen

    def _observation(self) -> dict[str, Any]:
        count = 1000 * self._seed + self._steps
        images = {name: picture(number, count, *size) for number, (name, size) in enumerate(VIEWS.items())}
        return {"pixels": images, "agent_pos": self._position.copy()}


gym.register("gym_counting/arm", CountingEnv)


@EnvConfig.register_subclass("counting")
@dataclass
class CountingEnvConfig(EnvConfig):  # type: ignore[misc]
    task: str | None = "arm"
    fps: int = 10
    log: str = "."
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            "action": PolicyFeature(FeatureType.ACTION, (len(JOINTS),)),
            "agent_pos": PolicyFeature(FeatureType.STATE, (len(JOINTS),)),
            **{f"pixels/{name}": PolicyFeature(FeatureType.VISUAL, (*size, 3)) for name, size in VIEWS.items()},
        }
    )
    features_map: dict[str, str] = field(
        default_factory=lambda: {
            "action": "action",
            "agent_pos": "observation.state",
            **{f"pixels/{name}": f"observation.images.{name}" for name in VIEWS},
        }
    )

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        return {"log": self.log}
