"""One graph made an engine by TensorRT for RTX: precision, shapes, targets, and what it cannot take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from integration.engine_builds import RTX, build, entries
from reflex.errors import SetupError
from reflex_export.blocks.operators import attend, rows, split, tokens
from reflex_export.engines import (
    BuildOptions,
    EngineError,
    GraphRefusedError,
    PrecisionError,
    build_engine,
)
from reflex_export.engines.promise import promised_multiplications
from reflex_export.graph.graph import GraphBuilder
from unit.reflex_export.engines.graphs import attention_block, linear, save

pytestmark = pytest.mark.slow

TOKENS, HEADS, ODD_WIDTH = 16, 4, 2
"""TensorRT for RTX has no kernel for heads of two numbers."""


def test_fp16_layers_are_proven_and_the_fp32_islands_are_known(tmp_path: Path) -> None:
    record = build(attention_block(tmp_path / "model.onnx"), tmp_path / "cache", precision="fp16")

    precision = record.manifest.precision
    assert precision.products == {"fp16": 4}
    assert precision.share_of("fp16") == 1.0
    assert precision.multiplications["fp16"] == 16 * 64 * (3 * 64 + 16 + 16 + 64)
    assert precision.layers["fp32"] >= 6  # the norm, the softmax, the residual
    assert record.manifest.plan_bytes > 10_000


def test_attention_that_no_kernel_takes_is_spelled_out_and_counted(tmp_path: Path) -> None:
    g = GraphBuilder("attention", compute="FP16")
    width = HEADS * ODD_WIDTH
    merged = tokens(g, rows(g, g.input("merged", "FP16", (TOKENS, 3 * width)), 3 * width), TOKENS, 3 * width)
    mixed = attend(g, *split(g, merged, width, width, width), heads=HEADS, kv_heads=HEADS, head_dim=ODD_WIDTH)
    g.output(mixed, "mixed", "FP16", (TOKENS, HEADS * ODD_WIDTH))
    g.build().save(tmp_path)

    record = build(tmp_path / "model.onnx", tmp_path / "cache", precision="fp16")

    wanted = {"fp16": 2 * TOKENS * TOKENS * HEADS * ODD_WIDTH}
    assert record.manifest.precision.multiplications == promised_multiplications(tmp_path / "model.onnx") == wanted


def test_an_fp32_graph_that_claims_fp16_is_refused_built_or_cached(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")

    for _ in ("built", "cached"):
        with pytest.raises(PrecisionError, match=r"100% fp32.*--precision fp16"):
            build(path, tmp_path / "cache", precision="fp16")


def test_weights_in_another_file_are_found(tmp_path: Path) -> None:
    record = build(linear(tmp_path / "model.onnx", np.float16, external=True), tmp_path / "cache")

    assert record.manifest.precision.products == {"fp16": 1}


def test_images_of_any_size_are_taken_within_the_profile(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Shape", ["image"], ["batch_size"], start=0, end=1, name="batch"),
        helper.make_node("Concat", ["batch_size", "size"], ["sizes"], axis=0, name="sizes"),
        helper.make_node("Resize", ["pixels", "", "", "sizes"], ["y"], mode="linear", name="resize"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])
    resized = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64, 64, 3])
    path = save(tmp_path / "model.onnx", nodes, [image], [resized], {"size": np.array([64, 64, 3])})

    record = build(path, tmp_path / "cache")

    assert record.manifest.profile["image"].minimum == (1, 1, 1, 3)
    assert record.manifest.profile["image"].maximum == (4, 1920, 1920, 3)


def test_a_target_makes_another_engine_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")
    portable = build(path, tmp_path / "cache")

    for_ada = build(path, tmp_path / "cache", BuildOptions("tensorrt-rtx", targets=("SM89",)))

    assert (portable.manifest.target, for_ada.manifest.target) == ("rtx-sm80-and-later", "rtx-sm89")
    assert portable.manifest.key != for_ada.manifest.key
    with pytest.raises(SetupError, match=r"SM90 is no target of tensorrt-rtx .* it has SM75, SM80, SM86"):
        build(path, tmp_path / "cache", BuildOptions("tensorrt-rtx", targets=("SM90",)))


def test_a_refused_graph_lists_every_node_in_its_own_line(tmp_path: Path) -> None:
    vector = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="determinant"),
        helper.make_node("MatMul", ["x", "half"], ["b"], name="mixed"),
        helper.make_node("Fancy", ["x"], ["y"], name="unknown", domain="com.example"),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])]
    path = save(tmp_path / "model.onnx", nodes, [vector], outputs, {"half": np.ones((8, 8), np.float16)})

    with pytest.raises(GraphRefusedError) as refused:
        build(path, tmp_path / "cache")

    first, *lines = str(refused.value).splitlines()
    assert first == f"TensorRT cannot take {path}:"
    assert lines[0] == "  node determinant (Det): this operator is not supported"
    assert any(line.startswith("  node unknown (Fancy): unknown operator") for line in lines)
    assert entries(tmp_path / "cache") == []


def test_a_type_mismatch_is_told_in_tensorrts_words(tmp_path: Path) -> None:
    vector = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])
    nodes = [helper.make_node("MatMul", ["x", "half"], ["y"], name="mixed")]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])]
    path = save(tmp_path / "model.onnx", nodes, [vector], outputs, {"half": np.ones((8, 8), np.float16)})

    with pytest.raises(
        GraphRefusedError, match=r"node mixed \(MatMul\): .*`A` is of type Float and `B` is of type Half"
    ):
        build(path, tmp_path / "cache")


def test_a_profile_for_other_inputs_is_refused(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx")

    with pytest.raises(EngineError):
        build_engine(path, {}, RTX, cache=tmp_path / "cache")
