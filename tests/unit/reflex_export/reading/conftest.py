from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.checkpoints.golden import golden_folder
from unit.reflex_export.reading.damage import CopyCheckpoint, EmptyHub


@pytest.fixture
def hub() -> EmptyHub:
    return EmptyHub()


@pytest.fixture
def copy(tmp_path: Path) -> CopyCheckpoint:
    """A copy of a recorded checkpoint, without its cases, to be damaged."""

    def copy_checkpoint(name: str) -> Path:
        return Path(
            shutil.copytree(golden_folder(name), tmp_path / "checkpoint", ignore=shutil.ignore_patterns("*.npz"))
        )

    return copy_checkpoint
