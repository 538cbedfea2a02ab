"""What config.json says about a policy's inputs and outputs: family, cameras in order, dimensions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from reflex_export.checkpoint import Camera, Family
from reflex_export.configs import FamilyConfig
from reflex_export.configs.family import LONGEST_SIDE
from reflex_export.configs.pi import PiConfig
from reflex_export.configs.vla import VlaConfig
from reflex_export.errors import CheckpointError, UnknownFamilyError, UnsupportedOptionError
from reflex_export.reading.files import typed

__all__ = ["ACTION", "STATE", "VLA_FAMILIES", "Features", "family_of", "read_features"]

STATE: Final = "observation.state"
ACTION: Final = "action"
VLA_FAMILIES: Final[frozenset[Family]] = frozenset({"smolvla", "pi0", "pi05"})
_PI: Final[frozenset[Family]] = frozenset({"pi0", "pi05"})
_IMAGES: Final = "observation.images."
_ORIGIN: Final = "config.json"
OPENPI_KEYS: Final = frozenset({"action_dim", "action_horizon"})
_CLIENT_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
"""It becomes part of a tensor's name and of a JSON field."""
_SMOLVLA_EMPTY_IMAGE: Final = (3, 480, 640)
"""lerobot's own size for an empty camera of SmolVLA; no pixel of it is ever read."""


@dataclass(frozen=True)
class Features:
    """Inputs and outputs of a policy."""

    cameras: tuple[Camera, ...]
    state_dim: int
    action_dim: int


def family_of(config: Mapping[str, Any]) -> Family:
    """The policy's type, if it can be exported."""
    known = get_args(Family)
    kind = config.get("type")
    if kind in known:
        return cast("Family", kind)
    if "input_shapes" in config:
        raise CheckpointError(
            "config.json has the layout of 2024 (input_shapes, no policy type), whose statistics and names are others; "
            "load and save it once with lerobot 0.4, and export the result"
        )
    if config.keys() >= OPENPI_KEYS:
        raise UnknownFamilyError(
            "config.json is openpi's (action_horizon, no policy type), whose layout is not read; convert the "
            "checkpoint to lerobot's with the conversion script of pi0 there, and export the result"
        )
    found = f"of the type {kind!r:.60}" if "type" in config else "without a policy type"
    raise UnknownFamilyError(f"config.json is {found}; what can be exported is {', '.join(known)}")


def read_features(
    family: Family, config: FamilyConfig, written: Mapping[str, Any], rename_map: Mapping[str, str]
) -> Features:
    """`rename_map` is the preprocessor's: from the client's feature names to the policy's."""
    inputs = _shapes(written, "input_features", {"STATE", "VISUAL"})
    outputs = _shapes(written, "output_features", {"ACTION"})
    cameras = tuple(_cameras(config, inputs, rename_map))
    if all(camera.is_empty for camera in cameras):
        raise CheckpointError("config.json: input_features has no camera that a client could send; a policy needs one")
    if len({camera.name for camera in cameras}) != len(cameras):
        raise CheckpointError(
            f"two cameras have the same name for clients: {', '.join(camera.name for camera in cameras)}; "
            "change rename_map in policy_preprocessor.json"
        )
    return Features(
        cameras,
        state_dim=_vector(family, inputs, STATE, _widest(config, "max_state_dim")),
        action_dim=_vector(family, outputs, ACTION, _widest(config, "max_action_dim")),
    )


def _shapes(config: Mapping[str, Any], key: str, kinds: set[str]) -> dict[str, tuple[int, ...]]:
    """The features' shapes, in the file's order."""
    features = typed(config, key, dict, _ORIGIN, default={})
    shapes: dict[str, tuple[int, ...]] = {}
    for name, feature in features.items():
        kind, shape = (feature.get("type"), feature.get("shape")) if isinstance(feature, dict) else (None, None)
        if (
            not isinstance(kind, str)
            or kind not in kinds
            or (kind == "STATE" and name != STATE)
            or (kind == "ACTION" and name != ACTION)
        ):
            raise UnsupportedOptionError(
                f"config.json: {key} has {name} of type {kind!r:.60}, which a policy served to robots cannot get or "
                f"give; supported are cameras, {STATE} and {ACTION}. Train without it"
            )
        if not isinstance(shape, list) or not shape or not all(type(size) is int and size > 0 for size in shape):
            raise CheckpointError(f"config.json: {name} has the shape {shape!r:.60}, which must list sizes over 0")
        shapes[name] = tuple(shape)
    return shapes


def _widest(config: FamilyConfig, option: str) -> tuple[str, int | None]:
    return option, getattr(config, option, None)


def _vector(family: Family, shapes: Mapping[str, tuple[int, ...]], name: str, widest: tuple[str, int | None]) -> int:
    """The length of state or action; the base models of pi name none and mean the widest."""
    option, most = widest
    if name not in shapes and family in _PI and most is not None:
        return most
    if name not in shapes:
        raise CheckpointError(f"config.json names no {name}, which every served policy needs; fetch or train it again")
    if len(shapes[name]) != 1:
        raise UnsupportedOptionError(f"config.json: {name} has the shape {shapes[name]}; only vectors are supported")
    if most is not None and shapes[name][0] > most:
        raise CheckpointError(f"config.json: {name} has {shapes[name][0]} entries, more than {option}={most}")
    return shapes[name][0]


def _cameras(
    config: FamilyConfig, inputs: Mapping[str, tuple[int, ...]], rename_map: Mapping[str, str]
) -> Iterator[Camera]:
    empty = _empty_cameras(config)
    for key, shape in {**inputs, **{key: inputs.get(key, shape) for key, shape in empty.items()}}.items():
        if key == STATE:
            continue
        if len(shape) != 3 or shape[0] != 3:
            raise UnsupportedOptionError(
                f"config.json: {key} has the shape {shape}; a camera must be 3 x height x width"
            )
        if max(shape) > LONGEST_SIDE:
            raise CheckpointError(f"config.json: {key} has the shape {shape}, larger than any image that is served")
        yield Camera(key, _client_name(key, rename_map), (shape[0], shape[1], shape[2]), is_empty=key in empty)


def _empty_cameras(config: FamilyConfig) -> dict[str, tuple[int, ...]]:
    """By key. They are in a saved config, but not in one that was written by hand."""
    if not isinstance(config, VlaConfig):
        return {}
    shape = (3, *config.image_size) if isinstance(config, PiConfig) else _SMOLVLA_EMPTY_IMAGE
    return {f"{_IMAGES}empty_camera_{number}": shape for number in range(config.empty_cameras)}


def _client_name(key: str, rename_map: Mapping[str, str]) -> str:
    sources = [source for source, target in rename_map.items() if target == key]
    if len(sources) > 1:
        raise CheckpointError(
            f"policy_preprocessor.json: rename_map gives {key} from {' and '.join(sources)}; keep one"
        )
    name = (sources[0] if sources else key).removeprefix(_IMAGES).removeprefix("observation.")
    if not _CLIENT_NAME.fullmatch(name):
        raise CheckpointError(
            f"the camera name {name!r:.100} is not made of letters, digits, '_', '-' and '.'; "
            "map it from such a name with rename_map in policy_preprocessor.json"
        )
    return name
