from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checkpoints.golden import golden_folder
from support.checkpoints.hub import StandInHub, answering
from unit.reflex_export.reading.damage import CopyCheckpoint, EmptyHub


@pytest.fixture
def hub() -> EmptyHub:
    return EmptyHub()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    with answering(StandInHub()) as hub:
        yield hub


@pytest.fixture
def copy(tmp_path: Path) -> CopyCheckpoint:
    """A copy of a recorded checkpoint, without its cases, to be damaged."""

    def copy_checkpoint(name: str) -> Path:
        return Path(
            shutil.copytree(golden_folder(name), tmp_path / "checkpoint", ignore=shutil.ignore_patterns("*.npz"))
        )

    return copy_checkpoint
