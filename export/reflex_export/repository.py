"""Writes a policy into a model repository: the four directories, all of them or none.

<policy>/             config.pbtxt, 1/, reflex_config.json, tokenizer.json, canary.npz
<policy>_preprocess/  config.pbtxt, 1/model.onnx
<policy>_encoder/     config.pbtxt, 1/model.onnx
<policy>_denoise/     config.pbtxt, 1/model.onnx
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from reflex.policy_config import CONFIG_FILE, PolicyConfig
from reflex_export.graph import Array
from reflex_export.transaction import publish, scratch_folder
from reflex_export.triton_config import Component, component_config, ensemble_config

__all__ = ["Identity", "PolicyFiles", "identify", "npz_bytes", "write_policy"]

VERSION_DIR: Final = "1"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip archive can hold: a canary's bytes must not depend on the clock."""


@dataclass(frozen=True)
class Identity:
    """What a policy is by content; no path, clock or machine goes into it."""

    policy_hash: str
    export_id: str


@dataclass(frozen=True)
class PolicyFiles:
    """Everything that `write_policy` writes. `canary` holds the ensemble's input tensors and `expected.actions`."""

    config: PolicyConfig
    components: tuple[Component, ...]
    tokenizer: str
    canary: Mapping[str, Array]


def identify(policy_id: str, components: Sequence[Component], tokenizer: str) -> Identity:
    """Hash the graphs and weights (`policy_hash`), and those with the name and tokenizer (`export_id`)."""
    content = hashlib.sha256()
    for component in components:
        for name, data in sorted(component.files.items()):
            content.update(f"{component.role}/{name}:{len(data)}\n".encode() + data)
    policy_hash = f"sha256:{content.hexdigest()}"
    export = hashlib.sha256(f"{policy_id}\n{policy_hash}\n{tokenizer}".encode())
    return Identity(policy_hash, export.hexdigest()[:32])


def write_policy(repository: Path, policy: PolicyFiles) -> None:
    """Write the policy's directories, replacing older ones of the same name.

    They are written beside and renamed into place; when that fails, the older ones are back and the error goes on.
    After a kill they are back once the next export, or `transaction.recover`, has come by.
    """
    with scratch_folder(repository) as scratch:
        staged = scratch / "staged"
        publish(_write_directories(staged, policy), staged, repository)


def _write_directories(staged: Path, policy: PolicyFiles) -> list[str]:
    """Write everything under `staged`; the names come in the order in which a watching server may see them."""
    policy_id, export_id = policy.config.policy_id, policy.config.export_id
    for component in policy.components:
        directory = staged / f"{policy_id}_{component.role}"
        _write(
            directory / "config.pbtxt", component_config(f"{policy_id}_{component.role}", component, export_id).encode()
        )
        for name, data in component.files.items():
            _write(directory / VERSION_DIR / name, data)
    ensemble = staged / policy_id
    _write(ensemble / "config.pbtxt", ensemble_config(policy_id, policy.components, export_id).encode())
    # An ensemble's version directory is empty, and git keeps no empty directory.
    _write(ensemble / VERSION_DIR / ".gitkeep", b"")
    _write(ensemble / CONFIG_FILE, policy.config.model_dump_json(indent=2).encode() + b"\n")
    if policy.config.prompt is not None:
        _write(ensemble / policy.config.prompt.tokenizer_file, policy.tokenizer.encode())
    if policy.config.canary is not None:
        _write(ensemble / policy.config.canary.file, npz_bytes(policy.canary))
    return [*(f"{policy_id}_{component.role}" for component in policy.components), policy_id]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """What `numpy.savez` writes, with a fixed clock and order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()
