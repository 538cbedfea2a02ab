"""The policy folder that LeRobot wants as `--policy.path`: no weights, but what the server's policy takes and gives.

Its fields are those of `ReflexConfig` in the distribution lerobot_policy_reflex, which reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.client.check import ServedShape, shapes_of
from reflex.durable_files import replace_file
from reflex.errors import SetupError

__all__ = ["PolicyFolder", "policy_folder", "write_policy_folder"]

IMAGES: Final = "observation.images."
CONFIG_FILE: Final = "config.json"
POLICY_TYPE: Final = "reflex"
DEVICE_STEP: Final = {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}}
PREPROCESSOR: Final = {
    "name": "policy_preprocessor",
    "steps": [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "to_batch_processor", "config": {}},
        DEVICE_STEP,
    ],
}
POSTPROCESSOR: Final = {"name": "policy_postprocessor", "steps": [DEVICE_STEP]}
"""Neither normalises: the server takes and gives robot units."""


@dataclass(frozen=True)
class PolicyFolder:
    """What is written. `cameras` are the server's by the key under which LeRobot has the image."""

    policy_id: str
    cameras: Mapping[str, str]
    files: Mapping[str, Any]


def policy_folder(
    config: Mapping[str, Any], url: str, *, renamed: Mapping[str, str], instruction: str = ""
) -> PolicyFolder:
    """For the policy of `/config`, the first of two; `renamed` is the robot's name of a camera by the server's.

    `TransportError` when it describes no policy, `SetupError` for a camera that the policy does not have.
    """
    slot, shape = next(iter(shapes_of(config).items()))
    served = config if slot is None else config[slot]
    cameras = _cameras(shape, renamed)
    fields = {
        "type": POLICY_TYPE,
        "input_features": _input_features(shape, cameras),
        "output_features": {"action": _feature("ACTION", shape.action_dim)},
        "device": "cpu",
        "push_to_hub": False,
        "url": url,
        "instruction": instruction,
        "cameras": cameras,
        "chunk_size": shape.horizon,
        "n_action_steps": served.get("n_action_steps") or shape.horizon,
        "rtc": any(tensor["name"] == "prev_chunk" for tensor in served["inputs"]),
    }
    files = {"policy_preprocessor.json": PREPROCESSOR, "policy_postprocessor.json": POSTPROCESSOR, CONFIG_FILE: fields}
    return PolicyFolder(shape.policy_id, cameras, files)


def write_policy_folder(folder: PolicyFolder, path: Path, *, replace: bool) -> None:
    """`config.json` last: without it LeRobot takes a folder for none. `SetupError` where something else would go."""
    if path.exists() and not path.is_dir():
        raise SetupError(f"{path} is a file; give --out a folder")
    if path.is_dir() and any(path.iterdir()):
        _require_replaceable(path, replace=replace)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name, content in folder.files.items():
            replace_file(path / name, f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode())
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc


def _require_replaceable(path: Path, *, replace: bool) -> None:
    """A folder that this module wrote: config.json of a checkpoint is not written over for anybody's slip."""
    if not replace:
        raise SetupError(f"{path} is there and not empty; give another folder, or --replace to write over it")
    try:
        kind = json.loads((path / CONFIG_FILE).read_bytes()).get("type")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind != POLICY_TYPE:
        raise SetupError(f"{path} is no folder that this command wrote, so --replace leaves it alone; give another one")


def _cameras(shape: ServedShape, renamed: Mapping[str, str]) -> dict[str, str]:
    unknown = sorted(set(renamed) - set(shape.cameras))
    if unknown:
        has = ", ".join(shape.cameras) or "no camera"
        raise SetupError(f"{shape.policy_id} has no camera {', '.join(unknown)}; it has {has}")
    keys = {_key(renamed.get(name, name)): name for name in shape.cameras}
    if len(keys) < len(shape.cameras):
        raise SetupError("two cameras of the policy would get the same image; give each its own with --camera")
    return keys


def _key(name: str) -> str:
    """A whole key of LeRobot, like pusht's observation.image, is taken as it is."""
    return name if name.startswith("observation.") else f"{IMAGES}{name}"


def _input_features(shape: ServedShape, cameras: Mapping[str, str]) -> dict[str, Any]:
    images = {}
    for key, name in cameras.items():
        width, height = shape.cameras[name]
        images[key] = _feature("VISUAL", 3, height, width)
    return {"observation.state": _feature("STATE", shape.state_dim), **images}


def _feature(kind: str, *shape: int) -> dict[str, Any]:
    return {"type": kind, "shape": list(shape)}
