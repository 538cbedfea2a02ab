"""`ChunkBuffer`: the newest answer of the policy, and what it says for each moment."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment
from reflex.errors import ReflexError
from reflex.guard import ActionGuard
from reflex_runner.motion.usable import MOST_AHEAD_S
from reflex_runner.tick import DatedChunk

__all__ = ["ChunkBuffer", "executed_steps"]

Wanted = npt.NDArray[np.float64]
MOST_ACTIONS: Final = 512
"""Policies answer with 8 to 100. Every one of them is checked in the thread that moves the robot."""


class ChunkBuffer:
    """Holds one chunk. Its first action belongs to the moment at which its observation was measured.

    So whatever of it is past when it arrives is never executed, and a late chunk is not played from its beginning.
    """

    def __init__(self, robot: Embodiment) -> None:
        self._guard = ActionGuard(robot)
        self._newest: DatedChunk | None = None

    @property
    def newest(self) -> DatedChunk | None:
        """The chunk by which the robot moves."""
        return self._newest

    def clear(self) -> None:
        """Forget it."""
        self._newest = None

    def admit(self, chunk: DatedChunk, now: float) -> str | None:
        """Take the chunk in place of the one before; or leave that, and say in words why this one is refused."""
        refusal = self._refusal(chunk, now)
        if refusal is None:
            self._newest = chunk
        return refusal

    def wanted(self, now: float) -> Wanted | None:
        """The pose for this moment, between two actions in proportion; None when no action is left for it."""
        chunk = self._newest
        if chunk is None:
            return None
        position = (now - chunk.captured_s) / chunk.step_s
        if not position < len(chunk.actions):
            return None
        return _between(chunk.actions, max(0.0, position))

    def _refusal(self, chunk: DatedChunk, now: float) -> str | None:
        if not (math.isfinite(chunk.step_s) and chunk.step_s > 0):
            return f"its actions are {chunk.step_s} s apart"
        if not chunk.captured_s <= now + MOST_AHEAD_S:
            return "its observation is dated in the future"
        if self._newest is not None and chunk.captured_s <= self._newest.captured_s:
            return "a chunk of a later observation is here already"
        if len(chunk.actions) > MOST_ACTIONS:
            return f"it has {len(chunk.actions)} actions, and more than {MOST_ACTIONS} are no policy's"
        try:
            self._guard.check(chunk.actions)
        except ReflexError as exc:
            return str(exc)
        if now - chunk.captured_s >= chunk.step_s * len(chunk.actions):
            return "all of its actions are past"
        return None


def executed_steps(chunk: DatedChunk, moment: float) -> int:
    """How many actions of the chunk lie before the moment."""
    past = math.floor((moment - chunk.captured_s) / chunk.step_s + 0.5)
    return min(max(past, 0), len(chunk.actions))


def _between(actions: npt.NDArray[np.float32], position: float) -> Wanted:
    index = int(position)
    below = actions[index].astype(np.float64)
    above = actions[min(index + 1, len(actions) - 1)].astype(np.float64)
    pose: Wanted = below + (above - below) * (position - index)
    return pose
