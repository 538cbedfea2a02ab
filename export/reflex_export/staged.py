"""A policy's models on their way into a repository: written beside it, hashed as they are written, renamed into it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex_export.graph import OnnxModel
from reflex_export.repository import Identity
from reflex_export.transaction import publish, scratch_folder
from reflex_export.triton_config import Component, component_config, ensemble_config

__all__ = ["StagedModel", "StagedPolicy", "staging"]

VERSION: Final = "1"


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

    def write_model(self, name: str, role: str, model: OnnxModel, max_batch_size: int) -> StagedModel:
        """Stream a graph and its weights into `<name>/1/`."""
        directory = self.folder / name / VERSION
        directory.mkdir(parents=True)
        content = hashlib.sha256()
        model.save(directory, content.update)
        self.names.append(name)
        return StagedModel(name, Component(role, model.inputs, model.outputs, {}, max_batch_size), content.hexdigest())

    def write_component_config(self, model: StagedModel, export_id: str) -> None:
        text = component_config(model.name, model.component, export_id)
        (self.folder / model.name / "config.pbtxt").write_text(text, encoding="utf-8")

    def write_ensemble(self, policy_id: str, models: tuple[StagedModel, ...], export_id: str) -> Path:
        """The folder `<policy_id>` with its config.pbtxt and empty version; the caller adds the rest."""
        directory = self.folder / policy_id
        (directory / VERSION).mkdir(parents=True)
        (directory / VERSION / ".gitkeep").touch()
        names = {model.component.role: model.name for model in models}
        text = ensemble_config(policy_id, [model.component for model in models], export_id, names)
        (directory / "config.pbtxt").write_text(text, encoding="utf-8")
        self.names.append(policy_id)
        return directory

    def publish(self) -> None:
        """Rename everything into the repository: all of it, or what was there before, also after a kill -9."""
        publish(self.names, self.folder, self.repository)


def identity_of(models: tuple[StagedModel, ...], salt: Mapping[str, str]) -> Identity:
    """`policy_hash` over the models, `export_id` over those and whatever else tells exports apart."""
    lines = "".join(f"{model.component.role}:{model.digest}\n" for model in models)
    policy = hashlib.sha256(lines.encode()).hexdigest()
    rest = "".join(f"{key}={value}\n" for key, value in sorted(salt.items()))
    return Identity(f"sha256:{policy}", hashlib.sha256(f"{policy}\n{rest}".encode()).hexdigest()[:32])


@contextmanager
def staging(repository: Path, *, on_folder: Callable[[Path], object] = lambda _folder: None) -> Iterator[StagedPolicy]:
    """A scratch folder in the repository, on the same file system, gone at the end whatever happens.

    Raises `RepositoryError` while another export is at work in the same repository.
    """
    with scratch_folder(repository) as scratch:
        folder = scratch / "staged"
        folder.mkdir()
        on_folder(folder)
        yield StagedPolicy(folder, repository)
