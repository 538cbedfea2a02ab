"""Demonstrations of two tasks by scripts in the simulator, as drafts of datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.simulation.expert import SPEED, Sight, action_of
from reflex_runner.simulation.eyes import CAMERAS, Eyes, Scene
from reflex_runner.simulation.world import CONTROL_PERIOD_S, World
from support.datasets.drafts import Columns, Draft, Pixels

__all__ = ["FEATURES", "HEIGHT", "TASKS", "WIDTH", "counters", "demonstrations"]

TASKS: Final = ("pick up the cube", "fold the arm")
FEATURES: Final = tuple(f"observation.images.{camera}" for camera in CAMERAS)
WIDTH, HEIGHT = 64, 48
LONGEST: Final = 60
AFTER: Final = 8
"""Frames at the end that show the task done."""
NOISE: Final = 1.5
"""Units on what is executed and not on what is recorded: recoveries are shown as well."""
REST: Final = np.array([0.0, -98.0, 94.0, 60.0, 0.0, 20.0])
Vector = npt.NDArray[Any]


def demonstrations(seeds: Sequence[int], tasks: Sequence[int] = (0, 1), height: int = HEIGHT) -> Draft:
    """An episode of each seed, the tasks in turn; not yet summed up."""
    world, first = World(), 0
    episodes: list[Columns] = []
    pictures: dict[str, list[list[Pixels]]] = {name: [] for name in FEATURES}
    with Eyes(world.model, WIDTH, height) as eyes:
        for number, seed in enumerate(seeds):
            task = tasks[number % len(tasks)]
            columns, shown = _episode(world, eyes, seed, task)
            length = len(columns["action"])
            frames = np.arange(length)
            episodes.append(columns | counters(frames, number, first, task))
            for name, camera in zip(FEATURES, CAMERAS, strict=True):
                pictures[name].append([each[camera] for each in shown])
            first += length
    return Draft("image", episodes, pictures, list(TASKS))


def _episode(world: World, eyes: Eyes, seed: int, task: int) -> tuple[Columns, list[dict[str, Pixels]]]:
    world.reset(seed)
    random, act = np.random.default_rng(seed), SCRIPTS[task]
    states: list[Vector] = []
    actions: list[Vector] = []
    shown: list[dict[str, Pixels]] = []
    left = AFTER
    while len(states) < LONGEST and left:
        state = world.state()
        states.append(state)
        actions.append(act(world, state).astype(np.float32))
        shown.append({name: np.array(pixels) for name, pixels in eyes.look(Scene(world)).items()})
        world.command(
            np.clip(actions[-1] + NOISE * random.standard_normal(6), SIMULATED.action_low, SIMULATED.action_high)
        )
        world.advance(CONTROL_PERIOD_S)
        left -= bool(world.cube.is_lifted or (task == 1 and np.abs(state - REST).max() < 4))
    return {"observation.state": np.stack(states), "action": np.stack(actions)}, shown


def _pick(world: World, state: Vector) -> Vector:
    return action_of(state, Sight(world.cube.middle, world.cube.is_held))


def _fold(_: World, state: Vector) -> Vector:
    action: Vector = np.clip(state + np.clip(REST - state, -SPEED, SPEED), SIMULATED.action_low, SIMULATED.action_high)
    return action


SCRIPTS: Final[tuple[Callable[[World, Vector], Vector], ...]] = (_pick, _fold)


def counters(frames: npt.NDArray[np.int64], number: int, first: int, task: int) -> Columns:
    """Of an episode's frames, the first of which is `first` in the whole dataset."""
    return {
        "timestamp": (frames / 30).astype(np.float32),
        "frame_index": frames.astype(np.int64),
        "episode_index": np.full(len(frames), number, np.int64),
        "index": (first + frames).astype(np.int64),
        "task_index": np.full(len(frames), task, np.int64),
    }
