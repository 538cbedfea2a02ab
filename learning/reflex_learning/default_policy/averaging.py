"""The mean of several checkpoints' weights, as a checkpoint: what a falling learning rate is for, without one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.durable_files import replace_file
from reflex_learning.errors import TrainingError

__all__ = ["average"]

WEIGHTS: Final = "model.safetensors"
LENGTH_BYTES: Final = 8
LARGEST_HEADER: Final = 100 << 20


def average(models: Sequence[Path], folder: Path) -> None:
    """Write it; all else is the last one's. `TrainingError` for weights that are not of one kind, in float32."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(models[-1], folder)
    headers, weights = zip(*(_read(model / WEIGHTS) for model in models), strict=True)
    if len(set(headers)) != 1:
        raise TrainingError(f"the checkpoints beside {models[-1]} are not of one model: train it anew")
    mean = np.mean(np.stack(weights), axis=0, dtype=np.float64).astype("<f4")
    replace_file(folder / WEIGHTS, headers[0] + mean.tobytes())


def _read(file: Path) -> tuple[bytes, npt.NDArray[np.float32]]:
    """A safetensors file: the length of its header, the header, and after it every tensor without a gap."""
    content = file.read_bytes()
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    if end > min(len(content), LARGEST_HEADER):
        raise TrainingError(f"{file} is too short: remove its checkpoint, and run this again")
    tensors = json.loads(content[LENGTH_BYTES:end])
    if {each["dtype"] for name, each in tensors.items() if name != "__metadata__"} != {"F32"}:
        raise TrainingError(f"{file} holds other numbers than float32, which have no mean here")
    return content[:end], np.frombuffer(content[end:], "<f4")
