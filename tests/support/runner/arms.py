"""Robots and chunks for tests of the runner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment, LimitSource, StopLadder
from reflex_runner.tick import DatedChunk

__all__ = ["HOLDS", "RESTS", "arm", "chunk", "pose"]

HOLDS = StopLadder(rungs=("hold",), hold_after_ms=250, stop_after_ms=1000)
RESTS = StopLadder(
    rungs=("hold", "return_to_rest"), rest_pose=(0.0, 5.0), rest_speed=(10.0, 20.0), hold_after_ms=250,
    stop_after_ms=1000,
)  # fmt: skip


def arm(
    low: Sequence[float] = (-100.0, 0.0),
    high: Sequence[float] = (100.0, 100.0),
    max_step: Sequence[float] = (8.0, 16.0),
    *,
    control_hz: float = 8.0,
    ladder: StopLadder | None = HOLDS,
    name: str = "test",
) -> Embodiment:
    """Two axes, in steps of an eighth of a second, which are exact in binary."""
    names = tuple(f"axis{index}" for index in range(len(low)))
    return Embodiment(
        name=name, description="For tests.", state_names=names, state_units=("deg",) * len(low),
        mean_state=tuple((a + b) / 2 for a, b in zip(low, high, strict=True)), action_names=names,
        action_units=("deg",) * len(low), action_low=tuple(low), action_high=tuple(high),
        action_max_step=tuple(max_step), control_hz=control_hz, sources=(LimitSource("limits", "this test"),),
        stop_ladder=ladder,
    )  # fmt: skip


def pose(*values: float) -> npt.NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


def chunk(
    actions: Any, captured_s: float, *, seq: int = 0, step_s: float = 0.125, received_s: float = 0.0, **answer: Any
) -> DatedChunk:
    """`actions`: rows, or one pose that is meant for 16 steps."""
    rows = np.asarray(actions, dtype=np.float32)
    return DatedChunk(seq, captured_s, received_s, np.tile(rows, (16, 1)) if rows.ndim == 1 else rows, step_s, answer)
