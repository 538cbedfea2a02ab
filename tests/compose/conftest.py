"""`make compose-test` sets the variable; a plain `make test` needs neither root nor Docker and skips these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.engine import BUILT, Engine, running_engine
from compose.stack import Stack, running_stack
from support.skips import skipped_module

WANTS_DOCKER = os.environ.get("REFLEX_COMPOSE_TESTS") == "1"


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    without = module_path.name.startswith("test_docker_") and not WANTS_DOCKER
    return skipped_module(parent, module_path, "Docker") if without else None


@pytest.fixture(scope="session")
def bare_engine() -> Iterator[Engine]:
    with running_engine() as started:
        yield started


@pytest.fixture(scope="session")
def engine(bare_engine: Engine) -> Engine:
    """With the images built."""
    bare_engine.compose("build", *BUILT, timeout_s=900)
    return bare_engine


@pytest.fixture(scope="module")
def stack(engine: Engine) -> Iterator[Stack]:
    """`docker compose up --wait`, once for a module; what is left at its end is removed."""
    with running_stack(engine) as started:
        yield started
