from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex_frontend.embedded import fusion
from reflex_frontend.embedded.fusion import FusedModel, fuse, read_models

PART = """
backend: "onnxruntime" max_batch_size: 8
input [{{ name: "{reads}" data_type: TYPE_FP32 dims: [4] }}]
output [{{ name: "{gives}" data_type: TYPE_FP32 dims: [4] }}]
"""
WHOLE = """
platform: "ensemble" max_batch_size: 1
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
ensemble_scheduling { step [
  { model_name: "one" model_version: -1 input_map { key: "a" value: "x" } output_map { key: "b" value: "h" } },
  { model_name: "two" model_version: 1 input_map { key: "c" value: "h" } output_map { key: "d" value: "y" } }
] }
parameters { key: "reflex_export_id" value { string_value: "e" } }
"""
ONE, TWO = PART.format(reads="a", gives="b"), PART.format(reads="c", gives="d")


def write(repository: Path, model: str, config: str, *versions: str) -> None:
    for version in versions or ("1",):
        (repository / model / version).mkdir(parents=True, exist_ok=True)
    (repository / model / "config.pbtxt").write_text(config)


def fused(repository: Path) -> dict[str, FusedModel]:
    return fuse(repository, read_models(repository))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write(tmp_path, "whole", WHOLE)
    write(tmp_path, "one", ONE + 'parameters { key: "intra_op_thread_count" value { string_value: "1" } }', "1", "10")
    write(tmp_path, "two", TWO + "dynamic_batching { max_queue_delay_microseconds: 50 }")
    write(tmp_path, "broken", "{")
    return tmp_path


def test_an_ensemble_of_onnx_models_is_one_model_of_its_name_inputs_outputs_and_parameters(repository: Path) -> None:
    (model,) = fused(repository).values()
    config = text_format.Parse(model.config, model_config_pb2.ModelConfig())
    whole = read_models(repository)["whole"]
    assert (model.name, model.version, model.components) == ("whole", "1", ("one", "two"))
    assert (config.name, config.backend, config.max_batch_size) == ("whole", "onnxruntime", 8)
    assert list(config.input) == list(whole.input)
    assert list(config.output) == list(whole.output)
    assert config.parameters == whole.parameters
    assert config.dynamic_batching.max_queue_delay_microseconds == 50


def test_its_process_is_told_of_every_step(repository: Path) -> None:
    told = json.loads(fused(repository)["whole"].steps)
    first, second = told["steps"]
    assert told["ensemble"] == "whole"
    assert first["folder"] == str(repository / "one" / "10"), "the newest version"
    assert second["folder"] == str(repository / "two" / "1")
    assert (first["inputs"], first["outputs"], first["batches"]) == ({"a": "x"}, {"b": "h"}, False)
    assert second["batches"]
    assert first["config"]["parameters"]["intra_op_thread_count"] == {"string_value": "1"}


def test_another_graph_file_is_another_model(repository: Path) -> None:
    before = fused(repository)["whole"]
    (repository / "two" / "1" / "model.onnx").write_bytes(b"graph")
    assert fused(repository)["whole"] != before


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("one", ONE.replace("onnxruntime", "python")),
        ("one", ONE + "model_warmup { name: 'w' }"),
        ("one", ONE + "instance_group { count: 3 kind: KIND_CPU }"),
        ("one", ONE + "dynamic_batching { preferred_batch_size: 4 }"),
        ("one", ONE.replace("max_batch_size: 8", "max_batch_size: 0")),
        ("one", ONE.replace("dims: [4]", "dims: [4] reshape { shape: [2, 2] }")),
        ("one", ONE.replace('"b" data_type: TYPE_FP32', '"b" data_type: TYPE_FP16')),
        ("one", ONE.replace('name: "b"', 'name: "renamed"')),
        ("one", ONE + 'input [{ name: "more" data_type: TYPE_FP32 dims: [4] }]'),
        ("two", TWO.replace("dims: [4]", "dims: [5]")),
        ("two", "{"),
        ("whole", WHOLE + "model_warmup { name: 'w' }"),
        ("whole", WHOLE.replace('value: "h" } output_map { key: "d"', 'value: "nowhere" } output_map { key: "d"')),
        ("whole", WHOLE.replace('{ key: "d" value: "y" }', '{ key: "d" value: "z" }')),
        ("whole", WHOLE.replace('{ key: "b" value: "h" }', '{ key: "b" value: "x" }')),
        ("whole", WHOLE.replace('"two"', '"nobody"')),
        ("twin", WHOLE),
    ],
)
def test_what_is_not_understood_or_shared_stays_an_ensemble(repository: Path, model: str, config: str) -> None:
    write(repository, model, config)
    assert not fused(repository)


def test_an_input_that_may_be_absent_need_not_be_mapped(repository: Path) -> None:
    write(repository, "one", ONE + 'input [{ name: "more" data_type: TYPE_FP32 dims: [4] optional: true }]')
    assert fused(repository)


def test_a_model_without_a_version_is_left_to_triton(repository: Path) -> None:
    for version in ("1", "10"):
        (repository / "one" / version).rmdir()
    assert not fused(repository)


UNREADABLE = "x" * 300
"""As the end of a link: no system looks at a name that long, whoever asks."""


@pytest.mark.parametrize("where", ["odd", "one/11"])
def test_what_cannot_be_looked_at_hinders_nothing_else(repository: Path, where: str) -> None:
    write(repository, "third", WHOLE.replace('"one"', '"fourth"').replace('"two"', '"fifth"'))
    write(repository, "fourth", ONE)
    write(repository, "fifth", TWO)
    (repository / where).symlink_to(UNREADABLE)
    assert fused(repository).keys() == ({"third"} if "/" in where else {"third", "whole"})


def test_a_file_that_goes_while_it_is_looked_at_leaves_its_ensemble_as_it_is(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion, "_files", lambda folder: [folder / "replaced"])
    assert not fused(repository)


def test_a_repository_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        read_models(tmp_path / "gone")
