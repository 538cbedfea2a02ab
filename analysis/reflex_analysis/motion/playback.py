"""The chunk that is being executed, on the ticks of the control loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reflex_analysis.motion.arm import Vector

__all__ = ["Playback", "Seam"]

Chunk = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seam:
    """Where one chunk follows another: by how much the step over it is not the step that a chunk makes there.

    `excess` is per axis, in its own unit: the step from the last command to the next one, less the step that the chunk
    before had planned there, or the one that the new chunk makes there itself, whichever is nearer.
    """

    tick: int
    excess: Vector


class Playback:
    """Says the command of each tick. A chunk's step i belongs to the tick `origin` + i."""

    def __init__(self) -> None:
        self._chunk: Chunk | None = None
        self._origin = 0
        self._last: Vector | None = None
        self._before: Vector | None = None
        """The step that the chunk before would have made where the present one begins."""
        self._is_new = False

    @property
    def last(self) -> Vector | None:
        """The command before."""
        return self._last

    def executed(self, tick: int) -> int | None:
        """Steps of the present chunk that are past at `tick`, dropped ones too; None before the first chunk."""
        return None if self._chunk is None else min(tick - self._origin, len(self._chunk))

    @property
    def length(self) -> int:
        """Steps of the present chunk."""
        return 0 if self._chunk is None else len(self._chunk)

    def left(self, tick: int) -> int:
        """Steps of the present chunk from `tick` on."""
        return 0 if self._chunk is None else max(0, self._origin + len(self._chunk) - tick)

    def begin(self, chunk: Chunk, origin: int, tick: int) -> bool:
        """Go over to `chunk` at `tick`, unless all of its steps are past; says whether it did."""
        if tick - origin >= len(chunk):
            return False
        self._before = self._planned_step(tick)
        self._chunk, self._origin, self._is_new = chunk, origin, True
        return True

    def command(self, tick: int) -> tuple[Vector, Seam | None] | None:
        """The command of `tick`, with the seam that it stands at; None when no step is left."""
        if self._chunk is None or not self.left(tick):
            return None
        command = self._chunk[tick - self._origin]
        seam = self._seam(tick, command - self._last) if self._is_new and self._last is not None else None
        self._last, self._is_new = command, False
        return command, seam

    def _seam(self, tick: int, step: Vector) -> Seam:
        own = [np.abs(step - each) for each in self._ordinary_steps(tick)]
        return Seam(tick, np.minimum.reduce(own or [np.abs(step)]))

    def _ordinary_steps(self, tick: int) -> Iterator[Vector]:
        if self._before is not None:
            yield self._before
        at = max(1, tick - self._origin)
        if self._chunk is not None and at < len(self._chunk):
            yield self._chunk[at] - self._chunk[at - 1]

    def _planned_step(self, tick: int) -> Vector | None:
        at = tick - self._origin
        if self._chunk is None or not 0 < at < len(self._chunk):
            return None
        step: Vector = self._chunk[at] - self._chunk[at - 1]
        return step
