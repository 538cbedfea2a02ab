from __future__ import annotations

from pathlib import Path

import pytest

from support.gpus.backend import backend_module

cache = backend_module("reflex_cache")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"graph")
    return path


class Compiler:
    """Opens sessions that leave a file in a folder without one, as the provider does."""

    def __init__(self) -> None:
        self.found: list[bool | None] = []

    def __call__(self, folder: Path | None) -> str:
        self.found.append(None if folder is None else (folder / "kernels").exists())
        if folder is not None:
            (folder / "kernels").write_bytes(b"compiled")
        return "session"


PARTS = ["1.31.1", "0.5.0", "8.9 580", "options"]


def test_a_graph_is_compiled_once_and_later_starts_find_it(tmp_path: Path, graph: Path) -> None:
    root, compiler = tmp_path / "cache", Compiler()
    assert cache.cached(root, graph, PARTS, compiler) == "session"
    assert cache.cached(root, graph, PARTS, compiler) == "session"
    assert compiler.found == [False, True, True]
    assert [path.name for path in root.iterdir()] == [cache.cache_key(graph, PARTS)]


def test_whatever_a_compiled_graph_depends_on_makes_another_one(graph: Path) -> None:
    keys = {cache.cache_key(graph, [*PARTS[:at], "another", *PARTS[at + 1 :]]) for at in range(len(PARTS))}
    before = cache.cache_key(graph, PARTS)
    graph.write_bytes(b"another graph")
    assert len(keys | {before, cache.cache_key(graph, PARTS)}) == len(PARTS) + 2


def test_a_start_that_is_killed_while_it_fills_leaves_no_place(tmp_path: Path, graph: Path) -> None:
    def killed(_folder: Path | None) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.cached(tmp_path / "cache", graph, PARTS, killed)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_takes_nothing_costs_the_cache_alone(tmp_path: Path, graph: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    compiler = Compiler()
    assert cache.cached(tmp_path / "cache", graph, PARTS, compiler) == "session"
    assert compiler.found == [None]


def test_a_provider_that_leaves_nothing_is_opened_all_the_same(tmp_path: Path, graph: Path) -> None:
    found: list[Path | None] = []
    cache.cached(tmp_path / "cache", graph, PARTS, found.append)
    assert len(found) == 2
    assert found[1] is None
