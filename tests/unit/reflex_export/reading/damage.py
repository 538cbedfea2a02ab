"""Ways to change a copy of a checkpoint, and a hub that has nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex_export.errors import SourceError
from reflex_export.reading.tensors import open_file
from support.checkpoints.random_checkpoint import write_safetensors

Array = npt.NDArray[Any]
CopyCheckpoint = Callable[[str], Path]


class EmptyHub:
    """A hub without a network and with an empty cache; remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def files(self, repository: str, commit: str) -> None:
        self.asked.append((repository, commit))

    def fetch(self, repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
        self.asked.append((repository, revision))
        raise SourceError(f"run `hf download {repository} {' '.join(patterns)}` and give that folder")


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_step(path: Path, step: str, **settings: Any) -> None:
    """Change the config of one step of a processor file."""
    edit_json(path, lambda pipeline: step_of(pipeline, step)["config"].update(settings))


def step_of(pipeline: Any, name: str) -> Any:
    return next(step for step in pipeline["steps"] if step["registry_name"] == name)


def edit_tensors(path: Path, change: Callable[[dict[str, Array]], Any]) -> None:
    source = open_file(path)
    tensors: dict[str, Array] = {name: np.array(source.load(name)) for name in sorted(source.names())}
    change(tensors)
    write_safetensors(path, tensors)
