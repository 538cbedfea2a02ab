"""A scene on each kind of store."""

from __future__ import annotations

import pytest

from reflex_control.store.database import Database
from unit.reflex_control.sessions.session_scene import Scene


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)
