"""What ACT and Diffusion Policy ask of a checkpoint before anything is built, and how both see a raw image."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import TensorShapeError, UnsupportedOptionError
from reflex_export.graph.graph import GraphBuilder

__all__ = ["check_shapes", "image_planes", "refuse_relative_actions"]


def image_planes(
    g: GraphBuilder, image: ir.Value, size: tuple[int, int, int] | None, frames: tuple[int, ...] = ()
) -> ir.Value:
    """UINT8 [B, *frames, h, w, 3] -> FP32 [B * frames, 3, h, w] in 0..1; with `size`, another one is an error."""
    axes = len(frames)
    if size is None:
        sides = g.op("Shape", image, start=axes + 1)
        flat = g.op("Reshape", image, g.op("Concat", g.ints(-1), sides, axis=0))
    else:
        channels, height, width = size
        # The first shape holds for the right width only, the second then for the right height only: a runtime refuses
        # other images and names the sizes, where a single reshape would take a portrait for a landscape.
        rows = g.op("Reshape", image, g.ints(*[0] * (axes + 2), width * channels))
        sized = g.op("Reshape", rows, g.ints(*[0] * (axes + 1), height, width, channels))
        flat = g.op("Reshape", sized, g.ints(-1, height, width, channels)) if frames else sized
    planes = g.op("Cast", g.op("Transpose", flat, perm=[0, 3, 1, 2]), to=int(ir.DataType.FLOAT))
    return g.op("Div", planes, g.constant(255.0))


def refuse_relative_actions(checkpoint: Checkpoint) -> None:
    """`UnsupportedOptionError` for actions that are differences to the state."""
    if checkpoint.relative_actions is not None:
        raise UnsupportedOptionError(f"{checkpoint.source}: relative actions are for pi0 and pi0.5 only")


def check_shapes(checkpoint: Checkpoint, wanted: Iterable[tuple[str, tuple[int, ...]]]) -> None:
    """`MissingTensorError` or `TensorShapeError` for the first tensor that is not what the config says."""
    for name, shape in wanted:
        found = checkpoint.tensors.shape(name)
        if found != shape:
            raise TensorShapeError(f"{checkpoint.source}: {name} is {list(found)}, but config.json says {list(shape)}")
