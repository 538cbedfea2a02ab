"""Faults of recordings and of servers as they happen, and healthy set-ups beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from reflex.embodiments import Embodiment
from reflex_learning.diagnosis import picturing
from reflex_runner.simulation.axes import SIMULATED
from support.datasets.drafts import Draft
from support.diagnosis.fitted import Fitted, Statistics, with_statistics

__all__ = ["FAULTS", "HEALTHY", "Fault", "Setup"]

DEGREES = np.array([True] * 5 + [False])
STATE, ACTION = "observation.state", "action"
LIFT, ELBOW = 1, 2
Pixels = Any


@dataclass
class Setup:
    """A dataset and what serves; a fault changes one of the two."""

    draft: Draft
    fitted: Fitted
    robot: Embodiment = SIMULATED
    mode: str = "MEAN_STD"
    latency_s: float = 0.0
    executed: int = 16
    """Actions of a chunk that a robot executes."""
    instruction: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    """What `meta/info.json` says instead."""


@dataclass(frozen=True)
class Fault:
    """`named` are the ids that tell it rightly."""

    name: str
    named: tuple[str, ...]
    do: Callable[[Setup], None]


def _pictures(change: Callable[[Pixels], Pixels], only: str | None = None) -> Callable[[Setup], None]:
    def do(setup: Setup) -> None:
        pictures = setup.draft.pictures
        setup.draft.pictures = {
            name: [[change(pixels) for pixels in episode] for episode in shown] if only in (None, name) else shown
            for name, shown in pictures.items()
        }

    return do


def _swap_cameras(setup: Setup) -> None:
    first, second = setup.draft.pictures
    setup.draft.pictures = {first: setup.draft.pictures[second], second: setup.draft.pictures[first]}


def _numbers(change: Callable[[Any], Any], *names: str) -> Callable[[Setup], None]:
    def do(setup: Setup) -> None:
        for columns in setup.draft.episodes:
            for name in names:
                columns[name] = np.asarray(change(columns[name].astype(np.float64)), np.float32)

    return do


def _radians(values: Any) -> Any:
    return np.where(DEGREES, np.radians(values), values)


def _swapped(first: int, second: int) -> Callable[[Any], Any]:
    order = np.arange(6)
    order[[first, second]] = second, first
    return lambda values: values[:, order]


def _times(axis: int, by: float) -> Callable[[Any], Any]:
    factor = np.ones(6)
    factor[axis] = by
    return lambda values: values * factor


def _plus(axis: int, by: float) -> Callable[[Any], Any]:
    offset = np.zeros(6)
    offset[axis] = by
    return lambda values: values + offset


def _gripper_inverted(values: Any) -> Any:
    return np.concatenate([values[:, :5], 100 - values[:, 5:]], axis=1)


def _late(frames: int) -> Callable[[Any], Any]:
    return lambda values: values[np.maximum(np.arange(len(values)) - frames, 0)]


def _foreign(setup: Setup) -> None:
    of = setup.fitted.statistics
    scale, move = np.array([0.5, 1.6, 0.6, 1.8, 2.0, 0.7], np.float32), np.array([8, -15, 10, 12, -4, 9], np.float32)
    foreign = Statistics(of.state_mean + move, of.state_std * scale, of.action_mean + move, of.action_std * scale)
    setup.fitted = with_statistics(setup.fitted, foreign)


def _unnormalised(setup: Setup) -> None:
    ones, zeros = np.ones(6, np.float32), np.zeros(6, np.float32)
    setup.fitted = with_statistics(setup.fitted, Statistics(zeros, ones, zeros, ones))
    setup.mode = "IDENTITY"


def _other_text(setup: Setup) -> None:
    for columns in setup.draft.episodes:
        columns["task_index"] = 1 - columns["task_index"]


def _given_text(setup: Setup) -> None:
    setup.instruction = "fold the arm"
    kept = [columns["task_index"][0] == 0 for columns in setup.draft.episodes]
    _keep(setup, [number for number, each in enumerate(kept) if each])


def _keep(setup: Setup, numbers: list[int]) -> None:
    draft = setup.draft
    draft.episodes = [draft.episodes[number] for number in numbers]
    draft.pictures = {name: [shown[number] for number in numbers] for name, shown in draft.pictures.items()}
    first = 0
    for number, columns in enumerate(draft.episodes):
        length = len(columns["index"])
        columns["episode_index"], columns["index"] = np.full(length, number), np.arange(first, first + length)
        first += length


def _every_other(setup: Setup) -> None:
    draft = setup.draft
    for columns in draft.episodes:
        for name in columns:
            columns[name] = columns[name][::2]
        columns["frame_index"] = np.arange(len(columns["frame_index"]))
        columns["timestamp"] = (columns["frame_index"] / 30).astype(np.float32)
    draft.pictures = {name: [episode[::2] for episode in shown] for name, shown in draft.pictures.items()}
    _keep(setup, list(range(len(draft.episodes))))


def _half_rate(setup: Setup) -> None:
    _every_other(setup)
    setup.meta["fps"] = 15


def _changed(**changes: Any) -> Callable[[Setup], None]:
    def do(setup: Setup) -> None:
        for name, value in changes.items():
            setattr(setup, name, value)

    return do


def _trembling(setup: Setup) -> None:
    setup.fitted = replace(setup.fitted, noise=0.6)


def _narrow(setup: Setup) -> None:
    low, high = list(SIMULATED.action_low), list(SIMULATED.action_high)
    low[LIFT], high[LIFT] = -20.0, 20.0
    setup.robot = dataclasses.replace(SIMULATED, action_low=tuple(low), action_high=tuple(high), stop_ladder=None)


def _random_weights(setup: Setup) -> None:
    random = np.random.default_rng(3)
    second = setup.fitted.second
    setup.fitted = replace(setup.fitted, second=random.permuted(second, axis=0).astype(np.float32))


FRONT: Final = "observation.images.front"
FAULTS: Final = (
    Fault("red and blue exchanged", ("colours",), _pictures(picturing.reversed_colours)),
    Fault("red and blue exchanged in one of two cameras", ("colours",), _pictures(picturing.reversed_colours, FRONT)),
    Fault("the two cameras exchanged", ("cameras-swapped",), _swap_cameras),
    Fault("pictures mirrored", ("mirrored",), _pictures(picturing.mirrored)),
    Fault("pictures upside down", ("upside-down",), _pictures(picturing.turned)),
    Fault("pictures cropped to the middle 80 %", ("cropped",), _pictures(picturing.cropped(0.8))),
    Fault("pictures that show a third more", ("too-wide",), _pictures(picturing.padded(0.75))),
    Fault("pictures half as bright", ("brightness",), _pictures(picturing.brighter(0.5))),
    Fault("state in radians", ("state-units",), _numbers(_radians, STATE)),
    Fault("state and actions in radians", ("units",), _numbers(_radians, STATE, ACTION)),
    Fault(
        "shoulder_lift and elbow_flex of the state exchanged", ("state-order",), _numbers(_swapped(LIFT, ELBOW), STATE)
    ),
    Fault("the state's shoulder_lift with the opposite sign", ("state-sign",), _numbers(_times(LIFT, -1), STATE)),
    Fault("the state's elbow_flex 25 degrees off", ("state-zero",), _numbers(_plus(ELBOW, 25), STATE)),
    Fault("elbow_flex 45 degrees off in state and actions", ("zero",), _numbers(_plus(ELBOW, 45), STATE, ACTION)),
    Fault("gripper inverted in state and actions", ("gripper",), _numbers(_gripper_inverted, STATE, ACTION)),
    Fault("gripper as 0 to 1 in state and actions", ("gripper",), _numbers(_times(5, 0.01), STATE, ACTION)),
    Fault("state 8 frames late", ("state-late",), _numbers(_late(8), STATE)),
    Fault("actions in radians", ("action-units",), _numbers(_radians, ACTION)),
    Fault("shoulder_lift of the actions with the opposite sign", ("action-sign",), _numbers(_times(LIFT, -1), ACTION)),
    Fault("exported with the statistics of another robot", ("statistics",), _foreign),
    Fault("exported without statistics", ("statistics",), _unnormalised),
    Fault("the text of the other task", ("instruction",), _other_text),
    Fault("another text sent than recorded", ("instruction",), _given_text),
    Fault("recorded at 15 Hz, executed at 30", ("frame-rate",), _half_rate),
    Fault("recorded at 15 Hz, declared as 30", ("playback-rate",), _every_other),
    Fault("an answer takes longer than its chunk lasts", ("latency",), _changed(latency_s=0.06, executed=1)),
    Fault("each chunk begins elsewhere", ("seams",), _trembling),
    Fault("limits of another robot", ("guard",), _narrow),
    Fault("a policy of another task", ("unexplained",), _random_weights),
)


def _larger(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1))


def _as_video(setup: Setup) -> None:
    setup.draft.layout = "video"


def _one_task(setup: Setup) -> None:
    tasks = [int(columns["task_index"][0]) for columns in setup.draft.episodes]
    _keep(setup, [number for number, task in enumerate(tasks) if task == 0])


def _some(setup: Setup) -> None:
    _keep(setup, list(range(4)))


HEALTHY: Final = (
    Fault("recorded as the policy was trained", (), lambda _: None),
    Fault("pictures as video", (), _as_video),
    Fault("pictures twice as large", (), _pictures(_larger)),
    Fault("one task alone", (), _one_task),
    Fault("four episodes", (), _some),
)
