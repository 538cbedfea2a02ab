"""What is seen without a request: what the server says of its policy, against what the dataset says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reflex.wording.nouns import named
from reflex_learning.diagnosis.moments import ACTION, STATE, Moment
from reflex_learning.diagnosis.report import Finding
from reflex_learning.diagnosis.served import Served
from reflex_learning.reading.dataset import Dataset
from reflex_learning.reading.info import Feature

__all__ = ["Fit", "fit_of", "pictures_compared"]

PREFIXES: Final = ("observation.images.", "observation.image.", "observation.")
SAME_RATE: Final = 0.05
BLACK: Final = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """`cameras` gives the dataset's feature for each of the policy's that it has; a blocked one cannot be replayed."""

    cameras: Mapping[str, str]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    is_blocked: bool


def fit_of(served: Served, dataset: Dataset, given: Mapping[str, str]) -> Fit:
    """`given` are cameras as the caller named them, by the policy's."""
    cameras, notes = _cameras(served, dataset.info.cameras, given)
    missing = [name for name, required in served.cameras.items() if required and name not in cameras]
    blocking = [*_sizes(served, dataset), *([Finding("camera-missing", named("camera", missing))] if missing else [])]
    others = [
        *_untrained(served),
        *_orders(served, dataset),
        *_rates(served, dataset),
        *_picture_sizes(served, dataset, cameras),
    ]
    return Fit(cameras, (*others, *blocking), tuple(notes), bool(blocking))


def _cameras(served: Served, features: Sequence[Feature], given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """By name, and what is left over in its order where as much is left on both sides."""
    by_name = {short: feature.name for feature in features for short in (feature.name, _short(feature.name))}
    found = {name: by_name[key] for name in served.cameras if (key := given.get(name, name)) in by_name}
    policy = [name for name in served.cameras if name not in found]
    left = [feature.name for feature in features if feature.name not in found.values()]
    if not policy or len(policy) != len(left):
        return found, []
    pairs = dict(zip(policy, left, strict=True))
    notes = [f"the policy's camera {name} is taken to be {_short(other)}: name it so" for name, other in pairs.items()]
    return found | pairs, notes


def _short(name: str) -> str:
    prefix = next((each for each in PREFIXES if name.startswith(each)), "")
    return name[len(prefix) :]


def _untrained(served: Served) -> Iterator[Finding]:
    if not served.is_trained:
        yield Finding("untrained", served.policy_id)


def _sizes(served: Served, dataset: Dataset) -> Iterator[Finding]:
    for name, kind, wanted in ((STATE, "state-size", served.state_dim), (ACTION, "action-size", served.action_dim)):
        feature = dataset.info.features.get(name)
        if feature is None or feature.width != wanted:
            yield Finding(kind, f"{0 if feature is None else feature.width} in the dataset, {wanted} by the policy")


def _orders(served: Served, dataset: Dataset) -> Iterator[Finding]:
    robot = served.robot
    for name, policy in ((STATE, robot.state_names), (ACTION, robot.action_names)):
        feature = dataset.info.features.get(name)
        theirs = [label.removesuffix(".pos") for label in feature.labels] if feature else []
        if sorted(theirs) == sorted(policy) and theirs != list(policy):
            at = next(axis for axis in range(len(theirs)) if theirs[axis] != policy[axis])
            yield Finding("names-order", f"{name}, value {at}: {theirs[at]}, and the policy's is {policy[at]}")


def _rates(served: Served, dataset: Dataset) -> Iterator[Finding]:
    recorded, executed = dataset.info.fps, served.robot.control_hz
    if abs(recorded / executed - 1) > SAME_RATE:
        yield Finding("frame-rate", f"recorded at {recorded:g} Hz, executed at {executed:g} Hz")


def _picture_sizes(served: Served, dataset: Dataset, cameras: Mapping[str, str]) -> Iterator[Finding]:
    for camera, size in served.sizes.items():
        shape = dataset.info.features[cameras[camera]].shape if camera in cameras else size
        if tuple(shape[:2]) != size:
            told = f"{camera}: {shape[1]} x {shape[0]}, and the policy takes {size[1]} x {size[0]}"
            yield Finding("picture-size", told)


def pictures_compared(moments: Sequence[Moment]) -> Iterator[Finding]:
    """Whether they show anything."""
    for camera in moments[0].pictures if moments else ():
        brightest = max(int(np.max(moment.pictures[camera])) for moment in moments)
        if brightest <= BLACK:
            yield Finding("picture-range", f"{camera}: no value is above {brightest}")
