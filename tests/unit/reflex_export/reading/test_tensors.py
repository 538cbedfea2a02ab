from __future__ import annotations

import resource
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from reflex_export.errors import CheckpointError, MissingTensorError, SourceError, TensorFileError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.tensors import WEIGHTS_FILE, open_file, open_weights
from support.checkpoints.golden import golden_folder
from support.checkpoints.random_checkpoint import write_safetensors
from unit.reflex_export.reading.damage import CopyCheckpoint, edit_tensors

A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.arange(5).astype(ml_dtypes.bfloat16)
PICKLED_LIST = b"](K\x01K\x02e."
INDEX = "model.safetensors.index.json"


def write_index(folder: Path, weight_map: str) -> None:
    (folder / INDEX).write_text(f'{{"weight_map": {weight_map}}}')


def test_tensors_come_back_in_their_stored_type(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {
        "odd": np.array([1], np.float16),
        "a": A,
        "b": B,
        "scalar": np.array(7, np.int64),
        "empty": np.zeros((0, 4), np.float32),
    }
    write_safetensors(tmp_path / "model.safetensors", tensors)
    source = open_weights(tmp_path)
    assert source.names() == frozenset(tensors)
    for name, tensor in tensors.items():
        assert source.load(name).dtype == tensor.dtype
        assert source.shape(name) == tensor.shape
        np.testing.assert_array_equal(source.load(name), tensor)
    assert (source.dtype("b"), source.stored_bytes("b")) == ("BF16", 10)


def test_a_view_cannot_be_written(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "f.safetensors", {"a": A})
    with pytest.raises(ValueError, match="read-only"):
        open_file(tmp_path / "f.safetensors").load("a")[0, 0] = 1


def test_a_view_outlives_its_source(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "f.safetensors", {"a": A})
    view = open_file(tmp_path / "f.safetensors").load("a")
    np.testing.assert_array_equal(view, A)


@pytest.mark.slow
def test_opening_a_large_file_reads_only_its_header(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "f.safetensors", {"large": np.zeros(64 * 2**20, np.float32)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = open_file(tmp_path / "f.safetensors")
    assert source.load("large")[:10].sum() == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 2**10


def test_a_missing_tensor_is_named_with_its_nearest(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "f.safetensors", {"model.norm.weight": A})
    with pytest.raises(MissingTensorError, match=r"no tensor model\.norm\.bias; the nearest name there is model\.norm"):
        open_file(tmp_path / "f.safetensors").load("model.norm.bias")


@pytest.mark.parametrize("kept", [0, 5, 8, 40, 150, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"a": A, "b": B})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TensorFileError, match=r"model\.safetensors is no sound safetensors file.*Fetch it again"):
        open_weights(tmp_path)


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "one.safetensors", {"a": A})
    write_safetensors(tmp_path / "two.safetensors", {"b": B})
    write_index(tmp_path, '{"a": "one.safetensors", "b": "two.safetensors"}')
    np.testing.assert_array_equal(open_weights(tmp_path).load("b"), B)
    np.testing.assert_array_equal(open_weights(tmp_path).load("a"), A)


@pytest.mark.parametrize(
    "shard",
    ["../one.safetensors", "/etc/one.safetensors", "sub/one.safetensors", "..", "a\\\\one.safetensors", "one.bin", ""],
)
def test_a_shard_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, shard: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    write_safetensors(tmp_path / "one.safetensors", {"a": A})
    write_index(inside, f'{{"a": "{shard}"}}')
    with pytest.raises(CheckpointError, match=r"no plain .* name inside the checkpoint's folder"):
        open_weights(inside)


@pytest.mark.parametrize("weight_map", ["[]", "null", '{"a": 1}', "3"])
def test_an_index_that_maps_nothing_to_files_is_refused(tmp_path: Path, weight_map: str) -> None:
    write_index(tmp_path, weight_map)
    with pytest.raises(TensorFileError, match="weight_map must map"):
        open_weights(tmp_path)


def test_an_absent_shard_is_named(tmp_path: Path) -> None:
    write_index(tmp_path, '{"a": "one.safetensors"}')
    with pytest.raises(SourceError, match=r"one\.safetensors is missing, though .*index.json names it"):
        open_weights(tmp_path)


def test_a_shard_without_its_tensor_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "one.safetensors", {"a": A})
    write_index(tmp_path, '{"a": "one.safetensors", "b": "one.safetensors"}')
    with pytest.raises(MissingTensorError, match="lacks b, which"):
        open_weights(tmp_path)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "one.safetensors", {"a": A})
    write_safetensors(tmp_path / "two.safetensors", {"a": A, "b": B})
    write_index(tmp_path, '{"a": "one.safetensors", "b": "two.safetensors"}')
    with pytest.raises(TensorFileError, match="a lies in another shard as well"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "policy.ckpt", "model.pkl"])
def test_pickled_weights_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02" + PICKLED_LIST)
    with pytest.raises(TensorFileError, match=rf"{name}: pickled weights are never read"):
        open_weights(tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_that_calls_itself_safetensors_is_refused_as_a_pickle(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes([0x80, protocol]) + PICKLED_LIST)
    with pytest.raises(TensorFileError, match="pickled weights are never read"):
        open_weights(tmp_path)


def test_a_torch_archive_that_calls_itself_safetensors_is_refused_as_a_pickle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + PICKLED_LIST)
    with pytest.raises(TensorFileError, match="pickled weights are never read"):
        open_weights(tmp_path)


def test_a_folder_without_weights_says_which_are_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        open_weights(tmp_path)


@pytest.mark.parametrize("wrapping", ["_orig_mod.", "module.", "module._orig_mod."])
def test_what_a_wrapper_put_before_every_name_is_left_out_and_told(copy: CopyCheckpoint, wrapping: str) -> None:
    folder, plain = copy("act"), read_checkpoint(golden_folder("act"))
    edit_tensors(folder / WEIGHTS_FILE, lambda tensors: wrap(tensors, wrapping))
    checkpoint = read_checkpoint(folder)
    assert checkpoint.tensors.names() == plain.tensors.names()
    assert checkpoint.warnings[0].startswith(f"every tensor's name begins with {wrapping}, ")


def test_names_of_which_only_some_are_wrapped_are_left_as_they_are(copy: CopyCheckpoint) -> None:
    folder = copy("act")
    edit_tensors(folder / WEIGHTS_FILE, lambda tensors: tensors.update({"module.x": tensors["model.action_head.bias"]}))
    assert "module.x" in read_checkpoint(folder).tensors.names()


def wrap(tensors: dict[str, Any], wrapping: str) -> None:
    for name in list(tensors):
        tensors[wrapping + name] = tensors.pop(name)
