"""Recorded cases: raw observations with a reference's answers, one .npz each (docs/export.md has the layout)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, is_zipfile

import numpy as np

from reflex.errors import SetupError
from reflex.policy_config import TensorConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError
from reflex_export.graph.graph import Array

__all__ = ["RecordedCase", "find_cases", "read_case"]

UNREADABLE: Final = (
    OSError, EOFError, ValueError, TypeError, IndexError, RuntimeError, MemoryError, BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy and zipfile raise for a file that says anything: one of some bytes may announce an array of terabytes."""


@dataclass(frozen=True)
class RecordedCase:
    """One observation and what the reference made of it. Tensors have a batch axis of one."""

    name: str
    inputs: Mapping[str, Array]
    instruction: str
    tokens: tuple[int, ...] | None
    """The tokens that were not masked."""
    steps: int | None
    actions: Array
    actions_normalized: Array


def find_cases(folder: Path) -> list[Path]:
    """The recorded cases of a folder in their order; `SetupError` when there is none."""
    if not folder.is_dir():
        raise SetupError(f"--cases {folder} is no folder; name the folder that holds the recorded cases, case_*.npz")
    found = sorted(folder.glob("case_*.npz"))
    if not found:
        raise SetupError(f"--cases {folder} holds no case_*.npz; record some, or name the folder that has them")
    return found


def read_case(path: Path, checkpoint: Checkpoint, wanted: Sequence[TensorConfig]) -> RecordedCase:
    """Read one case as inputs of this policy's ensemble; `CheckpointError` when it is not one of this policy."""
    try:
        case = _arrays(path)
        _refuse_other_cameras(case, checkpoint)
        case |= _as_many_observations(case, checkpoint.config.n_obs_steps)
        inputs = {tensor.name: _fitting(tensor, _input(tensor, case, checkpoint)) for tensor in wanted}
        actions = _numbers("actions", case["actions"])
        normalized = _numbers("actions_norm", case["actions_norm"])
        steps = int(_numbers("num_steps", case["num_steps"]).item()) if "num_steps" in case else None
        tokens = tuple(case["tokens"][case["token_mask"]].tolist()) if "tokens" in case else None
        return RecordedCase(path.stem, inputs, str(case.get("task", "")), tokens, steps, actions, normalized)
    except KeyError as exc:
        raise _no_case(path, checkpoint, f"it has no array {exc.args[0]}") from exc
    except UNREADABLE as exc:
        raise _no_case(path, checkpoint, str(exc)) from exc


def _arrays(path: Path) -> dict[str, Array]:
    if not is_zipfile(path):
        raise ValueError("it is no .npz archive, or only the beginning of one")
    with np.load(path, allow_pickle=False) as recorded:
        return {key: recorded[key] for key in recorded.files}


def _numbers(name: str, array: Array) -> Array:
    """`ValueError` for what cannot be compared."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"its {name} are no numbers")
    if not np.isfinite(array).all():
        raise ValueError(f"its {name} are not finite")
    return array


def _no_case(path: Path, checkpoint: Checkpoint, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is no recorded case of this {checkpoint.family} policy: {reason}; name the folder of this policy's "
        "cases with --cases"
    )


def _refuse_other_cameras(case: Mapping[str, Array], checkpoint: Checkpoint) -> None:
    own = {f"image.{camera.key}" for camera in checkpoint.cameras}
    other = [name for name in case if name.startswith("image.") and name not in own]
    if other:
        raise ValueError(f"it has {other[0]}, which is no camera of the policy")


def _as_many_observations(case: Mapping[str, Array], wanted: int) -> dict[str, Array]:
    """Images and state with as many steps as the policy looks at; of a single one the axis may be there or not."""
    seen = {name: array for name, array in case.items() if name == "state_raw" or name.startswith("image.")}
    for name, array in seen.items():
        one = 1 if name == "state_raw" else 3
        found = array.shape[0] if array.ndim == one + 1 else 1
        if array.ndim in (one, one + 1) and found != wanted:
            raise ValueError(f"its {name} has {found} observation steps, the policy takes {wanted} (n_obs_steps)")
        if array.ndim == one + 1 and wanted == 1:
            seen[name] = array[0]
    return seen


def _fitting(tensor: TensorConfig, array: Array) -> Array:
    """`ValueError` says which input differs, before a runtime does so in its own words."""
    found = _numbers(tensor.name, array).shape[1:]
    if len(found) != len(tensor.shape) or any(
        size not in (-1, given) for size, given in zip(tensor.shape, found, strict=True)
    ):
        raise ValueError(f"{tensor.name} is {_sizes(found)}, not {_sizes(tensor.shape)}")
    return array


def _sizes(shape: Sequence[int]) -> str:
    return "x".join("any" if size == -1 else str(size) for size in shape)


def _input(tensor: TensorConfig, case: Mapping[str, Array], checkpoint: Checkpoint) -> Array:
    cameras = [camera for camera in checkpoint.cameras if not camera.is_empty]
    if tensor.name.startswith("image."):
        keys = {camera.name: camera.key for camera in cameras}
        absent = np.zeros(tuple(max(size, 1) for size in tensor.shape), np.uint8)
        return case.get(f"image.{keys[tensor.name.removeprefix('image.')]}", absent)[None]
    match tensor.name:
        case "camera_mask":
            return np.array([[f"image.{camera.key}" in case for camera in cameras]])
        case "state":
            return _numbers("state_raw", case["state_raw"])[None].astype(np.float32)
        case "tokens" | "token_mask":
            return _padded(case["tokens" if tensor.name == "tokens" else "token_mask"], tensor, checkpoint)
        case "noise":
            return case["noise"]
        case "step_noise":
            return case["step_noise"][None]
        case _:
            return _guidance(tensor, case)


def _padded(array: Array, tensor: TensorConfig, checkpoint: Checkpoint) -> Array:
    """Some recordings are padded to their own length only."""
    if array.shape[1] > tensor.shape[0]:
        raise ValueError(f"its {tensor.name} are {array.shape[1]} long, the policy takes {tensor.shape[0]}")
    pad = checkpoint.text.pad_id if checkpoint.text and tensor.name == "tokens" else 0
    return np.pad(array, ((0, 0), (0, tensor.shape[0] - array.shape[1])), constant_values=pad)


def _guidance(tensor: TensorConfig, case: Mapping[str, Array]) -> Array:
    """The inputs of real-time chunking; zeros where the case was recorded without."""
    value = np.zeros((1, *tensor.shape), np.float32)
    if "rtc.prev_chunk_left_over" not in case:
        return value
    if tensor.name == "prev_chunk":
        previous = case["rtc.prev_chunk_left_over"]
        previous = previous.reshape(-1, previous.shape[-1])
        value[0, : previous.shape[0], : previous.shape[1]] = previous
    elif tensor.name == "rtc_weights":
        value[0] = case["rtc.weights"].reshape(-1, tensor.shape[0])[0]
    else:
        value[...] = case["rtc.max_guidance_weight"]
    return value
