"""TensorRT for RTX takes the FP16 graphs of every VLA family, and multiplies in FP16. No GPU needed."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from reflex_export.engines import BuildOptions, build_engine, profile_of, read_onnx
from support.golden import golden_checkpoint

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None and importlib.util.find_spec("tensorrt_rtx") is None,
    reason="TensorRT for RTX is not installed: pip install 'reflex-act[tensorrt]'",
)
STEPS = 2
"""Unrolled; the other steps are the same layers again."""


@pytest.mark.parametrize("component", ["encoder", "denoise"])
@pytest.mark.parametrize("name", ["smolvla", "pi0", "pi05"])
def test_the_engine_of_a_family_multiplies_in_fp16(name: str, component: str, tmp_path: Path) -> None:
    family = importlib.import_module(f"reflex_export.families.{name}")
    graphs = family.build(golden_checkpoint(name), steps=(STEPS,), precision="fp16")
    model = graphs.encoder if component == "encoder" else graphs.denoise[STEPS]
    model.save(tmp_path)
    path = tmp_path / "model.onnx"
    profile = profile_of(read_onnx(path).inputs, max_batch=2)

    record = build_engine(path, profile, BuildOptions("tensorrt-rtx"), cache=tmp_path / "cache", precision="fp16")

    assert record.plan.stat().st_size > 0
    assert record.manifest.precision.share_of("fp16") > 0.85
