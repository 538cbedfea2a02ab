"""`make compose-test` sets the variable; a plain `make test` needs neither root nor Docker and leaves these out."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from compose.engine import BUILT, Engine, running_engine
from compose.stack import Stack, running_stack

WANTS_DOCKER = os.environ.get("REFLEX_COMPOSE_TESTS") == "1"
collect_ignore_glob = [] if WANTS_DOCKER else ["test_docker_*.py"]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """With the images built."""
    with running_engine() as started:
        started.compose("build", *BUILT, timeout_s=900)
        yield started


@pytest.fixture(scope="module")
def stack(engine: Engine) -> Iterator[Stack]:
    """`docker compose up --wait`, once for a module; what is left at its end is removed."""
    with running_stack(engine) as started:
        yield started
