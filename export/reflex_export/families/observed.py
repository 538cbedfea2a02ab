"""What ACT and Diffusion Policy ask of a checkpoint before anything is built, and how both see a raw image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import onnx_ir as ir

from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError, TensorShapeError, UnsupportedOptionError
from reflex_export.graph.graph import GraphBuilder

__all__ = ["check_shapes", "image_planes", "refuse_features", "refuse_options", "require_options"]

_STATE: Final = "observation.state"


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


def require_options(checkpoint: Checkpoint, names: Sequence[str]) -> None:
    """`CheckpointError` for the first option that config.json lacks."""
    for name in names:
        if name not in checkpoint.config:
            raise CheckpointError(f"{checkpoint.source}: config.json has no {name}; load and save it with lerobot once")


def refuse_options(checkpoint: Checkpoint, supported: Mapping[str, Sequence[object]]) -> None:
    """`UnsupportedOptionError` for the first option of config.json that has none of the supported values.

    An option that config.json leaves out has its default, which is always the first value.
    """
    for option, values in supported.items():
        value = checkpoint.config.get(option, values[0])
        if value not in values:
            wanted = " or ".join(repr(one) for one in values)
            found = f"{checkpoint.source}: config.json has {option} = {value!r}"
            raise UnsupportedOptionError(f"{found}, which cannot be exported; train with {wanted}")


def refuse_features(checkpoint: Checkpoint) -> None:
    """`UnsupportedOptionError` for what a policy observes besides cameras and the robot's state."""
    known = {_STATE, *(camera.key for camera in checkpoint.cameras)}
    for key in checkpoint.config["input_features"]:
        if key not in known:
            raise UnsupportedOptionError(f"{checkpoint.source}: the input {key} is neither a camera nor {_STATE}")
    if checkpoint.relative_actions is not None:
        raise UnsupportedOptionError(f"{checkpoint.source}: relative actions are for pi0 and pi0.5 only")


def check_shapes(checkpoint: Checkpoint, wanted: Iterable[tuple[str, tuple[int, ...]]]) -> None:
    """`MissingTensorError` or `TensorShapeError` for the first tensor that is not what the config says."""
    for name, shape in wanted:
        found = checkpoint.tensors.shape(name)
        if found != shape:
            raise TensorShapeError(f"{checkpoint.source}: {name} is {list(found)}, but config.json says {list(shape)}")
