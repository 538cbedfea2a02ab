"""Faults of recordings and of servers as they happen, and healthy set-ups beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from reflex_learning.diagnosis import picturing
from support.diagnosis.breaking import (
    ACTION,
    ELBOW,
    LIFT,
    STATE,
    Fault,
    Recorded,
    as_video,
    changed,
    every_other,
    four_episodes,
    gripper_inverted,
    half_rate,
    keep,
    larger,
    late,
    narrow,
    numbers,
    pictures,
    plus,
    radians,
    swapped,
    times,
)
from support.diagnosis.fitted import Fitted, Statistics, with_statistics

__all__ = ["FAULTS", "HEALTHY", "Setup"]


@dataclass
class Setup(Recorded):
    """What a fitted policy is asked about; a fault changes one of the two."""

    fitted: Fitted
    mode: str = "MEAN_STD"


def _swap_cameras(setup: Setup) -> None:
    first, second = setup.draft.pictures
    setup.draft.pictures = {first: setup.draft.pictures[second], second: setup.draft.pictures[first]}


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
    keep(setup, [number for number, each in enumerate(kept) if each])


def _one_task(setup: Setup) -> None:
    tasks = [int(columns["task_index"][0]) for columns in setup.draft.episodes]
    keep(setup, [number for number, task in enumerate(tasks) if task == 0])


def _trembling(setup: Setup) -> None:
    setup.fitted = replace(setup.fitted, noise=0.6)


def _random_weights(setup: Setup) -> None:
    random = np.random.default_rng(3)
    second = setup.fitted.second
    setup.fitted = replace(setup.fitted, second=random.permuted(second, axis=0).astype(np.float32))


FRONT: Final = "observation.images.front"
FAULTS: Final = (
    Fault("red and blue exchanged", ("colours",), pictures(picturing.reversed_colours)),
    Fault("red and blue exchanged in one of two cameras", ("colours",), pictures(picturing.reversed_colours, FRONT)),
    Fault("the two cameras exchanged", ("cameras-swapped",), _swap_cameras),
    Fault("pictures mirrored", ("mirrored",), pictures(picturing.mirrored)),
    Fault("pictures upside down", ("upside-down",), pictures(picturing.turned)),
    Fault("pictures cropped to the middle 80 %", ("cropped",), pictures(picturing.cropped(0.8))),
    Fault("pictures that show a third more", ("too-wide",), pictures(picturing.padded(0.75))),
    Fault("pictures half as bright", ("brightness",), pictures(picturing.brighter(0.5))),
    Fault("state in radians", ("state-units",), numbers(radians, STATE)),
    Fault("state and actions in radians", ("units",), numbers(radians, STATE, ACTION)),
    Fault(
        "shoulder_lift and elbow_flex of the state exchanged", ("state-order",), numbers(swapped(LIFT, ELBOW), STATE)
    ),
    Fault("the state's shoulder_lift with the opposite sign", ("state-sign",), numbers(times(LIFT, -1), STATE)),
    Fault("the state's elbow_flex 25 degrees off", ("state-zero",), numbers(plus(ELBOW, 25), STATE)),
    Fault("elbow_flex 45 degrees off in state and actions", ("zero",), numbers(plus(ELBOW, 45), STATE, ACTION)),
    Fault("gripper inverted in state and actions", ("gripper",), numbers(gripper_inverted, STATE, ACTION)),
    Fault("gripper as 0 to 1 in state and actions", ("gripper",), numbers(times(5, 0.01), STATE, ACTION)),
    Fault("state 8 frames late", ("state-late",), numbers(late(8), STATE)),
    Fault("actions in radians", ("action-units",), numbers(radians, ACTION)),
    Fault("shoulder_lift of the actions with the opposite sign", ("action-sign",), numbers(times(LIFT, -1), ACTION)),
    Fault("exported with the statistics of another robot", ("statistics",), _foreign),
    Fault("exported without statistics", ("statistics",), _unnormalised),
    Fault("the text of the other task", ("instruction",), _other_text),
    Fault("another text sent than recorded", ("instruction",), _given_text),
    Fault("recorded at 15 Hz, executed at 30", ("frame-rate",), half_rate),
    Fault("recorded at 15 Hz, declared as 30", ("playback-rate",), every_other),
    Fault("an answer takes longer than its chunk lasts", ("latency",), changed(latency_s=0.06, executed=1)),
    Fault("each chunk begins elsewhere", ("seams",), _trembling),
    Fault("limits of another robot", ("guard",), narrow),
    Fault("a policy of another task", ("unexplained",), _random_weights),
)


HEALTHY: Final = (
    Fault("recorded as the policy was trained", (), lambda _: None),
    Fault("pictures as video", (), as_video),
    Fault("pictures twice as large", (), pictures(larger)),
    Fault("one task alone", (), _one_task),
    Fault("four episodes", (), four_episodes),
)
