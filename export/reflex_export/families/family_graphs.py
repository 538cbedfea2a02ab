"""From a checkpoint to the graphs of its family."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

from reflex_export.checkpoint import Checkpoint
from reflex_export.families.common import Arithmetic, FamilyGraphs
from reflex_export.families.unused import NoticedTensors, require_all_used

__all__ = ["build_graphs", "default_steps"]


def build_graphs(
    checkpoint: Checkpoint, steps: Sequence[int], precision: Arithmetic, *, taps: bool = False
) -> FamilyGraphs:
    """With `taps` the graphs also put out what happens inside them; `CheckpointError` when they cannot be built."""
    family = importlib.import_module(f"reflex_export.families.{checkpoint.family}")
    tensors = NoticedTensors(checkpoint.tensors)
    noticed = replace(checkpoint, tensors=tensors)
    graphs: FamilyGraphs = family.build(noticed, steps=steps, precision=precision, taps=taps)
    require_all_used(checkpoint, tensors.used)
    return graphs


def default_steps(checkpoint: Checkpoint) -> int:
    """The checkpoint's own number of denoising steps; 1 for a family without a loop."""
    return checkpoint.config.default_steps
