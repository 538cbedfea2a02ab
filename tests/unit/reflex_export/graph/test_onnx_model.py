"""Large models: weights that go to the data file piece by piece."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from reflex.model_repository import MODEL_FILE
from reflex_export.errors import CheckpointError
from reflex_export.graph.float16 import HalfConverter
from reflex_export.graph.graph import GraphBuilder
from reflex_export.graph.onnx_model import DATA_FILE, OnnxModel, StoredPart, StoredTensor
from reflex_export.reading.tensors import open_file
from support.checkpoints.random_checkpoint import write_safetensors
from support.leftovers import leaves_no_thread

ROWS, WIDTH = 17_001, 2_048
"""66 MiB of float16, more than one file holds, and no multiple of a piece."""


def half_model(folder: Path, content: Any) -> OnnxModel:
    write_safetensors(folder / "w.safetensors", {"pad": np.zeros(3, np.float32), "w": content, "b": content[0].copy()})
    g = GraphBuilder("large", open_file(folder / "w.safetensors"), compute="FP16")
    g.input("x", "FP32", (1,))
    g.output(g.op("Mul", g.weight("w"), g.weight("b")), "y", "FP16", (WIDTH,))
    return g.build()


@functools.cache
def random() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    array = np.random.Generator(np.random.SFC64(0)).standard_normal((ROWS, WIDTH), np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.slow
@pytest.mark.parametrize("stored", [np.float32, ml_dtypes.bfloat16, np.float16])
def test_the_data_file_holds_every_weight_as_float16_and_its_hash_is_that_of_the_files(
    tmp_path: Path, stored: npt.DTypeLike
) -> None:
    content = random().astype(stored)
    model = half_model(tmp_path, content)
    seen = hashlib.sha256()

    model.save(tmp_path, seen.update)

    written = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / MODEL_FILE).graph.initializer
    }
    expected = content.astype(np.float32).astype(np.float16)
    assert np.array_equal(written["w"], expected)
    assert np.array_equal(written["b"], expected[0])
    files = (tmp_path / MODEL_FILE).read_bytes() + (tmp_path / DATA_FILE).read_bytes()
    assert seen.hexdigest() == hashlib.sha256(files).hexdigest()
    assert (tmp_path / DATA_FILE).stat().st_size == model.data_bytes


@pytest.mark.slow
def test_a_weight_beyond_float16_is_refused_by_name_and_leaves_no_thread(tmp_path: Path) -> None:
    content = random().copy()
    content[-1, -1] = 1e6

    refused = pytest.raises(CheckpointError, match=r"w has values beyond float16's range.*--precision fp32")
    with leaves_no_thread(), refused:
        half_model(tmp_path, content).save(tmp_path)


@pytest.mark.slow
def test_who_cannot_take_the_bytes_stops_the_writing(tmp_path: Path) -> None:
    model = half_model(tmp_path, random())

    def full(_piece: memoryview) -> None:
        raise OSError(28, "No space left on device")

    with leaves_no_thread(), pytest.raises(OSError, match="No space left"):
        model.save(tmp_path, full)


def test_writing_needs_no_more_memory_for_a_larger_tensor(tmp_path: Path) -> None:
    """136 MB of float32 pass through; a few pieces of 8 MB are there at once."""
    model = half_model(tmp_path, random())
    peak = _peak_bytes_of(lambda: model.save(tmp_path))

    assert peak < 80 << 20


def _peak_bytes_of(work: Callable[[], object]) -> int:
    """How far the resident memory of this process rises."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    work()
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def merged(*parts: StoredPart) -> StoredTensor:
    return StoredTensor("merged", ir.DataType.FLOAT16, parts)


def test_a_merged_weight_is_its_parts_one_after_the_other_each_with_its_factor() -> None:
    upper, lower = random()[:3], random()[3:5].astype(ml_dtypes.bfloat16)
    weight = merged(
        StoredPart("upper", upper.shape, lambda: upper), StoredPart("lower", lower.shape, lambda: lower, 2.0**-4)
    )

    written = weight.content(HalfConverter()).numpy()

    assert (weight.shape, weight.nbytes) == ((5, WIDTH), 5 * WIDTH * 2)
    expected = np.concatenate([upper, lower.astype(np.float32) / 16]).astype(np.float16)
    assert np.array_equal(written, expected)


def test_a_part_of_another_shape_is_refused_by_its_own_name() -> None:
    weight = merged(StoredPart("upper", (3, WIDTH), lambda: random()[:2]))

    with pytest.raises(CheckpointError, match=r"upper has the shape \(2, 2048\), expected \(3, 2048\)"):
        weight.content(HalfConverter())
