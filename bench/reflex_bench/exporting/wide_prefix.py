"""Stand-ins for full-size policies: their models do no work, but the prefix between them has its real size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex.model_repository import TRITON_CONFIG_FILE, VERSION_FOLDER
from reflex_export.graph.graph import GraphBuilder, OnnxModel
from reflex_export.publishing.triton_config import Component, component_config, ensemble_config
from reflex_frontend.triton.gateway import RawTensor
from reflex_frontend.triton.stages import Stages, read_stages

__all__ = ["FULL_SIZES", "wide_inputs", "write_wide_policy"]

FULL_SIZES: Final[Mapping[str, tuple[int, int, int]]] = {
    "smolvla": (16, 3 * 64 + 48 + 1, 320),
    "pi0": (18, 3 * 256 + 48, 256),
    "pi05": (18, 3 * 256 + 200, 256),
}
"""Of the published checkpoints with three cameras: layers, tokens, and what a token's keys are wide."""
PIXELS: Final = (224, 224, 3)


def write_wide_policy(repository: Path, name: str, shape: tuple[int, int, int], *, half: bool) -> Stages:
    """A policy whose keys, and values, are of `shape`, in FP16 or FP32."""
    models = {"preprocess": _preprocess(), "encoder": _encoder(shape, half=half), "denoise": _denoise(shape, half=half)}
    components = [Component(role, model.inputs, model.outputs, 2) for role, model in models.items()]
    texts = {name: ensemble_config(name, components, name)}
    texts |= {f"{name}_{one.role}": component_config(f"{name}_{one.role}", one, name) for one in components}
    parsed = {}
    for model, text in texts.items():
        (repository / model / VERSION_FOLDER).mkdir(parents=True)
        (repository / model / TRITON_CONFIG_FILE).write_text(text, encoding="utf-8")
        parsed[model] = text_format.Parse(text, model_config_pb2.ModelConfig())
    for role, graph in models.items():
        graph.save(repository / f"{name}_{role}" / VERSION_FOLDER, lambda _piece: None)
    stages = read_stages(parsed.pop(name), parsed)
    assert stages is not None
    return stages


def wide_inputs() -> list[RawTensor]:
    """One observation, and the noise."""
    noise = np.random.RandomState(0).standard_normal((1, 50, 7)).astype(np.float32)
    pixels = np.full((1, *PIXELS), 7, np.uint8)
    return [
        RawTensor("image.image", "UINT8", pixels.shape, pixels.tobytes()),
        RawTensor("noise", "FP32", noise.shape, noise.tobytes()),
    ]


def _preprocess() -> OnnxModel:
    g = GraphBuilder("preprocess")
    pixels = g.input("image.image", "UINT8", PIXELS)
    corner = g.op("Slice", pixels, g.ints(0, 0, 0), g.ints(1, 1, 1), g.ints(1, 2, 3))
    g.output(g.op("Reshape", g.op("Cast", corner, to=1), g.ints(-1, 1)), "pixels.image", "FP32", (1,))
    return g.build()


def _encoder(shape: tuple[int, int, int], *, half: bool) -> OnnxModel:
    """Every key and value is the picture's first one."""
    g = GraphBuilder("encoder")
    pixel = g.op("Reshape", g.input("pixels.image", "FP32", (1,)), g.ints(-1, 1, 1, 1))
    whole = g.op("Expand", g.op("Cast", pixel, to=10 if half else 1), g.ints(1, *shape))
    for name in ("prefix_keys", "prefix_values"):
        g.output(g.op("Identity", whole), name, "FP16" if half else "FP32", shape)
    return g.build()


def _denoise(shape: tuple[int, int, int], *, half: bool) -> OnnxModel:
    """The noise, moved by the first key and the last value."""
    g = GraphBuilder("denoise")
    keys, values = (g.input(name, "FP16" if half else "FP32", shape) for name in ("prefix_keys", "prefix_values"))
    noise = g.input("noise", "FP32", (50, 7))
    last = [size - 1 for size in shape]
    first_key = g.op("Slice", keys, g.ints(0, 0, 0), g.ints(1, 1, 1), g.ints(1, 2, 3))
    last_value = g.op("Slice", values, g.ints(*last), g.ints(*shape), g.ints(1, 2, 3))
    moved = g.op("Reshape", g.op("Cast", g.op("Add", first_key, last_value), to=1), g.ints(-1, 1, 1))
    g.output(g.op("Add", noise, moved), "actions", "FP32", (50, 7))
    return g.build()
