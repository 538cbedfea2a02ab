"""`Joining`: leads from each chunk into the next one, and from the measured pose into the first."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment
from reflex_runner.motion.seam import EASE_SHARE, SEAM_SHARE, Seam, seam_between
from reflex_runner.tick import DatedChunk

__all__ = ["Joining"]

FloatArray = npt.NDArray[np.float32]
Pose = npt.NDArray[np.float64]

BLEND_PERIODS: Final = 5
"""Over so many periods a new chunk takes over from the one before it, when the server did not join them."""


class Joining:
    """Keeps the seam that is not closed yet, and of which chunk it leads to."""

    def __init__(self, held: Embodiment, period_s: float, ease_in_s: float) -> None:
        """`held` has the step limit of one control period."""
        self._low, self._high = np.asarray(held.action_low), np.asarray(held.action_high)
        self._speed = np.asarray(held.action_max_step) / period_s
        self._blend_s = BLEND_PERIODS * period_s
        self._ease_in_s = ease_in_s
        self._followed: DatedChunk | None = None
        self._seam: Seam | None = None
        self._eases_until_s: float | None = None

    def is_new(self, chunk: DatedChunk) -> bool:
        """Whether nothing leads to it yet."""
        return chunk is not self._followed

    def begin(self, chunk: DatedChunk, now: float, command: FloatArray, wanted: Pose) -> None:
        """From the measured pose, gently; chunks that come meanwhile do not make it faster."""
        least_s = max(self._blend_s, self._ease_in_s)
        self._seam = seam_between(command.astype(np.float64), wanted, now, least_s, self._speed * EASE_SHARE)
        self._eases_until_s = self._seam.ends_s
        self._followed = chunk

    def join(self, chunk: DatedChunk, moment: float, command: FloatArray, wanted: Pose) -> None:
        """From the last command to a chunk that says `wanted` for that moment."""
        easing_s = 0.0 if self._eases_until_s is None else self._eases_until_s - moment
        share = EASE_SHARE if easing_s > 0 else SEAM_SHARE
        least_s = max(self._blend_s, easing_s)
        self._seam = seam_between(command.astype(np.float64), wanted, moment, least_s, self._speed * share)
        self._followed = chunk

    def let_continue(self, chunk: DatedChunk) -> None:
        """The server has made the chunk continue the one before it: what is left of a seam stays as it is."""
        self._followed = chunk

    def joined(self, now: float, wanted: Pose) -> Pose:
        """`wanted`, as far as it may be reached by now.

        A seam never leads out of the range by itself: only what the policy wants does, and the guard says so.
        """
        if self._seam is None:
            return wanted
        shifted = self._seam.closed_by(now, wanted)
        held: Pose = np.clip(shifted, np.minimum(self._low, wanted), np.maximum(self._high, wanted))
        return held

    def leave(self) -> None:
        """The robot stands: the next chunk, or this one when it goes on, is joined anew."""
        self._followed = self._seam = None

    def forget(self) -> None:
        """The next chunk is the first."""
        self.leave()
        self._eases_until_s = None
