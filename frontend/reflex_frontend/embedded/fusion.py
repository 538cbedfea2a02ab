"""Which ensembles one process can run, and what that process is told: an ensemble of ONNX models becomes one model.

The model has the ensemble's name, inputs, outputs and parameters. What its process needs of the ensemble's own models
stands in a file in the folder of its version; see `backends/onnxruntime/reflex_ensemble.py`, which reads it. An
ensemble of which anything is not understood here stays what it is.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from reflex.model_repository import TRITON_CONFIG_FILE

__all__ = ["STEPS_FILE", "FusedModel", "folders_of", "fuse", "read_models"]

STEPS_FILE: Final = "reflex_ensemble.json"
BACKEND: Final = "onnxruntime"
ENSEMBLE_FIELDS: Final = {"name", "platform", "max_batch_size", "input", "output", "ensemble_scheduling", "parameters"}
MODEL_FIELDS: Final = {"name", "platform", "backend", "max_batch_size", "input", "output", "instance_group",
                       "dynamic_batching", "parameters", "default_model_filename"}  # fmt: skip
STEP_FIELDS: Final = {"model_name", "model_version", "input_map", "output_map"}
TENSOR_FIELDS: Final = {"name", "data_type", "dims", "optional"}
BATCHING_FIELDS: Final = {"max_queue_delay_microseconds"}

_Config = Any
"""`model_config_pb2.ModelConfig`: generated, without types."""


@dataclass(frozen=True, slots=True)
class FusedModel:
    """What stands in for an ensemble: its config.pbtxt, and the file of its one version."""

    name: str
    version: str
    config: str
    steps: str
    components: tuple[str, ...]
    """The models that it holds."""


def read_models(repository: Path) -> dict[str, _Config]:
    """The config of every model that has a readable one; Triton itself says what is wrong with another."""
    found = {}
    for folder in folders_of(repository):
        config = model_config_pb2.ModelConfig()
        try:
            text_format.Parse((folder / TRITON_CONFIG_FILE).read_text(encoding="utf-8"), config)
        except (OSError, UnicodeDecodeError, text_format.ParseError):
            continue
        found[folder.name] = config
    return found


def folders_of(repository: Path) -> list[Path]:
    """All that may be models; `OSError` when the repository cannot be listed.

    What cannot be looked at, or is just being replaced, is none, and no hindrance to the others.
    """
    return sorted(path for path in repository.iterdir() if _is_folder(path))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a link into a folder that others may not enter, say
        return False


def fuse(repository: Path, models: Mapping[str, _Config]) -> dict[str, FusedModel]:
    """By name: each ensemble of `models` that one process can run.

    A model that belongs to several ensembles would be in memory as often, so those stay ensembles.
    """
    users = Counter(step.model_name for config in models.values() for step in config.ensemble_scheduling.step)
    fused: dict[str, FusedModel] = {}
    for name, ensemble in models.items():
        steps = ensemble.ensemble_scheduling.step
        parts = [models[step.model_name] for step in steps if step.model_name in models]
        is_whole = bool(steps) and len(parts) == len(steps) and all(users[step.model_name] == 1 for step in steps)
        if is_whole and _is_understood(ensemble, parts) and _is_in_order(ensemble, parts):
            with contextlib.suppress(OSError):  # Triton itself says what of it cannot be read
                model = _fused(repository, name, ensemble, parts)
                fused |= {name: model} if model else {}
    return fused


def _is_understood(ensemble: _Config, parts: Iterable[_Config]) -> bool:
    parts = list(parts)
    return (
        _has_only(ensemble, ENSEMBLE_FIELDS)
        and all(_has_only(step, STEP_FIELDS) for step in ensemble.ensemble_scheduling.step)
        and all(_has_only(part, MODEL_FIELDS) and part.backend == BACKEND for part in parts)
        and all(_has_only(part.dynamic_batching, BATCHING_FIELDS) for part in parts)
        and all(_has_only(tensor, TENSOR_FIELDS) for model in (ensemble, *parts) for tensor in _tensors(model))
        and len({model.max_batch_size > 0 for model in (ensemble, *parts)}) == 1
        and len({tuple(group.SerializeToString() for group in part.instance_group) for part in parts}) == 1
    )


def _is_in_order(ensemble: _Config, parts: Iterable[_Config]) -> bool:
    """Whether each step reads only what is there by then, and all agree on what each tensor is."""
    known = {tensor.name: _kind(tensor) for tensor in ensemble.input}
    for step, part in zip(ensemble.ensemble_scheduling.step, parts, strict=True):
        reads = {tensor.name: tensor for tensor in part.input}
        gives = {tensor.name: tensor for tensor in part.output}
        if not (step.input_map.keys() <= reads.keys() and step.output_map.keys() <= gives.keys()):
            return False
        if any(tensor.name not in step.input_map and not tensor.optional for tensor in part.input):
            return False
        if any(known.get(outer) != _kind(reads[inner]) for inner, outer in step.input_map.items()):
            return False
        if any(outer in known for outer in step.output_map.values()):
            return False
        known |= {outer: _kind(gives[inner]) for inner, outer in step.output_map.items()}
    return all(known.get(tensor.name) == _kind(tensor) for tensor in ensemble.output)


def _fused(repository: Path, name: str, ensemble: _Config, parts: list[_Config]) -> FusedModel | None:
    own_version = _newest(repository / name)
    told = []
    for step, part in zip(ensemble.ensemble_scheduling.step, parts, strict=True):
        version = _newest(repository / step.model_name) if step.model_version in (0, -1) else str(step.model_version)
        if version is None:
            return None
        told.append(_told(step, part, (repository / step.model_name / version).absolute()))
    if own_version is None:
        return None
    steps = json.dumps({"ensemble": name, "steps": told}, indent=1)
    config = text_format.MessageToString(_config(name, ensemble, parts))
    return FusedModel(name, own_version, config, steps, tuple(step["model"] for step in told))


def _told(step: Any, part: _Config, folder: Path) -> dict[str, Any]:  # noqa: ANN401 - generated protobuf
    # In the words that Triton itself uses when it hands a config to a Python model.
    config = json_format.MessageToDict(part, preserving_proto_field_name=True)
    return {
        "model": step.model_name,
        "folder": str(folder),
        "changed": [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in _files(folder)],
        "config": {"input": [], "output": [], **config, "max_batch_size": part.max_batch_size},
        "batches": part.HasField("dynamic_batching"),
        "inputs": dict(step.input_map),
        "outputs": dict(step.output_map),
    }


def _config(name: str, ensemble: _Config, parts: list[_Config]) -> _Config:
    """A batch of it is as large as the largest of its models; each of them runs it in pieces that it can take."""
    batching = [part for part in parts if part.HasField("dynamic_batching")]
    config = model_config_pb2.ModelConfig(name=name, backend=BACKEND)
    config.max_batch_size = max(model.max_batch_size for model in (ensemble, *batching))
    config.input.extend(ensemble.input)
    config.output.extend(ensemble.output)
    config.instance_group.extend(parts[0].instance_group)
    for key, value in ensemble.parameters.items():
        config.parameters[key].CopyFrom(value)
    if batching:
        delays = [part.dynamic_batching.max_queue_delay_microseconds for part in batching]
        config.dynamic_batching.max_queue_delay_microseconds = max(delays)
    return config


def _newest(folder: Path) -> str | None:
    """The version that Triton loads unless told otherwise."""
    versions = [path.name for path in folder.glob("[0-9]*") if path.name.isdigit() and path.is_dir()]
    return max(versions, key=int, default=None)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _has_only(message: Any, fields: set[str]) -> bool:  # noqa: ANN401 - generated protobuf
    return {field.name for field, _ in message.ListFields()} <= fields


def _tensors(model: _Config) -> Iterator[Any]:
    yield from model.input
    yield from model.output


def _kind(tensor: Any) -> tuple[int, tuple[int, ...]]:  # noqa: ANN401 - generated protobuf
    return tensor.data_type, tuple(tensor.dims)
