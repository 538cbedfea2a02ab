"""How many bytes an export must store, and how many it did."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx

from reflex.model_repository import MODEL_FILE, VERSION_FOLDER
from reflex_export.checkpoint import Checkpoint
from reflex_export.reading.layout import embedding_name, live_tensors

__all__ = ["live_parameters", "stored_bytes"]

PRECOMPUTED: Final = (".dense.weight", ".dense.bias", "time_mlp_in.", "time_mlp_out.")
"""pi0.5's modulation by time: the steps are known, so only its results are in the graph."""


def live_parameters(checkpoint: Checkpoint) -> int:
    """Of the checkpoint, those that the graphs of this family need at inference."""
    tensors = checkpoint.tensors
    names = {name.removeprefix("model."): name for name in tensors.names()}
    needed = [embedding_name(checkpoint.family, tensors)]
    for name, _ in live_tensors(checkpoint.family, checkpoint.config, tensors.names()):
        if checkpoint.family != "pi05" or not any(part in name for part in PRECOMPUTED):
            needed.append(names[name])
    return sum(math.prod(tensors.shape(name)) for name in needed)


def stored_bytes(repository: Path) -> int:
    """Of every initialiser of every model in a repository, wherever it lies."""
    return sum(sum(_initializer_bytes(path)) for path in repository.glob(f"*/{VERSION_FOLDER}/{MODEL_FILE}"))


def _initializer_bytes(path: Path) -> Iterator[int]:
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        item_bytes = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        yield math.prod(tensor.dims) * item_bytes
