"""A published policy with taps: its own weights in graphs that are built again, which show what happens inside them.

What is published has no taps. Its nodes and names are those that the same version makes of the same checkpoint, so
only the weights have to be put in; whether that has worked is seen by its giving the same answer.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from reflex.durable_files import link_file
from reflex.model_repository import MODEL_FILE
from reflex_export.graph.graph import OnnxModel
from reflex_export.graph.onnx_model import DATA_FILE

__all__ = ["write_tapped"]


def write_tapped(tapped: OnnxModel, published: Path, folder: Path) -> Path | None:
    """Write `tapped` with the weights of the model at `published`; None when they do not fit."""
    model = onnx.load_model_from_string(tapped.content)
    own = {tensor.name: tensor for tensor in onnx.load(published, load_external_data=False).graph.initializer}
    for tensor in model.graph.initializer:
        twin = own.get(tensor.name)
        if twin is not None and twin.dims == tensor.dims and twin.data_type == tensor.data_type:
            tensor.CopyFrom(twin)
        elif tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None  # Its place would be one in a file that is not written.
    (folder / MODEL_FILE).write_bytes(model.SerializeToString())
    if (published.parent / DATA_FILE).exists():
        # A runtime refuses data files that lie elsewhere, behind a symbolic link too.
        link_file(str((published.parent / DATA_FILE).resolve()), str(folder / DATA_FILE))
    return folder / MODEL_FILE
