"""A policy on its way into a model repository: written beside it, hashed as it is written, renamed into it.

<policy>/             config.pbtxt, 1/ (empty), reflex_config.json, canary.npz, tokenizer.json
<policy>_preprocess/  config.pbtxt, 1/model.onnx
<policy>_encoder/     config.pbtxt, 1/model.onnx
<policy>_denoise/     config.pbtxt, 1/model.onnx, and 1/model.cuda.onnx of a large one
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from reflex.model_repository import CONFIG_FILE, CUDA_MODEL_FILE, TRITON_CONFIG_FILE, VERSION_FOLDER
from reflex.policy_config import PolicyConfig
from reflex_export.graph.onnx_model import Array, OnnxModel
from reflex_export.publishing.transaction import publish, scratch_folder
from reflex_export.publishing.triton_config import Component, component_config, ensemble_config

__all__ = ["Identity", "StagedModel", "StagedPolicy", "identity_of", "staging", "write_contract"]

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip archive can hold: a canary's bytes must not depend on the clock."""


@dataclass(frozen=True)
class Identity:
    """What a policy is by content; no path, clock or machine goes into it."""

    policy_hash: str
    export_id: str


@dataclass(frozen=True)
class StagedModel:
    """One component whose graph and weights are written already."""

    name: str
    """The Triton model's name."""
    component: Component
    digest: str
    """SHA-256 of the graph and weights, hexadecimal."""


@dataclass
class StagedPolicy:
    """The scratch folder of one export. Nothing of it is in the repository before `publish`."""

    folder: Path
    repository: Path
    names: list[str] = field(default_factory=list)
    """Of the directories, in the order in which a watching server may see them: an ensemble after its components."""

    def write_model(
        self,
        name: str,
        role: str,
        model: OnnxModel,
        max_batch_size: int,
        on_bytes: Callable[[int], object] = abs,
        for_cuda: OnnxModel | None = None,
    ) -> StagedModel:
        """Stream a graph and its weights into `<name>/1/`; `on_bytes` hears how many more are written.

        `for_cuda` is the graph's other form, which must read the same weights: `ValueError` where it does not.
        """
        content = hashlib.sha256()

        def see(piece: memoryview) -> None:
            content.update(piece)
            on_bytes(piece.nbytes)

        folder = self._version_folder(name)
        model.save(folder, see)
        if for_cuda is not None:
            if not for_cuda.reads_the_data_of(model):
                raise ValueError(f"{name}: the form for CUDA has other weights, or has them elsewhere")
            (folder / CUDA_MODEL_FILE).write_bytes(for_cuda.content)
            see(memoryview(for_cuda.content))
        return StagedModel(name, Component(role, model.inputs, model.outputs, max_batch_size), content.hexdigest())

    def write_files(self, name: str, component: Component, files: Mapping[str, bytes]) -> StagedModel:
        """A component of another backend: what its version folder holds, by file name."""
        folder = self._version_folder(name)
        content = hashlib.sha256()
        for file, data in sorted(files.items()):
            (folder / file).write_bytes(data)
            content.update(f"{file}:{len(data)}\n".encode() + data)
        return StagedModel(name, component, content.hexdigest())

    def write_component_config(self, model: StagedModel, export_id: str) -> None:
        text = component_config(model.name, model.component, export_id)
        (self.folder / model.name / TRITON_CONFIG_FILE).write_text(text, encoding="utf-8")

    def write_ensemble(self, policy_id: str, models: tuple[StagedModel, ...], export_id: str) -> Path:
        """The folder `<policy_id>` with its config.pbtxt and empty version; `write_contract` adds the rest."""
        # An ensemble's version directory is empty, and git keeps no empty directory.
        (self._version_folder(policy_id) / ".gitkeep").touch()
        names = {model.component.role: model.name for model in models}
        text = ensemble_config(policy_id, [model.component for model in models], export_id, names)
        directory = self.folder / policy_id
        (directory / TRITON_CONFIG_FILE).write_text(text, encoding="utf-8")
        return directory

    def publish(self) -> None:
        """Rename everything into the repository: all of it, or what was there before, also after a kill -9."""
        publish(self.names, self.folder, self.repository)

    def _version_folder(self, name: str) -> Path:
        folder = self.folder / name / VERSION_FOLDER
        folder.mkdir(parents=True)
        self.names.append(name)
        return folder


def write_contract(
    directory: Path, config: PolicyConfig, canary: Mapping[str, Array], tokenizer_json: str | None
) -> None:
    """What the frontend reads of an ensemble's folder.

    `canary` holds the ensemble's input tensors, without the batch axis, and `expected.actions`.
    """
    (directory / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if config.canary is not None:
        (directory / config.canary.file).write_bytes(_npz_bytes(canary))
    if config.prompt is not None and tokenizer_json is not None:
        (directory / config.prompt.tokenizer_file).write_text(tokenizer_json, encoding="utf-8")


def identity_of(models: tuple[StagedModel, ...], salt: Mapping[str, str]) -> Identity:
    """`policy_hash` over the models, `export_id` over those and whatever else tells exports apart."""
    lines = "".join(f"{model.component.role}:{model.digest}\n" for model in models)
    policy = hashlib.sha256(lines.encode()).hexdigest()
    rest = "".join(f"{key}={value}\n" for key, value in sorted(salt.items()))
    return Identity(f"sha256:{policy}", hashlib.sha256(f"{policy}\n{rest}".encode()).hexdigest()[:32])


@contextmanager
def staging(repository: Path) -> Iterator[StagedPolicy]:
    """A scratch folder in the repository, on the same file system, gone at the end whatever happens.

    Raises `RepositoryError` while another export is at work in the same repository.
    """
    with scratch_folder(repository) as scratch:
        folder = scratch / "staged"
        folder.mkdir()
        yield StagedPolicy(folder, repository)


def _npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """What `numpy.savez` writes, with a fixed clock and order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in sorted(arrays.items()):
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()
