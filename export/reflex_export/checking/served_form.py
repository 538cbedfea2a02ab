"""Which form of a policy's denoise is measured: the one that a server on the same device serves (docs/adr/0031).

A form is taken back where it does not load, or fails when it is run with each batch size on zeros, as a server tries it
before it is ready. Whether it can be a CUDA graph is asked by a server alone. Memory that runs out says nothing of the
form, and is told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reflex.errors import RepositoryError
from reflex.model_repository import CUDA_MODEL_FILE, MODEL_FILE, TRITON_CONFIG_FILE
from reflex_export.checking.parity import PolicyRunner
from reflex_export.checking.serving_device import ServingDevice
from reflex_export.engines.config_text import max_batch_size
from reflex_export.engines.errors import ConfigTextError
from reflex_export.errors import DeviceError
from reflex_export.progress import Progress, Stage

__all__ = ["OUT_OF_MEMORY", "served_form"]

MASKS: Final = "REFLEX_CUDA_MASKS"
"""By which a server on CUDA is told to take `model.onnx`."""
YES: Final = frozenset({"1", "true", "yes", "on"})
OUT_OF_MEMORY: Final = re.compile(
    r"out of memory|CUDA failure 2\b|Failed to allocate memory|STATUS_ALLOC_FAILED|OutOfMemory|bad_alloc", re.IGNORECASE
)
"""What the server's backend knows it by, which cannot be imported here."""


def served_form(paths: Mapping[str, Path], device: ServingDevice, progress: Progress) -> tuple[PolicyRunner, str]:
    """The policy, of whose components `paths` are the graphs, and the name of the file that its denoise runs from."""
    own = paths["denoise"].with_name(CUDA_MODEL_FILE)
    if not device.is_processor and own.is_file() and os.environ.get(MASKS, "").lower() not in YES:
        try:
            return _tried({**paths, "denoise": own}, device), own.name
        except DeviceError as exc:
            if OUT_OF_MEMORY.search(f"{exc} {exc.__cause__}"):
                raise
            progress(Stage(f"{own.name} does not run on {device.name}: {MODEL_FILE} is measured, as it is served"))
    return PolicyRunner(paths.values(), device), MODEL_FILE


def _tried(paths: Mapping[str, Path], device: ServingDevice) -> PolicyRunner:
    runner = PolicyRunner(paths.values(), device)
    runner.warm_up(range(1, 1 + _most_at_once(paths["denoise"].parents[1] / TRITON_CONFIG_FILE)))
    return runner


def _most_at_once(path: Path) -> int:
    try:
        return max(1, max_batch_size(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ConfigTextError) as exc:
        raise RepositoryError(f"{path} is no Triton model configuration: {exc}; export the policy again") from exc
