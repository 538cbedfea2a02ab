"""What was asked of a build, and what it made. Both go into the manifest beside the plan, as JSON."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from reflex_export.engines.onnx_file import OnnxFile
from reflex_export.engines.profile import Profile
from reflex_export.engines.toolkit import Engine

__all__ = ["BuildOptions", "EngineManifest", "EngineRecord", "LayerPrecision", "build_key", "read_manifest"]

RECIPE: Final = 1
"""Raised when the builder's code changes what it makes from the same input."""
GIB: Final = 2**30


@dataclass(frozen=True)
class BuildOptions:
    """How to build. What stands here is part of the cache key."""

    engine: Engine
    workspace_bytes: int = 4 * GIB
    """Upper limit of the scratch memory that a tactic may take on the GPU."""
    allow_tf32: bool = False
    """TF32 keeps ten bits of FP32's mantissa in matrix products; an FP32 policy was compared without."""
    targets: tuple[str, ...] = ()
    """tensorrt-rtx: compute capabilities like SM89, the plan then runs on nothing else; empty: SM80 and later RTX."""
    optimization_level: int | None = None
    """0 to 5, tactics tried against build time; None is TensorRT's own choice."""


@dataclass(frozen=True)
class LayerPrecision:
    """In which types the engine computes, read layer by layer."""

    layers: Mapping[str, int]
    """Number of layers by the type of their first output."""
    products: Mapping[str, int]
    """Number of matrix products and convolutions by the type of their first input."""
    multiplications: Mapping[str, int]
    """Those products' multiplications at batch 1, by type."""
    float32_products: tuple[str, ...]
    """Names of the products that stay FP32 while others do not."""
    built_layers: Mapping[str, int] | None = None
    """Number of layers of the finished plan by output type, from the engine inspector; None without a GPU."""

    def share_of(self, datatype: str) -> float:
        """The part of all multiplications that is computed in this type, 0 to 1."""
        return self.multiplications.get(datatype, 0) / max(1, sum(self.multiplications.values()))


@dataclass(frozen=True)
class EngineManifest:
    """An engine without its place."""

    key: str
    version: str
    """Of TensorRT: nothing else can load the plan."""
    target: str
    onnx_sha256: str
    plan_sha256: str
    plan_bytes: int
    build_s: float
    options: BuildOptions
    profile: Profile
    precision: LayerPrecision

    def to_json(self) -> bytes:
        return TypeAdapter(EngineManifest).dump_json(self, indent=2) + b"\n"


@dataclass(frozen=True)
class EngineRecord:
    """A built engine; `cached` when nothing had to be built for it."""

    plan: Path
    manifest: EngineManifest
    cached: bool


def read_manifest(content: bytes) -> EngineManifest:
    """Parse `EngineManifest.to_json`; `ValueError` for anything else."""
    return TypeAdapter(EngineManifest).validate_json(content)


def build_key(graph: OnnxFile, version: str, target: str, profile: Profile, options: BuildOptions) -> str:
    """The cache key: equal when a build would give an engine that does the same, on the same kind of machine."""
    parts = {
        "recipe": RECIPE,
        "onnx": graph.sha256,
        "version": version,
        "target": target,
        "system": [platform.system(), platform.machine()],
        "profile": {name: asdict(shapes) for name, shapes in profile.items()},
        "options": asdict(options),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
