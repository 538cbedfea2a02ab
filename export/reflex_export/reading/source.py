"""Where a checkpoint comes from: a folder, or a repository on the Hugging Face hub at one commit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from reflex_export.errors import SourceError
from reflex_export.reading.files import at_home, is_file, is_folder
from reflex_export.reading.openpi import refuse_openpi

__all__ = ["CHECKPOINT_FILES", "Hub", "HuggingFaceHub", "Source", "fetched", "in_folder", "is_hub_id", "locate"]

CHECKPOINT_FILES: Final = (
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "policy_*processor*.json",
    "policy_*processor*.safetensors",
    "assets/*norm_stats.json",
    "adapter_config.json",
    "train_config.json",
    "adapter_model.safetensors",
    "tokenizer/*.json",
    "vlm/*.json",
)
"""What is fetched from a hub; optimiser states, videos and pickles are not."""
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class Hub(Protocol):
    """Lists and fetches files of a repository."""

    def files(self, repository: str, commit: str) -> Iterable[str] | None:
        """The path of every file that it has there; None when it cannot be asked."""
        ...

    def fetch(self, repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
        """A folder with the files that match, named by the commit they are of; `SourceError` says what to fetch."""
        ...


@dataclass(frozen=True)
class Source:
    """A checkpoint's folder on this machine, and what to call it."""

    folder: Path
    name: str
    revision: str | None = None
    """The commit, for a hub repository."""
    unfetched: frozenset[str] | None = frozenset()
    """Files that it has besides, by their path in it; None where that is unknown."""

    def has(self, name: str) -> bool:
        """Whether the file is there, fetched or not."""
        return (self.folder / name).is_file() or name in (self.unfetched or ())

    @property
    def label(self) -> str:
        """The name, with the commit where there is one."""
        return f"{self.name}@{self.revision}" if self.revision else self.name


@dataclass(frozen=True)
class HuggingFaceHub:
    """The hub and its cache on this machine; without a network, what the cache holds."""

    cache: Path | None = None
    endpoint: str | None = None

    def files(self, repository: str, commit: str) -> Iterable[str] | None:
        from reflex_export.reading import hugging_face  # which takes a fifth of a second, and a folder needs none of it

        return hugging_face.files(repository, commit, self.endpoint)

    def fetch(self, repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
        from reflex_export.reading import hugging_face

        return hugging_face.fetch(repository, revision, patterns, cache=self.cache, endpoint=self.endpoint)


def locate(source: str | Path, revision: str | None, hub: Hub) -> Source:
    """The folder itself, or a hub repository fetched at `revision` (default: its main branch's newest commit)."""
    folder = at_home(source)
    if is_folder(folder) or is_file(folder):
        return _local(folder, revision)
    if not isinstance(source, str) or not is_hub_id(source):
        raise SourceError(f"{source} does not exist, and is no hub id (owner/name) either")
    found = fetched(source, revision, hub)
    _require_config(found)
    return found


def fetched(name: str, revision: str | None, hub: Hub) -> Source:
    """The files of a hub repository that an export may need."""
    snapshot = hub.fetch(name, revision, CHECKPOINT_FILES)
    there = hub.files(name, snapshot.name)
    left = None if there is None else frozenset(file for file in there if not (snapshot / file).exists())
    return Source(snapshot, name, snapshot.name, left)


def in_folder(folder: Path) -> Source:
    """A folder of this machine; what is recorded of it is its name, not where it lies."""
    return Source(folder, folder.resolve().name)


def is_hub_id(name: str) -> bool:
    """Whether it reads as `owner/name` rather than as a path."""
    return _HUB_ID.fullmatch(name) is not None and ".." not in name


def _local(folder: Path, revision: str | None) -> Source:
    if revision is not None:
        raise SourceError(f"{folder} is a folder, which has no revision {revision}; leave the revision out")
    if not folder.is_dir():
        raise SourceError(f"{folder} is a file; give the folder that holds it, with config.json beside the weights")
    found = in_folder(folder)
    _require_config(found)
    return found


def _require_config(found: Source) -> None:
    folder = found.folder
    refuse_openpi(folder, found.unfetched or ())
    if any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        return
    inner = folder / "pretrained_model"
    hint = f"; give {inner}, which has one" if (inner / "config.json").is_file() else "; is this a lerobot checkpoint?"
    raise SourceError(f"{folder} has no config.json{hint}")
