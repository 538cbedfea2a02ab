"""One episode of the expert, through the guard, as fast as it goes: did it pick the cube up, and in how many steps?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from reflex.guard import ActionGuard
from reflex_runner.simulation.axes import AXES, SIMULATED
from reflex_runner.simulation.expert import Sight, chunk_of
from reflex_runner.simulation.world import CONTROL_PERIOD_S, World

__all__ = ["MOST_STEPS", "Trial", "pick"]

MOST_STEPS: Final = 300
"""Ten seconds; an episode that needs more has failed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How an episode went."""

    seed: int
    is_lifted: bool
    steps: int
    clamped: int
    """Values that the guard changed."""


def pick(seed: int, *, chunk_steps: int = 1, noise_units: float = 0.0, world: World | None = None) -> Trial:
    """The episode of that seed; `chunk_steps` actions are executed of each chunk, with noise on what is executed."""
    world = World() if world is None else world
    world.reset(seed)
    guard, random = ActionGuard(SIMULATED), np.random.default_rng(seed)
    previous, clamped = world.state(), 0
    for step in range(MOST_STEPS):
        if step % chunk_steps == 0:
            chunk = chunk_of(world.state(), Sight(world.cube.middle, world.cube.is_held), chunk_steps)
        noise = noise_units * random.standard_normal(len(AXES)).astype(np.float32)
        checked = guard.check(chunk[step % chunk_steps][None] + noise, previous=previous)
        previous, clamped = checked.actions[0], clamped + len(checked.violations)
        world.command(previous)
        world.advance(CONTROL_PERIOD_S)
        if world.cube.is_lifted:
            return Trial(seed, is_lifted=True, steps=step + 1, clamped=clamped)
    return Trial(seed, is_lifted=False, steps=MOST_STEPS, clamped=clamped)
