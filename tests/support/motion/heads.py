"""Correction heads for tests: of any size, and for any policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reflex.correction.description import HeadDescription, TrainingRecord
from reflex.correction.files import weights_hash, write_head
from reflex.correction.head import CorrectionHead, layer_sizes

__all__ = ["head_for", "record", "written"]

Arrays = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def record(axes: int, removed: float = 0.8) -> TrainingRecord:
    return TrainingRecord(
        episodes=10, samples=900, held_out_samples=100, epochs=5, seed=0, error_before=(0.1,) * axes,
        error_after=(0.02,) * axes, error_removed=removed,
    )  # fmt: skip


def head_for(
    state_dim: int = 3, action_names: tuple[str, ...] = ("x", "y"), *, constant: float | None = None, **changes: Any
) -> CorrectionHead:
    """Random weights, or a head that says `constant` on every axis, whatever it sees; `changes` of its description."""
    axes, random = len(action_names), np.random.default_rng(3)
    tensors: Arrays = {}
    for name in ("state", "action"):
        size = state_dim if name == "state" else axes
        tensors |= {f"{name}.mean": np.zeros(size, np.float32), f"{name}.scale": np.ones(size, np.float32)}
    tensors["residual.scale"] = np.ones(axes, np.float32)
    for number, (inputs, outputs) in enumerate(layer_sizes(state_dim, axes, (8,))):
        weights = random.normal(0, 0.3, (inputs, outputs)).astype(np.float32)
        tensors[f"layers.{number}.weight"] = weights if constant is None else np.zeros_like(weights)
        tensors[f"layers.{number}.bias"] = np.full(outputs, constant or 0.0, np.float32)
    told: dict[str, Any] = {
        "schema_version": 1, "kind": "a2c2", "weights_hash": weights_hash(tensors), "policy_id": "demo",
        "policy_hash": "sha256:demo", "state_dim": state_dim, "action_names": action_names, "control_hz": 20.0,
        "hidden": (8,), "max_lead_steps": 10, "max_age_steps": 10, "largest": (10.0,) * axes,
        "training": record(axes), **changes,
    }  # fmt: skip
    return CorrectionHead(HeadDescription(**told), tensors)


def written(folder: Path, head: CorrectionHead) -> Path:
    path = folder / "head.safetensors"
    write_head(path, head)
    return path
