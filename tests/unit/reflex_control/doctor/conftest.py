"""A healthy deployment on a store of its own, and its frontend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reflex_control.store.database import Database
from unit.reflex_control.doctor.doctor_scene import NOON_MS, Frontend, Scene, frontend, scene_on


@pytest.fixture
def kind() -> str:
    """What the checks make of a case has nothing to do with the kind of store; test_examining.py runs on both."""
    return "sqlite"


@pytest.fixture
def one() -> Iterator[Frontend]:
    with frontend(lambda: NOON_MS) as told:
        yield told


@pytest.fixture
def scene(database: Database, one: Frontend) -> Scene:
    return scene_on(database, one)
