"""The widest FP32 islands bring every recorded case of the three VLA families into the gate, even on honest FP16."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from reflex.numerics import max_abs
from reflex_export.checking.rounding import rounding_session
from reflex_export.families.common import ARITHMETICS, Arithmetic, FamilyGraphs
from reflex_export.families.family_graphs import build_graphs
from reflex_export.graph.graph import OnnxModel
from support.checkpoints.gate import assert_meets_fp16_gate
from support.checkpoints.golden import (
    golden_case,
    golden_cases,
    golden_checkpoint,
    guidance_feeds,
    observation_feeds,
    run_graphs,
    variants_in_whole_runs,
)

Array = npt.NDArray[Any]

FOLDERS = ("smolvla", "variants/smolvla_longest", "pi0", "variants/pi0_basekeys", "pi05", "variants/pi05_basekeys")
CASES = [(name, case) for name in FOLDERS for case in golden_cases(name)]
HARDEST = ("case_2", "case_3", "case_rtc_1_exp")
FAMILIES = ("smolvla", "pi0", "pi05")
WIDEST = ARITHMETICS["fp16"][-1]


@cache
def graphs(name: str, arithmetic: Arithmetic) -> FamilyGraphs:
    steps = sorted({int(golden_case(name, case)["num_steps"]) for case in golden_cases(name)})
    return build_graphs(golden_checkpoint(name), steps, arithmetic)


@cache
def session(name: str, arithmetic: Arithmetic, role: str, steps: int = 0) -> onnxruntime.InferenceSession:
    made = graphs(name, arithmetic)
    models: dict[str, OnnxModel] = {"preprocess": made.preprocess, "encoder": made.encoder}
    return rounding_session((models[role] if role in models else made.denoise[steps]).content)


def rounded_chunk(name: str, case: str, arithmetic: Arithmetic) -> Array:
    steps, known = int(golden_case(name, case)["num_steps"]), feeds(name, case)
    roles = (session(name, arithmetic, "preprocess"), session(name, arithmetic, "encoder"))
    for one in (*roles, session(name, arithmetic, "denoise", steps)):
        names = [value.name for value in one.get_outputs()]
        answers = one.run(names, {value.name: known[value.name] for value in one.get_inputs()})
        known.update(zip(names, answers, strict=True))
    return known["actions_normalized"]


def feeds(name: str, case: str) -> dict[str, Array]:
    recorded = golden_case(name, case)
    return observation_feeds(recorded, golden_checkpoint(name)) | guidance_feeds(recorded, *recorded["noise"].shape[1:])


def types_of(model: OnnxModel) -> dict[str, int]:
    """ONNX's number of each stored weight's type, by the weight's name."""
    stored = onnx.load_from_string(model.content).graph.initializer
    return {tensor.name: tensor.data_type for tensor in stored if tensor.name.endswith("_proj.weight")}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), variants_in_whole_runs(CASES))
def test_every_case_meets_the_gate_where_every_value_is_rounded_as_on_a_gpu(name: str, case: str) -> None:
    recorded, found = golden_case(name, case)["actions_norm"], rounded_chunk(name, case, WIDEST)

    assert_meets_fp16_gate(found, recorded)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), variants_in_whole_runs(pair for pair in CASES if pair[1] in HARDEST))
def test_the_hardest_cases_meet_the_gate_as_onnx_runtime_computes_them(name: str, case: str) -> None:
    recorded = golden_case(name, case)
    out = run_graphs(graphs(name, WIDEST), int(recorded["num_steps"]), feeds(name, case))["actions_normalized"]

    assert_meets_fp16_gate(out, recorded["actions_norm"])


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_widest_islands_are_attention_and_leave_the_mlps_half(name: str) -> None:
    made = graphs(name, WIDEST)

    for model in (made.encoder, made.denoise[1]):
        types = types_of(model)
        assert {types[key] for key in types if ".mlp." in key} == {onnx.TensorProto.FLOAT16}
        assert {types[key] for key in types if ".self_attn." in key} == {onnx.TensorProto.FLOAT}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_fp16_is_tried_with_every_large_weight_half_first(name: str) -> None:
    made = graphs(name, ARITHMETICS["fp16"][0])

    for model in (made.encoder, made.denoise[1]):
        types = types_of(model)
        assert {types[key] for key in types if ".mlp." in key or ".self_attn." in key} == {onnx.TensorProto.FLOAT16}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_two_components_agree_on_the_type_of_the_cache(name: str) -> None:
    for arithmetic in ("fp32", *ARITHMETICS["fp16"]):
        made = graphs(name, arithmetic)
        given = {value.name: value.datatype for value in made.encoder.outputs}
        taken = {value.name: value.datatype for value in made.denoise[1].inputs}
        assert {key: given[key] for key in given.keys() & taken.keys()} == {
            key: taken[key] for key in given.keys() & taken.keys()
        }
        assert given["prefix_keys"] == ("FP16" if arithmetic == "fp16" else "FP32")


@pytest.mark.slow
def test_rounding_changes_an_fp16_graph_and_no_fp32_graph() -> None:
    name, case = "pi0", "case_1"
    plain = {
        arithmetic: run_graphs(graphs(name, arithmetic), 4, feeds(name, case))["actions_normalized"]
        for arithmetic in ("fp32", "fp16")
    }

    np.testing.assert_allclose(rounded_chunk(name, case, "fp32"), plain["fp32"], rtol=0, atol=1e-5)
    assert max_abs(rounded_chunk(name, case, "fp16"), plain["fp16"]) > 1e-4
