"""`make expert-bench`: how often the simulator's scripted expert picks the cube up, through the guard.

python -m reflex_bench.expert_bench --seeds 100

Exits 1 when fewer than 95 of 100 were lifted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Final

from reflex_runner.simulation.trial import Trial, pick
from reflex_runner.simulation.world import World

__all__ = ["main", "row_of"]

LEAST_SHARE: Final = 0.95
WAYS: Final = ((1, 0.0), (8, 0.0), (16, 0.0), (1, 2.0), (8, 2.0))
"""Actions executed of each chunk, and the noise on them in units."""
COLUMNS: Final = ("steps of a chunk", "noise", "lifted", "median steps", "longest", "values clamped")


def row_of(chunk_steps: int, noise_units: float, trials: Sequence[Trial]) -> tuple[str, ...]:
    """A line of the table."""
    steps = [trial.steps for trial in trials if trial.is_lifted] or [0]
    lifted = f"{sum(trial.is_lifted for trial in trials)} of {len(trials)}"
    clamped = sum(trial.clamped for trial in trials)
    return (
        str(chunk_steps),
        f"{noise_units:g}",
        lifted,
        f"{statistics.median(steps):g}",
        str(max(steps)),
        str(clamped),
    )


def main() -> int:
    """Measure every way and print the table."""
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.expert_bench", description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="episodes of each way (default 100)")
    seeds = range(parser.parse_args().seeds)
    world, least = World(), 1.0
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for chunk_steps, noise in WAYS:
        trials = [pick(seed, chunk_steps=chunk_steps, noise_units=noise, world=world) for seed in seeds]
        least = min(least, sum(trial.is_lifted for trial in trials) / len(trials))
        print(f"| {' | '.join(row_of(chunk_steps, noise, trials))} |")
    return 0 if least >= LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
