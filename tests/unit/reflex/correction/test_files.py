from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.correction.files import read_head
from reflex.correction.tensors import tensors_from_bytes, tensors_to_bytes
from reflex.errors import SetupError
from support.motion.heads import head_for, written


def test_a_head_that_is_written_and_read_is_the_same_by_either_name(tmp_path: Path) -> None:
    head = head_for()
    path = written(tmp_path, head)

    for name in (path, path.with_suffix(".json")):
        again = read_head(name)
        assert again.description == head.description
        assert all(np.array_equal(again.tensors[key], tensor) for key, tensor in head.tensors.items())


def test_files_of_two_heads_are_not_taken_for_one(tmp_path: Path) -> None:
    path = written(tmp_path, head_for())
    kept = path.read_bytes()
    written(tmp_path, head_for(constant=1.0))
    path.write_bytes(kept)

    with pytest.raises(SetupError, match="copy both files of one head"):
        read_head(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"kind": "lora"}, "kind"),
        ({"hidden": []}, "hidden"),
        ({"largest": [1.0]}, "each of the 2 axes"),
        ({"control_hz": 0}, "control_hz"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_description_that_cannot_be_true_is_refused_by_its_field(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = written(tmp_path, head_for()).with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    with pytest.raises(SetupError, match=said):
        read_head(path)


def test_a_missing_file_and_a_wrong_name_say_what_a_head_is(tmp_path: Path) -> None:
    path = written(tmp_path, head_for())
    path.unlink()
    with pytest.raises(SetupError, match="reflex train a2c2"):
        read_head(path)
    with pytest.raises(SetupError, match=r"head\.safetensors"):
        read_head(tmp_path / "head.onnx")


def _file(header: object, numbers: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def _one(**changes: Any) -> bytes:
    return _file({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}, b"\0" * 8)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        _file(b"{"),
        _file([]),
        _file({"x": 1}),
        _one(dtype="F16"),
        _one(shape=[3]),
        _one(shape=[-2]),
        _one(shape=["2"]),
        _one(data_offsets=[0, 16], shape=[4]),
        _one(data_offsets=[8, 0]),
        _one(data_offsets=[0]),
        _file({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, np.float32(np.nan).tobytes()),
        _file(b"[" * 60_000),
    ],
)
def test_bytes_that_are_no_tensors_are_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        tensors_from_bytes(content)


def test_tensors_keep_their_numbers_and_metadata_is_passed_over() -> None:
    tensors = {"b": np.array([[1.5, -2.0]], np.float32), "a": np.array([3.0], np.float32)}
    again = tensors_from_bytes(tensors_to_bytes(tensors))

    assert again.keys() == tensors.keys()
    assert all(np.array_equal(again[name], tensor) for name, tensor in tensors.items())
    assert tensors_from_bytes(_file({"__metadata__": {"format": "pt"}})) == {}
