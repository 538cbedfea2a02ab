"""Checkpoints of the published sizes without their weights: every tensor has its shape, and zeros that take no memory.

Graphs of them are large enough to keep their weights outside, so that building one reads next to nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from reflex_export.checkpoint import Camera, Checkpoint, Family
from reflex_export.configs import parse_config
from reflex_export.configs.vlm import parse_vlm_config
from reflex_export.graph.graph import OnnxModel
from support.checkpoints.altered import with_tensors
from support.checkpoints.golden import golden_checkpoint, golden_folder

__all__ = ["full_size", "node_counts"]


def full_size(family: Family, **options: Any) -> Checkpoint:
    """The published base checkpoint with its three cameras; `options` are other entries of config.json."""
    published = json.loads((golden_folder("keys") / f"{family}_full.json").read_text())
    small = golden_checkpoint(family)
    assert small.text is not None
    config = published["config_json"] | options
    tensors = {name: np.broadcast_to(np.float32(0), entry["shape"]) for name, entry in published["tensors"].items()}
    vlm = published.get("vlm_config_json")
    return replace(
        with_tensors(small, tensors),
        config=parse_config(family, config),
        cameras=_cameras(config["input_features"]),
        state_dim=32,
        action_dim=32,
        state=replace(small.state, statistics={}),
        action=replace(small.action, statistics={}),
        text=replace(small.text, max_tokens=config["tokenizer_max_length"]),
        vlm_config=parse_vlm_config(vlm, "vlm/config.json") if vlm else None,
    )


def node_counts(model: OnnxModel) -> Counter[str]:
    """How often each operator stands in a graph."""
    return Counter(node.op_type for node in onnx.load_from_string(model.content).graph.node)


def _cameras(features: Mapping[str, Mapping[str, Any]]) -> tuple[Camera, ...]:
    keys = [key for key in features if key.startswith("observation.images.")]
    return tuple(Camera(key, key.rpartition(".")[2], tuple(features[key]["shape"]), False) for key in keys)
