"""TensorRT for RTX takes the FP16 graphs of every VLA family, and multiplies in FP16. No GPU needed."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from reflex.export_options import ExportOptions
from reflex_export.engines import BuildOptions, build_engine, profile_of, read_onnx
from reflex_export.engines.promise import promised_multiplications
from reflex_export.exporting.pipeline import export_checkpoint
from support.checkpoints.golden import golden_checkpoint, golden_folder

STEPS = 2
"""Unrolled; the other steps are the same layers again."""
IN_FP32 = {"encoder": 2, "denoise": 2 * STEPS + 2}
"""Products at most: patches and state; the actions' way in and out in each step, and what is known before the first."""


GRAPHS = [(name, component) for name in ("smolvla", "pi0", "pi05") for component in ("encoder", "denoise")]
QUICK = ("pi05", "denoise")
"""In `make test`; `make whole-runs` builds them all."""


@pytest.mark.parametrize(
    ("name", "component"),
    [pytest.param(*graph, marks=() if graph == QUICK else pytest.mark.slow, id="-".join(graph)) for graph in GRAPHS],
)
def test_the_engine_of_a_family_multiplies_in_fp16(name: str, component: str, tmp_path: Path) -> None:
    family = importlib.import_module(f"reflex_export.families.{name}")
    graphs = family.build(golden_checkpoint(name), steps=(STEPS,), precision="fp16")
    model = graphs.encoder if component == "encoder" else graphs.denoise[STEPS]
    model.save(tmp_path)
    path = tmp_path / "model.onnx"
    profile = profile_of(read_onnx(path).inputs, max_batch=2)

    record = build_engine(path, profile, BuildOptions("tensorrt-rtx"), cache=tmp_path / "cache", precision="fp16")

    assert record.plan.stat().st_size > 0
    promised, found = promised_multiplications(path), record.manifest.precision
    assert found.share_of("fp16") == pytest.approx(promised["fp16"] / sum(promised.values()), abs=0.01)
    assert found.products["fp16"] > found.products["fp32"]
    assert found.products["fp32"] <= IN_FP32[component]


@pytest.mark.slow
def test_a_policy_that_keeps_attention_in_fp32_gets_engines_with_the_share_that_its_graphs_ask_for(
    tmp_path: Path,
) -> None:
    """The recorded SmolVLA misses the gate of plain FP16 with one step."""
    options = ExportOptions(
        tmp_path / "models",
        "arm",
        "so101",
        precision="fp16",
        engine="tensorrt-rtx",
        engine_cache=tmp_path / "cache",
        steps=(1,),
        cases=golden_folder("smolvla"),
    )

    report = export_checkpoint(golden_checkpoint("smolvla"), options)

    assert (report.policies[0].parity or {})["arithmetic"] == "fp16_mlp"
    (engines,) = report.engines
    for component in engines.components:
        promised = promised_multiplications(component.plan.parent / "model.onnx")
        share = promised["fp16"] / sum(promised.values())
        assert 0.1 < share < 0.85
        assert component.record.manifest.precision.share_of("fp16") == pytest.approx(share, abs=0.01)
