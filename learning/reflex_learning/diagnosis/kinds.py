"""Everything that a diagnosis can name: one line each, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["KINDS", "Kind", "Means", "kind_of"]

Means = Literal["compared", "replayed", "observed"]
"""Seen without a request; found by a replay with the fault undone; seen in the answers themselves."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`told` says what is wrong, `fix` what to do. In the line of a finding more follows: which axis, how much."""

    id: str
    means: Means
    told: str
    fix: str


_ADAPT: Final = "make the robot's program send, or the recording hold, what the policy was trained on"
_NAMES: Final = "give state and action the order of `state_names` and `action_names` in /config"
_CALIBRATE: Final = "calibrate the arm as it was in training, or train on recordings of this calibration"
_STATISTICS: Final = "export the checkpoint again with the statistics of its own training set (reflex export --stats)"
_UNITS: Final = "convert to the units of /config before sending, or export for the embodiment with these units"

ALL: Final = (
    Kind("untrained", "compared", "the served policy is untrained: its actions mean nothing", "serve a trained policy"),
    Kind("state-size", "compared", "the state has another number of axes than the policy takes", "serve the policy of this robot, or record this robot's state"),
    Kind("action-size", "compared", "the action has another number of axes than the policy gives", "serve the policy of this robot, or record this robot's action"),
    Kind("camera-missing", "compared", "the dataset lacks a camera that the policy needs", "record that camera, or say which one it is (--camera POLICY=DATASET)"),
    Kind("picture-size", "compared", "the pictures have another size than the policy takes", "scale them to the size of `inputs` in /config, as training did"),
    Kind("picture-range", "compared", "the pictures are black: values of 0 to 1 were stored as whole numbers", "multiply by 255 before rounding to uint8"),
    Kind("names-order", "compared", "the dataset names its axes in another order than the policy", _NAMES),
    Kind("frame-rate", "compared", "the dataset was recorded at another rate than the policy's actions are executed at", "execute at the rate of training (control_hz of the embodiment), or record at it"),
    Kind("colours", "replayed", "red and blue are exchanged in the pictures", "convert BGR to RGB before sending: OpenCV reads BGR"),
    Kind("cameras-swapped", "replayed", "two cameras are exchanged", "give each picture the name of its camera"),
    Kind("mirrored", "replayed", "the pictures are mirrored left to right", "turn off the camera's mirroring"),
    Kind("upside-down", "replayed", "the pictures are upside down", "rotate or flip the picture as the camera did in training"),
    Kind("rotated", "replayed", "the pictures are rotated", "rotate the picture as in training"),
    Kind("cropped", "replayed", "the pictures show less of the scene than those of training", "send the whole picture, or mount the camera as in training"),
    Kind("too-wide", "replayed", "the pictures show more of the scene than those of training", "crop as training did"),
    Kind("stretched", "replayed", "the pictures have other proportions than those of training", "resize as training did: stretched, padded or cropped"),
    Kind("brightness", "replayed", "the pictures are darker or brighter than those of training", "use the exposure, range and gamma of training"),
    Kind("state-units", "replayed", "the state is in other units than the policy takes", _UNITS),
    Kind("state-order", "replayed", "axes of the state are in another order", _NAMES),
    Kind("state-sign", "replayed", "an axis of the state has the opposite sign", _CALIBRATE),
    Kind("state-zero", "replayed", "an axis of the state has another zero", _CALIBRATE),
    Kind("state-gripper", "replayed", "the gripper's state is inverted, or in other units", _UNITS),
    Kind("state-late", "replayed", "the state is older than the pictures and actions beside it", "read the joints when the picture is taken; do not send a buffered state"),
    Kind("pictures-late", "replayed", "the pictures are older than the state and actions beside them", "take the newest picture: set the camera's buffer to one frame"),
    Kind("state-statistics", "replayed", "the state is normalised by statistics that are not those of training", _STATISTICS),
    Kind("action-units", "replayed", "the actions are in other units than the policy gives", _UNITS),
    Kind("action-order", "replayed", "axes of the actions are in another order", _NAMES),
    Kind("action-sign", "replayed", "an axis of the actions has the opposite sign", _CALIBRATE),
    Kind("action-zero", "replayed", "an axis of the actions has another zero", _CALIBRATE),
    Kind("action-gripper", "replayed", "the gripper's actions are inverted, or in other units", _UNITS),
    Kind("action-late", "replayed", "the recorded actions are shifted in time", "record the action that was commanded in the same period as the state"),
    Kind("action-statistics", "replayed", "the actions are un-normalised by statistics that are not those of training", _STATISTICS),
    Kind("units", "replayed", "state and actions are in other units than the policy's", _UNITS),
    Kind("order", "replayed", "axes of state and actions are in another order", _NAMES),
    Kind("sign", "replayed", "an axis has the opposite sign in state and actions", _CALIBRATE),
    Kind("zero", "replayed", "an axis has another zero in state and actions", _CALIBRATE),
    Kind("gripper", "replayed", "the gripper is inverted, or in other units, in state and actions", _UNITS),
    Kind("statistics", "replayed", "state and actions are normalised by statistics that are not those of training", _STATISTICS),
    Kind("instruction", "replayed", "another instruction is sent than the policy knows the task by", "send the text of training, word for word"),
    Kind("playback-rate", "replayed", "the recorded motion goes at another speed than the policy's", "write the rate at which frames were really recorded (fps of meta/info.json)"),
    Kind("guard", "observed", "the guard changes ordinary actions", "serve with the embodiment whose limits are this robot's"),
    Kind("seams", "observed", "a chunk does not go on where the one before it ends", "execute more of each chunk, or serve with --rtc"),
    Kind("latency", "observed", "an answer takes longer than the actions that are executed meanwhile last", "execute more of each chunk, or serve a faster policy (reflex bench)"),
    Kind("unexplained", "observed", "the policy is no nearer to the recorded actions than their mean, and no hypothesis explains it", "is it the policy of this task? serve the checkpoint that was trained on recordings like these, and verify its export (reflex verify)"),
)  # fmt: skip
KINDS: Final[Mapping[str, Kind]] = {kind.id: kind for kind in ALL}


def kind_of(name: str) -> Kind:
    return KINDS[name]
