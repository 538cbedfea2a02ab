from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reflex_bench.nonce_policy import write_nonce_policy
from reflex_frontend.embedded.private_repository import PrivateRepository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "on disk"
    folder.mkdir()
    write_nonce_policy(folder, "fast")
    write_nonce_policy(folder, "slow", delay_ms=1)
    return folder


@pytest.fixture
def private(repository: Path, tmp_path: Path) -> PrivateRepository:
    seen = PrivateRepository(repository, tmp_path / "run")
    seen.refresh()
    return seen


def test_ensembles_of_onnx_models_are_one_and_all_else_is_what_lies_on_disk(
    repository: Path, private: PrivateRepository
) -> None:
    before = sorted(path for path in repository.rglob("*"))
    names = {path.name for path in repository.iterdir() if path.is_dir()}
    assert {path.name for path in private.path.iterdir()} == names
    assert 'backend: "onnxruntime"' in (private.path / "fast" / "config.pbtxt").read_text()
    assert (private.path / "fast" / "1" / "reflex_ensemble.json").is_file()
    for name in names - {"fast"}:
        assert (private.path / name).readlink() == repository / name
    assert sorted(path for path in repository.rglob("*")) == before


def test_what_a_fused_model_holds_is_not_loaded_beside_it(private: PrivateRepository) -> None:
    wanted = ["fast", "fast_preprocess", "fast_encoder", "fast_denoise", "slow", "slow_encoder"]
    assert private.to_load(wanted) == ["fast", "slow", "slow_encoder"]
    assert private.to_load(["fast_encoder"]) == ["fast_encoder"]


def test_nothing_is_written_again_unless_it_has_changed(repository: Path, private: PrivateRepository) -> None:
    def links() -> dict[str, tuple[Path, int]]:
        return {path.name: (path.readlink(), path.lstat().st_mtime_ns) for path in private.path.iterdir()}

    before, config = links(), (private.path / "fast" / "config.pbtxt").stat().st_mtime_ns
    private.refresh()
    assert links() == before
    assert (private.path / "fast" / "config.pbtxt").stat().st_mtime_ns == config
    graph = repository / "fast_denoise" / "1" / "model.onnx"
    os.utime(graph, ns=(1, 1))
    private.refresh()
    assert {name for name, link in links().items() if link != before[name]} == {"fast"}


def test_what_comes_and_goes_on_disk_comes_and_goes(repository: Path, private: PrivateRepository) -> None:
    assert not private.is_outdated()
    write_nonce_policy(repository, "new")
    assert private.is_outdated()
    private.keep_up()
    told = json.loads((private.path / "new" / "1" / "reflex_ensemble.json").read_text())
    assert [step["model"] for step in told["steps"]] == ["new_preprocess", "new_encoder", "new_denoise"]
    (repository / "slow" / "config.pbtxt").unlink()
    (repository / "slow").rename(repository.parent / "away")
    private.refresh()
    assert not (private.path / "slow").is_symlink()


def test_a_repository_that_is_gone_for_a_while_changes_nothing(repository: Path, private: PrivateRepository) -> None:
    before = {path.name: path.readlink() for path in private.path.iterdir()}
    away = repository.rename(repository.with_name("unmounted"))
    with pytest.raises(OSError, match="No such file"):
        private.refresh()
    assert {path.name: path.readlink() for path in private.path.iterdir()} == before
    assert private.is_outdated()
    away.rename(repository)
    assert not private.is_outdated()
    assert private.to_load(["fast", "fast_denoise"]) == ["fast"]


def test_two_refreshes_at_once_do_not_meet(repository: Path, private: PrivateRepository) -> None:
    names = {path.name for path in repository.iterdir() if path.is_dir()}
    with ThreadPoolExecutor(4) as pool:
        for number in range(8):
            os.utime(repository / "fast_denoise" / "1" / "model.onnx", ns=(number, number))
            for each in [pool.submit(private.refresh) for _ in range(4)]:
                each.result()
    assert {path.name for path in private.path.iterdir()} == names


def test_an_entry_that_cannot_be_looked_at_is_left_out_alone(repository: Path, private: PrivateRepository) -> None:
    before = {path.name: path.readlink() for path in private.path.iterdir()}
    (repository / "odd").symlink_to("x" * 300)
    private.refresh()
    assert {path.name: path.readlink() for path in private.path.iterdir()} == before
    assert not private.is_outdated()


def test_a_file_that_was_written_by_half_is_written_again(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_half(path: Path, text: str, encoding: str) -> int:
        path.write_bytes(text.encode(encoding)[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    seen = PrivateRepository(repository, tmp_path / "run")
    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", by_half)
        with pytest.raises(OSError, match="No space left"):
            seen.refresh()
    seen.refresh()
    fused = seen.path / "fast"
    assert [step["model"] for step in json.loads((fused / "1" / "reflex_ensemble.json").read_text())["steps"]] == [
        "fast_preprocess", "fast_encoder", "fast_denoise",
    ]  # fmt: skip
    assert sorted(path.name for path in fused.resolve().rglob("*")) == ["1", "config.pbtxt", "reflex_ensemble.json"]
