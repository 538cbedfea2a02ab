from __future__ import annotations

import os
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_frontend.embedded.layout import backend_directory, cache_candidates, cache_folder, shell_safe_repository
from reflex_frontend.embedded.locate import locate


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return cache_folder([tmp_path / "cache" / "reflex" / "embedded"])


def test_the_directory_is_built_once_and_reused(cache: Path) -> None:
    first = backend_directory(locate(), cache)
    written_ns = (first / "python" / "libtriton_python.so").stat().st_mtime_ns
    assert backend_directory(locate(), cache) == first
    assert (first / "python" / "libtriton_python.so").stat().st_mtime_ns == written_ns
    assert [path.name for path in cache.iterdir()] == [first.name]


def test_a_damaged_directory_is_built_again(cache: Path) -> None:
    directory = backend_directory(locate(), cache)
    (directory / "onnxruntime" / "model.py").write_text("")
    assert backend_directory(locate(), cache) == directory
    assert (directory / "onnxruntime" / "model.py").stat().st_size > 0


def test_a_folder_that_triton_cannot_use_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    good = tmp_path / "good" / "reflex" / "embedded"
    assert cache_folder([tmp_path / "with space", tmp_path / "file" / "x", good]) == good


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "reflex-1" / "reflex" / "embedded"
    shared.mkdir(parents=True)
    (tmp_path / "reflex-1").chmod(0o777)
    with pytest.raises(SetupError, match="not a folder of this user alone"):
        cache_folder([shared])


def test_without_any_folder_the_error_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Set XDG_CACHE_HOME"):
        cache_folder([tmp_path / "a b"])


def test_the_users_cache_comes_before_the_temporary_folder() -> None:
    first, second, last = cache_candidates({"XDG_CACHE_HOME": "/x", "HOME": "/home/u"})
    assert (str(first), str(second)) == ("/x/reflex/embedded", "/home/u/.cache/reflex/embedded")
    assert f"reflex-{os.geteuid()}" in str(last)


def test_a_repository_path_that_a_shell_would_split_is_linked_from_one_it_would_not(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain", tmp_path / "odd; path"
    odd.mkdir()
    (odd / "marker").write_text("")
    assert shell_safe_repository(plain, tmp_path) == plain
    link = shell_safe_repository(odd, tmp_path)
    assert shell_safe_repository(odd, tmp_path) == link
    assert (link / "marker").exists()
    assert ";" not in str(link)
