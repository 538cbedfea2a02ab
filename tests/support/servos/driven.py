"""A run on an SO-101 that turns its shoulder, as a process of its own: `python -m support.servos.driven PORT FOLDER`.

FOLDER has LeRobot's calibrations. It runs until it is killed.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from reflex.connector import Observation
from reflex.embodiments import Embodiment, StopLadder, load_embodiment
from reflex_runner.connectors.so101 import SO101, SO101Settings
from reflex_runner.loop.hands import Mode
from reflex_runner.loop.run_session import Safety, run_session
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.so101.places import Places
from reflex_runner.tick import DatedChunk

__all__ = ["Turning", "drive"]

PERIOD_S = 0.1
"""A busy machine keeps up with that."""
PATIENT = Safety(hold_after_ms=20_000, stop_after_ms=40_000, ease_in_s=0.1)


class Turning:
    """A policy that wants the shoulder far to the side."""

    control_hz = 1 / PERIOD_S

    def open(self) -> None:
        """There is nothing to open."""

    def close(self) -> None:
        """Nor to close."""

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:  # noqa: ARG002
        goal = observation.state.copy()
        goal[0] = 90
        actions = np.repeat(goal[None], 50, axis=0).astype(np.float32)
        return DatedChunk(seq, observation.captured_s, observation.captured_s, actions, PERIOD_S)


def drive(port: str, folder: Path, mode: Mode, *, max_steps: int = 0) -> RunnerResult:
    arm = SO101(SO101Settings(), places=Places(port, folder), answer_within_s=5.0)
    return run_session(
        arm, Turning(), mode=mode, control_period_s=PERIOD_S, robot=_holding(), safety=PATIENT, max_steps=max_steps
    )


def _holding() -> Embodiment:
    return replace(load_embodiment("so101"), stop_ladder=StopLadder(rungs=("hold",)))


if __name__ == "__main__":
    drive(sys.argv[1], Path(sys.argv[2]), "apply_actions")
