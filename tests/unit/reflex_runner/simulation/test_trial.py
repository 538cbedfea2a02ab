from __future__ import annotations

from reflex_runner.simulation.trial import MOST_STEPS, pick
from reflex_runner.simulation.world import World


def test_an_episode_says_how_it_went() -> None:
    trial = pick(0)
    assert (trial.seed, trial.is_lifted) == (0, True)
    assert 20 < trial.steps < 150


def test_an_arm_that_cannot_close_its_hand_picks_nothing() -> None:
    class Stiff(World):
        def reset(self, seed: int) -> None:
            super().reset(seed)
            self.jam("gripper")

    trial = pick(0, world=Stiff())
    assert (trial.is_lifted, trial.steps) == (False, MOST_STEPS)
