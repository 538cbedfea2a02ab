"""The scene of the tests of training."""

from __future__ import annotations

import pytest

from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from unit.reflex_control.conftest import Moment
from unit.reflex_control.training.training_scene import Scene


@pytest.fixture
def scene(plane: Plane, moment: Moment, actor: Actor) -> Scene:
    return Scene(plane, moment, actor)
