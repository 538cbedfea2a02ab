"""How one machine trains, whatever the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Device", "TrainerSettings"]

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSettings:
    """What the worker knows of its trainer."""

    python: Path
    """Of the trainer's own environment; it never imports Reflex."""
    device: Device = "cpu"
    loaders: int = 1
    """Processes that read the dataset, 0.8 GB each; 0: the trainer itself."""
    threads: int | None = None
    """None: as PyTorch chooses. On cores that others use, one thread is faster than two."""
    keeps: int = 2
    """Checkpoints: the newest, and those before it that are wanted, or needed should its files be damaged."""
    more: tuple[str, ...] = ()
    """Arguments of LeRobot's for what no request names, as the widths of a policy; for runs that begin."""
