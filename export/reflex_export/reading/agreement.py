"""Places of a checkpoint that say the same thing are compared: what they contradict each other in is named.

Where one of two would turn offsets into absolute targets it is refused. Elsewhere lerobot acts by one of the two, which
is what counts here as well, and a sentence says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex_export.checkpoint import NEEDED, NormalizationMode
from reflex_export.configs import FamilyConfig
from reflex_export.configs.pi import PiConfig
from reflex_export.configs.vla import VlaConfig
from reflex_export.errors import CheckpointError
from reflex_export.reading.features import ACTION, STATE, Features
from reflex_export.reading.files import read_object
from reflex_export.reading.normalization import Normalization, agree, mode_of
from reflex_export.reading.processors import POSTPROCESSOR_FILE, PREPROCESSOR_FILE, Processors, Relative

__all__ = [
    "disagreements",
    "require_agreement",
    "require_one_kind_of_actions",
    "require_robot_units",
    "require_same_kinds",
]

TRAIN_FILE: Final = "train_config.json"
EMPTY_CAMERA: Final = re.compile(r"observation\.images\.empty_camera_\d+")
COMPARED: Final = ("chunk_size", "horizon", "use_relative_actions", "normalization_mapping", "empty_cameras")
"""Of train_config.json's policy: what is changed for an evaluation (n_action_steps, the number of steps) is not."""


def require_agreement(config: FamilyConfig, processors: Processors, features: Features) -> None:
    """`CheckpointError` for a contradiction that would change what the robot does."""
    require_one_kind_of_actions(config, processors.relative)
    require_robot_units(processors)
    require_same_kinds(processors, features)


def require_one_kind_of_actions(config: FamilyConfig, relative: Relative | None) -> None:
    """`CheckpointError` when config.json and the processor files differ in which actions are offsets to the state."""
    if not isinstance(config, PiConfig):
        return
    said, is_on = config.use_relative_actions, relative is not None
    if "use_relative_actions" in config.model_fields_set and said != is_on:
        raise CheckpointError(
            f"config.json has use_relative_actions = {str(said).lower()}, but {PREPROCESSOR_FILE} has "
            f"relative_actions_processor {'on' if is_on else 'off'}: one of them would make offsets of absolute "
            "targets or the reverse. Correct the one that the policy was not trained with"
        )
    if relative is None or "relative_exclude_joints" not in config.model_fields_set:
        return
    excluded = [joint for joint in config.relative_exclude_joints if joint]
    if set(excluded) != set(relative.excluded_joints):
        raise CheckpointError(
            f"config.json has relative_exclude_joints = {excluded}, but {PREPROCESSOR_FILE} has exclude_joints = "
            f"{list(relative.excluded_joints)}; correct the one that the policy was not trained with"
        )


def require_robot_units(processors: Processors) -> None:
    """`CheckpointError` when actions are normalised for training, and left so for the robot."""
    trained, served = _action_modes(processors)
    if trained != "IDENTITY" and served == "IDENTITY":
        raise CheckpointError(
            f"{PREPROCESSOR_FILE} normalises ACTION by {trained}, but {POSTPROCESSOR_FILE} leaves it as it is, so the "
            f"robot would get normalised values as its units; write {trained} for ACTION into its norm_map"
        )


def require_same_kinds(processors: Processors, features: Features) -> None:
    """`CheckpointError` for an observation of another kind in the normalizer step, whose mode lerobot takes."""
    kinds = {STATE: "STATE"} | {camera.key: "VISUAL" for camera in features.cameras}
    for name, kind in kinds.items():
        found = _listed(processors, name).get("type", kind)
        if found != kind:
            raise CheckpointError(
                f"config.json has {name:.100} as {kind}, the normalizer step of {PREPROCESSOR_FILE} as {found!r:.60}, "
                "by whose mode it would be normalised; correct the one that the policy was not trained with"
            )


def _odd_pictures(inputs: Normalization, features: Features) -> Iterator[str]:
    """Statistics that no picture of 0 to 1 has."""
    needed = NEEDED[mode_of(inputs.modes.get("VISUAL"), "VISUAL")]
    for key in (camera.key for camera in features.cameras if camera.key in inputs.statistics):
        found = inputs.statistics[key]
        for name in (name for name in needed if name in found.values):
            low, high = (bound(found.values[name]) for bound in (np.min, np.max))
            if low < 0 or high > 1:
                yield (
                    f"{key}.{name} of {found.origin} is {high if high > 1 else low:.4g}, but pictures go from 0 "
                    "to 1: statistics of 0 to 255 must be divided by 255, unless the policy was trained with them"
                )
                break


def disagreements(
    folder: Path, config: FamilyConfig, written: Mapping[str, Any], processors: Processors, features: Features
) -> Iterator[str]:
    """A sentence for each, with what counts."""
    yield from _lost_renames(processors.rename_map, features)
    yield from _other_features(processors, features)
    yield from _unfilled_cameras(config, features)
    yield from _odd_pictures(processors.inputs, features)
    tokenization = processors.tokenization
    length = config.tokenizer_max_length if isinstance(config, VlaConfig) else None
    if tokenization is not None and length is not None and tokenization.max_tokens != length:
        yield (
            f"config.json has tokenizer_max_length = {length}, {PREPROCESSOR_FILE} has max_length = "
            f"{tokenization.max_tokens}; the latter counts"
        )
    yield from _other_actions(processors)
    yield from _other_modes(written.get("normalization_mapping"), processors)
    if (folder / TRAIN_FILE).is_file():
        yield from _since_training(read_object(folder / TRAIN_FILE), written, processors)


def _lost_renames(renames: Mapping[str, str], features: Features) -> Iterator[str]:
    inputs = {camera.key for camera in features.cameras} | {STATE}
    for source, target in renames.items():
        if target not in inputs:
            yield (
                f"{PREPROCESSOR_FILE}: rename_map maps {source:.100} to {target:.100}, which is no input of this "
                f"policy ({', '.join(sorted(inputs))}): in training its picture was dropped, and whichever input it "
                "was meant for was empty"
            )


def _other_features(processors: Processors, features: Features) -> Iterator[str]:
    """The normalizer step lists the policy's features once more."""
    listed, step = processors.inputs.features or {}, f"the normalizer step of {PREPROCESSOR_FILE}"
    shapes = {camera.key: list(camera.shape) for camera in features.cameras} | {STATE: [features.state_dim]}
    named = {*listed, *(processors.inputs.observations or ())} - {ACTION}
    for name in sorted(named - shapes.keys()):
        yield f"{step} names {name:.100}, which is no input of config.json ({', '.join(sorted(shapes))})"
    for name in sorted(listed.keys() & shapes.keys()):
        shape = _listed(processors, name).get("shape", shapes[name])
        if shape != shapes[name]:
            yield f"config.json has {name} as {shapes[name]}, {step} as {shape!r:.60}; the former counts"
    shared = listed.keys() & shapes.keys() - {STATE}
    first, second = (", ".join(name for name in names if name in shared) for names in (shapes, listed))
    if first != second:
        yield f"config.json has the cameras in the order {first}, {step} in the order {second}; the former counts"


def _listed(processors: Processors, name: str) -> Mapping[str, Any]:
    found = (processors.inputs.features or {}).get(name)
    return found if isinstance(found, dict) else {}


def _unfilled_cameras(config: FamilyConfig, features: Features) -> Iterator[str]:
    if not isinstance(config, VlaConfig):
        return
    for camera in features.cameras:
        if EMPTY_CAMERA.fullmatch(camera.key) and not camera.is_empty:
            yield (
                f"config.json lists {camera.key}, but has empty_cameras = {config.empty_cameras}: it counts as a "
                "camera that a client sends"
            )


def _other_actions(processors: Processors) -> Iterator[str]:
    """Both pipelines say how actions are normalised: one for training, the other for the robot."""
    before, after = processors.inputs, processors.outputs
    learnt, given = before.statistics.get(ACTION), after.statistics.get(ACTION)
    if learnt is not None and given is not None and not agree(learnt, given):
        yield f"{learnt.origin} and {given.origin} have different statistics of {ACTION}; the latter count"
    trained, served = _action_modes(processors)
    if trained != served:
        yield f"{PREPROCESSOR_FILE} normalises ACTION by {trained}, {POSTPROCESSOR_FILE} by {served}; the latter counts"


def _action_modes(processors: Processors) -> tuple[NormalizationMode, NormalizationMode]:
    before, after = (mode_of(one.modes.get("ACTION"), ACTION) for one in (processors.inputs, processors.outputs))
    return before, after


def _other_modes(mapping: object, processors: Processors) -> Iterator[str]:
    if not isinstance(mapping, dict):
        return
    for kind, mode in mapping.items():
        pipeline = processors.outputs if kind == "ACTION" else processors.inputs
        found = pipeline.modes.get(str(kind))
        if found != mode and (found, mode) != (None, "IDENTITY"):
            yield (
                f"config.json normalises {kind:.60} by {mode!r:.60}, the processor files by {found!r:.60}; "
                "the latter count"
            )


def _since_training(train: Mapping[str, Any], written: Mapping[str, Any], processors: Processors) -> Iterator[str]:
    found = train.get("policy")
    policy: Mapping[str, Any] = found if isinstance(found, dict) else {}
    for key in COMPARED:
        if policy.get(key) is not None and key in written and policy[key] != written[key]:
            yield (
                f"config.json has {key} = {written[key]!r:.80}, {TRAIN_FILE} has {policy[key]!r:.80}; the former counts"
            )
    renames = train.get("rename_map")
    if isinstance(renames, dict) and renames and dict(renames) != dict(processors.rename_map):
        yield f"{TRAIN_FILE} has another rename_map than {PREPROCESSOR_FILE}; the latter counts"
