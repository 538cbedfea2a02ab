"""Where a worker keeps its trainer and its runs, unless it is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["data_folder", "trainer_folder"]


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`reflex/training` in the user's data folder (XDG Base Directory Specification)."""
    given = environment.get("XDG_DATA_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "share"
    return base / "reflex" / "training"


def trainer_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The environment of LeRobot."""
    return data_folder(environment) / "trainer"
