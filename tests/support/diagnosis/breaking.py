"""Ways in which a recording, or what serves beside it, is no longer what the policy was trained on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reflex.embodiments import Embodiment
from reflex.model_repository import EMBODIMENT_FILE
from reflex_runner.simulation.axes import SIMULATED
from support.datasets.drafts import Draft

__all__ = [
    "ACTION",
    "ELBOW",
    "LIFT",
    "STATE",
    "Change",
    "Fault",
    "Recorded",
    "as_video",
    "changed",
    "every_other",
    "four_episodes",
    "gripper_inverted",
    "half_rate",
    "keep",
    "larger",
    "late",
    "narrow",
    "numbers",
    "pictures",
    "plus",
    "radians",
    "swapped",
    "times",
]

DEGREES = np.array([True] * 5 + [False])
STATE, ACTION = "observation.state", "action"
LIFT, ELBOW = 1, 2
Pixels = Any


@dataclass
class Recorded:
    """A dataset, and how a server is started that is asked about it."""

    draft: Draft
    robot: Embodiment = field(default=SIMULATED, kw_only=True)
    latency_s: float = field(default=0.0, kw_only=True)
    executed: int = field(default=16, kw_only=True)
    """Actions of a chunk that a robot executes."""
    instruction: str | None = field(default=None, kw_only=True)
    meta: dict[str, Any] = field(default_factory=dict, kw_only=True)
    """What `meta/info.json` says instead."""


Change = Callable[[Recorded], None]


@dataclass(frozen=True)
class Fault:
    """`named` are the ids that tell it rightly; `do` changes a set-up."""

    name: str
    named: tuple[str, ...]
    do: Callable[[Any], None]


def pictures(change: Callable[[Pixels], Pixels], only: str | None = None) -> Change:
    def do(setup: Recorded) -> None:
        setup.draft.pictures = {
            name: [[change(pixels) for pixels in episode] for episode in shown] if only in (None, name) else shown
            for name, shown in setup.draft.pictures.items()
        }

    return do


def numbers(change: Callable[[Any], Any], *names: str) -> Change:
    def do(setup: Recorded) -> None:
        for columns in setup.draft.episodes:
            for name in names:
                columns[name] = np.asarray(change(columns[name].astype(np.float64)), np.float32)

    return do


def radians(values: Any) -> Any:
    return np.where(DEGREES, np.radians(values), values)


def swapped(first: int, second: int) -> Callable[[Any], Any]:
    order = np.arange(6)
    order[[first, second]] = second, first
    return lambda values: values[:, order]


def times(axis: int, by: float) -> Callable[[Any], Any]:
    factor = np.ones(6)
    factor[axis] = by
    return lambda values: values * factor


def plus(axis: int, by: float) -> Callable[[Any], Any]:
    offset = np.zeros(6)
    offset[axis] = by
    return lambda values: values + offset


def gripper_inverted(values: Any) -> Any:
    return np.concatenate([values[:, :5], 100 - values[:, 5:]], axis=1)


def late(frames: int) -> Callable[[Any], Any]:
    return lambda values: values[np.maximum(np.arange(len(values)) - frames, 0)]


def narrow(setup: Recorded) -> None:
    low, high = list(SIMULATED.action_low), list(SIMULATED.action_high)
    low[LIFT], high[LIFT] = -20.0, 20.0
    setup.robot = dataclasses.replace(SIMULATED, action_low=tuple(low), action_high=tuple(high), stop_ladder=None)


def hold_to(robot: Embodiment, policy: Path) -> None:
    """A server of the policy in that folder holds it to this robot's limits."""
    told = {name: value for name, value in dataclasses.asdict(robot).items() if value is not None}
    (policy / EMBODIMENT_FILE).write_text(json.dumps(told))


def keep(setup: Recorded, numbers: list[int]) -> None:
    draft = setup.draft
    draft.episodes = [draft.episodes[number] for number in numbers]
    draft.pictures = {name: [shown[number] for number in numbers] for name, shown in draft.pictures.items()}
    first = 0
    for number, columns in enumerate(draft.episodes):
        length = len(columns["index"])
        columns["episode_index"], columns["index"] = np.full(length, number), np.arange(first, first + length)
        first += length


def every_other(setup: Recorded) -> None:
    draft = setup.draft
    for columns in draft.episodes:
        for name in columns:
            columns[name] = columns[name][::2]
        columns["frame_index"] = np.arange(len(columns["frame_index"]))
        columns["timestamp"] = (columns["frame_index"] / 30).astype(np.float32)
    draft.pictures = {name: [episode[::2] for episode in shown] for name, shown in draft.pictures.items()}
    keep(setup, list(range(len(draft.episodes))))


def half_rate(setup: Recorded) -> None:
    every_other(setup)
    setup.meta["fps"] = 15


def changed(**changes: Any) -> Change:
    def do(setup: Recorded) -> None:
        for name, value in changes.items():
            setattr(setup, name, value)

    return do


def larger(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1))


def as_video(setup: Recorded) -> None:
    setup.draft.layout = "video"


def four_episodes(setup: Recorded) -> None:
    keep(setup, list(range(4)))
