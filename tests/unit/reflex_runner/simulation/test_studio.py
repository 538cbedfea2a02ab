from __future__ import annotations

import threading

import numpy as np
import pytest

from reflex_runner.errors import NoPicturesError
from reflex_runner.simulation import studio as studio_module
from reflex_runner.simulation.eyes import Scene
from reflex_runner.simulation.studio import Studio
from reflex_runner.simulation.world import World
from support.outside.drawing import skip_without_pictures


def test_any_thread_gets_pictures_and_the_end_leaves_none_behind() -> None:
    skip_without_pictures()
    world, before, seen = World(), set(threading.enumerate()), []
    studio = Studio(world.model, 32, 32)
    looking = [threading.Thread(target=lambda: seen.append(studio.look(Scene(world))["front"])) for _ in range(3)]
    for thread in looking:
        thread.start()
    for thread in looking:
        thread.join()
    assert len(seen) == 3
    np.testing.assert_array_equal(seen[0], seen[2])
    studio.close()
    studio.close()
    assert set(threading.enumerate()) == before


def test_a_machine_that_cannot_draw_says_so_at_once_and_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NoPicturesError("no driver")

    monkeypatch.setattr(studio_module, "Eyes", refuse)
    before = set(threading.enumerate())
    with pytest.raises(NoPicturesError, match="no driver"):
        Studio(None, 32, 32)
    assert set(threading.enumerate()) == before
