"""`StepTime`: the clock of a simulation whose time passes with its commands alone, and what was seen by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reflex.connector import CameraFrame, Observation
from reflex_runner.clock import SYSTEM_CLOCK

__all__ = ["StepTime"]


class StepTime:
    """A `Clock` that stands still while anybody computes. It begins with the computer's, and goes on by itself."""

    def __init__(self, began_s: float | None = None) -> None:
        self._now_s = SYSTEM_CLOCK.now() if began_s is None else began_s
        self._known: dict[str, tuple[float, float]] = {}
        self._frames: Mapping[str, CameraFrame] = {}

    def now(self) -> float:
        """The moment at which the simulation is."""
        return self._now_s

    def sleep_until(self, moment: float) -> None:
        """It is that moment now."""
        self._now_s = max(self._now_s, moment)

    def dated(self, observation: Observation) -> Observation:
        """By this clock: what is new is of now, and what comes again, as from a frozen camera, keeps its moment."""
        frames = {
            name: replace(frame, captured_s=self._moment_of(f"camera {name}", frame.captured_s))
            for name, frame in observation.cameras.items()
        }
        self._frames = frames
        return replace(observation, cameras=frames, captured_s=self._moment_of("state", observation.captured_s))

    def frames(self) -> Mapping[str, CameraFrame]:
        """The newest pictures, for whoever records or shows."""
        return self._frames

    def _moment_of(self, what: str, said_s: float) -> float:
        known = self._known.get(what)
        if known is None or known[0] != said_s:
            known = self._known[what] = (said_s, self._now_s)
        return known[1]
