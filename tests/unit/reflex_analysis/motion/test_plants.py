from __future__ import annotations

import numpy as np
import pytest

from reflex.client.check import ServedShape
from reflex.embodiments import load_embodiment
from reflex_analysis.motion.plants import PLANTS, best_plant
from reflex_analysis.motion.scene import Scene

SHAPE = ServedShape("demo", {}, takes_instruction=True, state_dim=6, horizon=50, action_dim=7)
SCENE = Scene(SHAPE, load_embodiment("franka"))


@pytest.mark.parametrize("name", PLANTS)
def test_each_plant_begins_where_the_arm_rests_and_follows_its_commands(name: str) -> None:
    plant = PLANTS[name](SCENE)
    assert plant.positions == pytest.approx(SCENE.rest)

    goal = SCENE.rest + 0.1 * SCENE.ranges
    for _ in range(100):
        plant.follow(goal, 0.02)
    assert plant.positions == pytest.approx(goal, abs=1e-3 * float(np.max(SCENE.ranges)))


def test_the_best_one_is_there() -> None:
    assert best_plant() in PLANTS
