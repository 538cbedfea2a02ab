from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from reflex.model_repository import model_file
from reflex_export.engines.errors import EngineError
from reflex_export.engines.onnx_file import GraphInput, read_onnx
from reflex_export.engines.profile import ShapeRange, profile_of
from reflex_export.engines.record import BuildOptions, build_key
from unit.reflex_export.engines.graphs import linear, save

DEMO = Path(__file__).parents[4] / "model_repository"


def test_inputs_have_tritons_types_and_the_batch_axis() -> None:
    inputs = read_onnx(model_file(DEMO, "demo_encoder")).inputs

    assert inputs[0] == GraphInput("pixels.image", "FP32", (-1, 3, 64, 64))
    assert {tensor.name: tensor.datatype for tensor in inputs} == {
        "pixels.image": "FP32", "camera_mask": "BOOL", "state": "FP32", "tokens": "INT64", "token_mask": "BOOL",
    }  # fmt: skip


def test_a_dynamic_first_axis_is_the_batch_and_another_an_images_side() -> None:
    inputs = read_onnx(model_file(DEMO, "demo_preprocess")).inputs

    profile = profile_of(inputs, max_batch=4, best_batch=2, image_side_px=(1, 480, 1080))

    assert profile == {"image.image": ShapeRange((1, 1, 1, 3), (2, 480, 480, 3), (4, 1080, 1080, 3))}


def test_the_best_batch_is_never_above_the_greatest() -> None:
    profile = profile_of((GraphInput("x", "FP32", (-1, 2)),), max_batch=2, best_batch=8)

    assert profile["x"].optimum == (2, 2)


def test_a_profile_that_falls_is_refused() -> None:
    with pytest.raises(EngineError, match="must rise"):
        ShapeRange((2,), (1,), (4,))


def test_other_weights_are_another_content(tmp_path: Path) -> None:
    first = read_onnx(linear(tmp_path / "model.onnx", seed=0)).sha256
    second = read_onnx(linear(tmp_path / "model.onnx", seed=1)).sha256

    assert first != second


def test_weights_in_another_file_count_too(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx", external=True)
    before = read_onnx(path).sha256
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(weights)

    assert read_onnx(path).sha256 != before


def test_the_same_files_elsewhere_are_the_same_content(tmp_path: Path) -> None:
    hashes = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        hashes.add(read_onnx(linear(tmp_path / name / "model.onnx", external=True)).sha256)

    assert len(hashes) == 1


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = linear(tmp_path / "model.onnx", external=True)
    (tmp_path / "weights.bin").unlink()

    with pytest.raises(EngineError, match=r"weights\.bin, weights of .*model\.onnx, cannot be read"):
        read_onnx(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    path = linear(tmp_path / "model.onnx", external=True)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())

    with pytest.raises(EngineError, match="outside its own folder"):
        read_onnx(path)


@pytest.mark.parametrize("content", [b"", b"hello world", b"\xff" * 100])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)

    with pytest.raises(EngineError, match="no ONNX file"):
        read_onnx(tmp_path / "model.onnx")


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        read_onnx(tmp_path / "model.onnx")


def test_an_input_type_that_no_engine_takes_is_named(tmp_path: Path) -> None:
    path = save(
        tmp_path / "model.onnx",
        [helper.make_node("Identity", ["text"], ["y"])],
        [helper.make_tensor_value_info("text", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [1])],
        {},
    )

    with pytest.raises(EngineError, match="input text has the type STRING"):
        read_onnx(path)


def test_everything_that_changes_an_engine_changes_its_key(tmp_path: Path) -> None:
    graph = read_onnx(linear(tmp_path / "model.onnx", np.float16))
    profile = profile_of(graph.inputs, max_batch=4)
    options = BuildOptions("tensorrt")
    key = build_key(graph, "10.16", "sm89/NVIDIA L4", profile, options)

    others = {
        build_key(graph, "11.0", "sm89/NVIDIA L4", profile, options),
        build_key(graph, "10.16", "sm90/NVIDIA H100", profile, options),
        build_key(graph, "10.16", "sm89/NVIDIA L4", profile_of(graph.inputs, max_batch=8), options),
        build_key(graph, "10.16", "sm89/NVIDIA L4", profile, BuildOptions("tensorrt", allow_tf32=True)),
        build_key(graph, "10.16", "sm89/NVIDIA L4", profile, BuildOptions("tensorrt", workspace_bytes=1)),
    }

    assert len(others | {key}) == 6
    assert build_key(graph, "10.16", "sm89/NVIDIA L4", profile, options) == key
