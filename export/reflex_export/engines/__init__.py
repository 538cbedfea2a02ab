"""ONNX graphs into TensorRT engines, on the machine that will serve or, with TensorRT for RTX, on any machine."""

from reflex_export.engines.build import BuildProgress, build_engine, require_engine
from reflex_export.engines.errors import EngineError, GraphRefusedError, PrecisionError
from reflex_export.engines.onnx_file import read_onnx
from reflex_export.engines.profile import Profile, ShapeRange, profile_of
from reflex_export.engines.record import BuildOptions, EngineManifest, EngineRecord, LayerPrecision
from reflex_export.engines.repository import ComponentEngine, PolicyEngines, build_repository, build_staged
from reflex_export.engines.toolkit import Engine, installed_engine, load_toolkit

__all__ = [
    "BuildOptions",
    "BuildProgress",
    "ComponentEngine",
    "Engine",
    "EngineError",
    "EngineManifest",
    "EngineRecord",
    "GraphRefusedError",
    "LayerPrecision",
    "PolicyEngines",
    "PrecisionError",
    "Profile",
    "ShapeRange",
    "build_engine",
    "build_repository",
    "build_staged",
    "installed_engine",
    "load_toolkit",
    "profile_of",
    "read_onnx",
    "require_engine",
]
