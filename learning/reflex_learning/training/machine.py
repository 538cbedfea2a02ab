"""What the queue is told of this machine, by which it chooses runs for it."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Final

from reflex.training.port import WorkerFacts
from reflex_learning.training.environment import TrainerEnvironment
from reflex_learning.training.worker import worker_id

__all__ = ["facts_of", "gpu_memory"]

ASKS: Final = ("--query-gpu=memory.total", "--format=csv,noheader,nounits")
LOOKS_S: Final = 20.0


def facts_of(folder: Path, name: str | None, environment: TrainerEnvironment) -> WorkerFacts:
    """Of the worker whose data lies in the folder."""
    return WorkerFacts(
        worker_id=worker_id(folder),
        name=name or platform.node() or "worker",
        gpu_memory_bytes=gpu_memory() if environment.device == "cuda" else None,
        families=environment.families,
    )


def gpu_memory(program: str = "nvidia-smi") -> int | None:
    """Of the smallest GPU, for any of them may be used; None where there is none."""
    found = shutil.which(program)
    if found is None:
        return None
    try:
        asked = subprocess.run([found, *ASKS], capture_output=True, timeout=LOOKS_S, check=False)  # noqa: S603
        mebibytes = [int(line) for line in asked.stdout.decode().split("\n") if line.strip()]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return min(mebibytes) * 2**20 if asked.returncode == 0 and mebibytes else None
