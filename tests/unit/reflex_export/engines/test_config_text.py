from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from reflex_export.engines.config_text import (
    backend_of,
    component_names,
    max_batch_size,
    read_fields,
    with_backend,
)
from reflex_export.engines.errors import ConfigTextError

REPOSITORY = Path(__file__).parents[4] / "model_repository"
HAND_WRITTEN = """\
# our own notes: backend: "none" { [
name: 'p_denoise' # the name
optimization { cuda { graphs: false } } platform: "onnxruntime_onnx"; max_batch_size: 4
runtime: "onnxruntime"
instance_group [ { count: 2, kind: KIND_GPU } ]
model_warmup [ { name: "a } b" batch_size: 1 } ]
parameters { key: "note" value { string_value: "say \\"{\\" " "twice" } }
"""


def parsed(text: str) -> Any:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        (HAND_WRITTEN, "onnxruntime_onnx"),
        ("backend: 'tensorrt'", "tensorrt"),
        ("name: 'p' # backend: 'tensorrt'", ""),
    ],
)
def test_what_loads_a_model_is_read(text: str, backend: str) -> None:
    assert backend_of(text) == backend


def test_another_backend_changes_nothing_else() -> None:
    text = (REPOSITORY / "demo_denoise" / "config.pbtxt").read_text()

    before, after = parsed(text), parsed(with_backend(text, "tensorrt"))

    assert after.backend == "tensorrt"
    after.backend = before.backend
    assert after == before


def test_comments_and_other_settings_stay_and_what_was_the_old_backends_goes() -> None:
    changed = with_backend(HAND_WRITTEN, "tensorrt", ["optimization { cuda { graphs: true } }"])

    config = parsed(changed)
    assert config.backend == "tensorrt"
    assert (config.platform, config.runtime, len(config.model_warmup)) == ("", "", 0)
    assert config.optimization.cuda.graphs is True
    assert config.instance_group[0].count == 2
    assert config.parameters["note"].string_value == 'say "{" twice'
    assert changed.startswith('# our own notes: backend: "none" { [\n')


def test_changing_the_backend_twice_is_changing_it_once() -> None:
    blocks = ["optimization { cuda { graphs: true } }"]
    once = with_backend(HAND_WRITTEN, "tensorrt", blocks)

    assert with_backend(once, "tensorrt", blocks) == once


def test_a_config_without_a_backend_gets_one() -> None:
    assert parsed(with_backend('name: "p"\n', "tensorrt")).backend == "tensorrt"


def test_an_ensembles_components_come_in_order() -> None:
    text = (REPOSITORY / "demo" / "config.pbtxt").read_text()

    assert component_names(text) == ["demo_preprocess", "demo_encoder", "demo_denoise"]


def test_a_model_name_elsewhere_is_no_component() -> None:
    assert component_names('parameters { key: "model_name: \\"x\\"" }') == []


@pytest.mark.parametrize(("text", "size"), [("max_batch_size: 8", 8), ('name: "p"', 0), (HAND_WRITTEN, 4)])
def test_the_batch_size_is_read(text: str, size: int) -> None:
    assert max_batch_size(text) == size


@pytest.mark.parametrize("text", ["{ }", 'name: "open', "input [ { ", "name:", '"name": 1', "name: }"])
def test_what_is_no_text_format_is_refused(text: str) -> None:
    with pytest.raises(ConfigTextError):
        read_fields(text)


@given(st.text(alphabet="ab:{}[]<>,;\"'\\# \n", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        fields = read_fields(text)
    except ConfigTextError:
        return
    assert all(text[field.start : field.end].startswith(field.name) for field in fields)
