"""The smallest model there is: y = -x."""

from __future__ import annotations

from pathlib import Path

from reflex_export.graph.graph import GraphBuilder

__all__ = ["negation"]


def negation(folder: Path) -> Path:
    """Makes the folder and the file; x and y are FP32 [B, 2]."""
    g = GraphBuilder("neg")
    g.output(g.op("Neg", g.input("x", "FP32", (2,))), "y", "FP32", (2,))
    folder.mkdir()
    g.build().save(folder)
    return folder / "model.onnx"
