from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reflex.errors import RepositoryError
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton


def _triton(repository: Path, model: str) -> EmbeddedTriton:
    return EmbeddedTriton(EmbeddedOptions(model_repository=repository, models=(model,)))


def test_a_model_that_is_not_there_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="has no model 'demo'"):
        asyncio.run(_triton(tmp_path, "demo").start())


@pytest.mark.parametrize("name", ["../demo", "a b", "x;rm", "a/b"])
def test_a_model_name_that_a_shell_would_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RepositoryError, match="model name"):
        asyncio.run(_triton(tmp_path, name).start())


def test_stop_without_start_does_nothing(tmp_path: Path) -> None:
    triton = _triton(tmp_path, "demo")
    asyncio.run(triton.stop())
    assert (triton.pid, triton.is_running, triton.failure, triton.restarts) == (None, False, None, 0)
    with pytest.raises(RuntimeError, match="start"):
        _ = triton.grpc_address
