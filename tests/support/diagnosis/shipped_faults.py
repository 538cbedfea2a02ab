"""Faults of deployments of the policy that ships, as they happen, and healthy set-ups beside them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from reflex_learning.diagnosis import picturing
from support.diagnosis.breaking import (
    ACTION,
    ELBOW,
    LIFT,
    STATE,
    Change,
    Fault,
    Recorded,
    as_video,
    changed,
    every_other,
    four_episodes,
    gripper_inverted,
    half_rate,
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
from support.diagnosis.demonstrations import demonstrations
from support.diagnosis.shipped import FRONT, Exported, recorded

__all__ = ["FAULTS", "HEALTHY"]

ANOTHER_ROBOT: Final = Exported(move=(8, -15, 10, 12, -4, 9), scale=(0.5, 1.6, 0.6, 1.8, 2.0, 0.7))


def _pictures_late(frames: int) -> Change:
    def do(setup: Recorded) -> None:
        setup.draft.pictures = {
            name: [[episode[max(0, frame - frames)] for frame in range(len(episode))] for episode in shown]
            for name, shown in setup.draft.pictures.items()
        }

    return do


def _black(pixels: Any) -> Any:
    return (pixels / 255.0).astype(np.uint8)


def _without_camera(setup: Recorded) -> None:
    setup.draft.pictures = {}


def _of_another_task(setup: Recorded) -> None:
    setup.draft = demonstrations(range(12), tasks=(1,), height=64)
    setup.draft.pictures = {FRONT: setup.draft.pictures[FRONT]}


FAULTS: Final = (
    Fault("red and blue exchanged", ("colours",), pictures(picturing.reversed_colours)),
    Fault("pictures mirrored", ("mirrored",), pictures(picturing.mirrored)),
    Fault("pictures upside down", ("upside-down",), pictures(picturing.turned)),
    Fault("pictures a quarter turned", ("rotated",), pictures(picturing.quarter_turned(1))),
    Fault("pictures cropped to the middle 80 %", ("cropped",), pictures(picturing.cropped(0.8))),
    Fault("pictures that show a third more", ("too-wide",), pictures(picturing.padded(0.75))),
    Fault("pictures half as bright", ("brightness",), pictures(picturing.brighter(0.5))),
    Fault("pictures twice as bright", ("brightness",), pictures(picturing.brighter(2.0))),
    Fault("pictures of 0 to 1 as whole numbers", ("picture-range",), pictures(_black)),
    Fault("pictures twice as large", ("picture-size",), pictures(larger)),
    Fault("no camera", ("camera-missing",), _without_camera),
    Fault("pictures 8 frames late", ("pictures-late",), _pictures_late(8)),
    Fault("state in radians", ("state-units",), numbers(radians, STATE)),
    Fault("state and actions in radians", ("units",), numbers(radians, STATE, ACTION)),
    Fault("actions in radians", ("action-units",), numbers(radians, ACTION)),
    Fault(
        "shoulder_lift and elbow_flex of the state exchanged", ("state-order",), numbers(swapped(LIFT, ELBOW), STATE)
    ),
    Fault(
        "shoulder_lift and elbow_flex exchanged in state and actions",
        ("order",),
        numbers(swapped(LIFT, ELBOW), STATE, ACTION),
    ),
    Fault("the state's shoulder_lift with the opposite sign", ("state-sign",), numbers(times(LIFT, -1), STATE)),
    Fault("shoulder_lift of the actions with the opposite sign", ("action-sign",), numbers(times(LIFT, -1), ACTION)),
    Fault("the state's elbow_flex 25 degrees off", ("state-zero",), numbers(plus(ELBOW, 25), STATE)),
    Fault("elbow_flex 45 degrees off in state and actions", ("zero",), numbers(plus(ELBOW, 45), STATE, ACTION)),
    Fault("gripper inverted in state and actions", ("gripper",), numbers(gripper_inverted, STATE, ACTION)),
    Fault("gripper as 0 to 1 in state and actions", ("gripper",), numbers(times(5, 0.01), STATE, ACTION)),
    Fault("state 8 frames late", ("state-late",), numbers(late(8), STATE)),
    Fault("recorded at 15 Hz, executed at 30", ("frame-rate",), half_rate),
    Fault("recorded at 15 Hz, declared as 30", ("playback-rate",), every_other),
    Fault("recordings of another task", ("unexplained",), _of_another_task),
    Fault("exported with the statistics of another robot", ("statistics",), changed(exported=ANOTHER_ROBOT)),
    Fault("exported without statistics", ("statistics",), changed(exported=Exported(none=True))),
    Fault("a policy of something else", ("unexplained",), changed(exported=Exported(shuffled=True))),
    Fault("an answer takes longer than its chunk lasts", ("latency",), changed(latency_s=0.06, executed=1)),
    Fault("limits of another robot", ("guard",), narrow),
)


def _recorded(**changes: Any) -> Change:
    def do(setup: Recorded) -> None:
        setup.draft = recorded(**changes)

    return do


HEALTHY: Final = (
    Fault("recorded as the policy was trained", (), lambda _: None),
    Fault("pictures as video", (), as_video),
    Fault("four episodes", (), four_episodes),
    Fault("an instruction that the policy does not read", (), changed(instruction="fold the arm")),
    Fault("an answer that takes long, and less than its chunk lasts", (), changed(latency_s=0.02)),
    Fault("other scenes", (), _recorded(seed=50)),
    Fault("an arm that does not stray", (), _recorded(seed=51, tremble_units=0.0)),
)
