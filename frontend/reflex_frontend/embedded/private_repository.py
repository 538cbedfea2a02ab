"""The model repository that the embedded Triton sees: the one on disk, by links, with the ensembles that are one model.

    <run folder>/models/<model>    a link to the model's own folder, or to
    <run folder>/fused/<hash>/     what stands in for an ensemble; see fusion.py

A link is replaced in one step, so that a Triton that looks meanwhile sees either what was or what is.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

from reflex.model_repository import TRITON_CONFIG_FILE
from reflex_frontend.embedded.fusion import STEPS_FILE, FusedModel, folders_of, fuse, read_models

__all__ = ["PrivateRepository"]


class PrivateRepository:
    """Of one embedded Triton. Blocks, with a disk that has gone for ever: see own_thread.py."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self._repository = repository
        self._fused_below = folder / "fused"
        self.path = folder / "models"
        self._fused: dict[str, FusedModel] = {}
        self._seen: int | None = None
        self._refreshing = threading.Lock()

    def refresh(self) -> None:
        """Bring it in line with the repository on disk. `OSError` when that cannot be listed: all stays as it is."""
        with self._refreshing:
            self._refresh()

    def _refresh(self) -> None:
        seen = self._changed_at()
        wanted = {path.name: path.absolute() for path in folders_of(self._repository)}
        self._fused = fuse(self._repository, read_models(self._repository))
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted |= {name: self._written(model) for name, model in self._fused.items()}
        for link in self.path.iterdir():
            if link.name not in wanted:
                link.unlink(missing_ok=True)
        for name, target in wanted.items():
            _point(self.path / name, target)
        self._seen = seen

    def keep_up(self) -> None:
        """`refresh`, if the repository on disk has changed."""
        if self.is_outdated():
            self.refresh()

    def is_outdated(self) -> bool:
        """Whether a model has come to the repository on disk, or gone, since it was last looked at."""
        return self._changed_at() != self._seen

    def to_load(self, models: Sequence[str]) -> list[str]:
        """Of `models` those that are no part of another one of them: that one has them in its own process."""
        held = {part for model in models if model in self._fused for part in self._fused[model].components}
        return [model for model in models if model not in held]

    def _changed_at(self) -> int | None:
        try:
            return self._repository.stat().st_mtime_ns
        except OSError:
            return None

    def _written(self, model: FusedModel) -> Path:
        """Its folder, named after what is in it: what has changed lies in another one."""
        digest = hashlib.sha256(f"{model.config}\0{model.steps}".encode()).hexdigest()[:16]
        folder = self._fused_below / f"{model.name}-{digest}"
        version = folder / model.version
        version.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_once(version / STEPS_FILE, model.steps)
        _write_once(folder / TRITON_CONFIG_FILE, model.config)
        return folder


def _write_once(path: Path, text: str) -> None:
    """Whole or not at all. To Triton a file with a new time is a new model."""
    if not path.exists():
        fresh = path.with_name(f".{path.name}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)


def _point(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.parent.with_name("fresh")  # where Triton does not look
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target, target_is_directory=True)
    fresh.replace(link)
