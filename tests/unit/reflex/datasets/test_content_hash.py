"""The hash of a dataset: of its content alone, of all of it, read once and in pieces."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from reflex.datasets.content_hash import CONTENT_HASH, PIECE_BYTES, content_hash
from reflex.errors import SetupError

FILES = {
    "meta/info.json": b"{}",
    "data/chunk-000/file-000.parquet": b"d" * (2 * PIECE_BYTES + 1),
    "videos/observation.images.top/chunk-000/file-000.mp4": b"v",
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "cubes"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_it_is_the_hash_of_names_sizes_and_contents_in_their_order(dataset: Path) -> None:
    lines = [f"{hashlib.sha256(FILES[name]).hexdigest()} {len(FILES[name])} {name}\n" for name in sorted(FILES)]
    found = content_hash(dataset)

    assert found.value == f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
    assert CONTENT_HASH.fullmatch(found.value)
    assert (found.files, found.size_bytes) == (3, sum(map(len, FILES.values())))


def test_it_is_the_same_elsewhere_and_with_what_is_no_content(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "elsewhere")
    (copy / "README.md").write_text("about")
    (copy / ".cache").mkdir()
    (copy / "meta/.lock").write_text("")
    assert content_hash(copy).value == content_hash(dataset).value


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_counts(dataset: Path, name: str) -> None:
    before = content_hash(dataset).value
    (dataset / name).write_bytes(FILES[name][:-1] + b"x")
    assert content_hash(dataset).value != before


def test_a_file_that_moves_is_another_dataset(dataset: Path) -> None:
    before = content_hash(dataset).value
    (dataset / "data/chunk-000/file-000.parquet").rename(dataset / "data/chunk-000/file-001.parquet")
    assert content_hash(dataset).value != before


def test_what_lies_behind_links_counts(dataset: Path, tmp_path: Path) -> None:
    before = content_hash(dataset).value
    shutil.move(dataset / "videos", tmp_path / "large-disk")
    (dataset / "videos").symlink_to(tmp_path / "large-disk")
    assert content_hash(dataset).value == before


def test_links_in_a_circle_end(dataset: Path) -> None:
    before = content_hash(dataset).value
    (dataset / "data/again").symlink_to(dataset / "data")
    assert content_hash(dataset).value == before


def test_progress_counts_every_byte(dataset: Path) -> None:
    told: list[tuple[int, int]] = []
    size = content_hash(dataset, lambda done, total: told.append((done, total))).size_bytes
    assert len(told) == 5
    assert told[-1] == (size, size)


def test_what_is_written_to_meanwhile_is_refused(dataset: Path) -> None:
    def write(_done: int, _total: int) -> None:
        (dataset / "data/chunk-000/file-001.parquet").write_bytes(b"new")

    with pytest.raises(SetupError, match="changed while it was read"):
        content_hash(dataset, write)


def test_what_is_no_dataset_is_told(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no LeRobot dataset.*name its folder"):
        content_hash(tmp_path / "nowhere")
    os.mkfifo(dataset / "data/pipe")
    with pytest.raises(SetupError, match="is no file"):
        content_hash(dataset)
