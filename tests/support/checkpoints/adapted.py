"""Folders with an adapter, from what PEFT recorded in `tests/golden/adapters`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from reflex_export.reading.adapters.adapter_config import AdapterConfig, read_adapter_config
from reflex_export.reading.tensors import SafetensorsTensors, open_file
from support.checkpoints.golden import Array, golden_folder
from support.checkpoints.random_checkpoint import write_safetensors

__all__ = [
    "adapter_config",
    "adapter_folder",
    "arrays_of",
    "edit_adapter",
    "peft_merged_folder",
    "recorded",
    "whole_folder",
]


def recorded(name: str, file: str) -> SafetensorsTensors:
    """`smolvla`, `layers/lora`, ...: one of its safetensors files."""
    return open_file(golden_folder(f"adapters/{name}") / f"{file}.safetensors")


def adapter_config(name: str) -> AdapterConfig:
    return read_adapter_config(golden_folder(f"adapters/{name}"))


def arrays_of(tensors: SafetensorsTensors) -> dict[str, Array]:
    return {name: np.array(tensors.load(name)) for name in sorted(tensors.names())}


def whole_folder(folder: Path, family: str) -> Path:
    """The base model, without its cases."""
    return Path(shutil.copytree(golden_folder(family), folder, ignore=shutil.ignore_patterns("*.npz")))


def adapter_folder(folder: Path, family: str, **changes: Any) -> Path:
    """What lerobot's training saves: everything but the weights, and the adapter; `changes` of its config."""
    whole_folder(folder, family)
    (folder / "model.safetensors").unlink()
    for path in golden_folder(f"adapters/{family}").glob("adapter_*"):
        shutil.copy(path, folder)
    edit_adapter(folder, base_model_name_or_path=str(golden_folder(family)), **changes)
    return folder


def edit_adapter(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def peft_merged_folder(folder: Path, family: str) -> Path:
    """The base model with the tensors in it that PEFT's merge changed."""
    whole_folder(folder, family)
    tensors = arrays_of(open_file(folder / "model.safetensors")) | arrays_of(recorded(family, "merged"))
    write_safetensors(folder / "model.safetensors", tensors)
    return folder
