from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reflex_export.reading.mapping import map_file, release
from reflex_export.reading.tensors import open_file
from support.checkpoints.random_checkpoint import write_safetensors

LARGE_BYTES = 32 << 20


def resident_bytes() -> int:
    """Of mapped files in this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile:"))


def test_a_released_view_takes_no_memory_and_is_still_good(tmp_path: Path) -> None:
    content = np.arange(LARGE_BYTES // 4, dtype=np.float32)
    write_safetensors(tmp_path / "f.safetensors", {"small": np.ones(3, np.float32), "large": content})
    view = open_file(tmp_path / "f.safetensors").load("large")
    assert view.sum(dtype=np.float64) > 0
    mapped = resident_bytes()

    release(view)

    assert mapped - resident_bytes() > 0.9 * LARGE_BYTES
    np.testing.assert_array_equal(view, content)


def test_releasing_a_part_leaves_the_rest_of_the_file_mapped(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(LARGE_BYTES))
    with path.open("rb") as file:
        whole = map_file(file, LARGE_BYTES)
    assert not whole.any()
    mapped = resident_bytes()

    release(whole[: LARGE_BYTES // 4])

    assert LARGE_BYTES // 5 < mapped - resident_bytes() < LARGE_BYTES // 2


@pytest.mark.parametrize("array", [np.ones(5), np.zeros(0), np.ones((4, 4)).T[1:]], ids=["memory", "empty", "strided"])
def test_an_array_that_is_no_file_is_left_alone(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    before = array.copy()

    release(array)

    np.testing.assert_array_equal(array, before)
