"""`Judge`: watches one episode of a robot that may know whether it has succeeded, and ends it when it is over."""

from __future__ import annotations

from typing import Final, Protocol

from reflex.connector import Observation
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.motion.descent import StopCause
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["SUCCESS", "TOO_LONG", "Judge", "success_of"]

SUCCESS: Final = "success"
TOO_LONG: Final = "max_steps"


class Marked(Protocol):
    """A `Recorder`."""

    def begin_episode(self, instruction: str | None = None) -> None: ...
    def end_episode(self, *, success: bool | None = None) -> None: ...


def success_of(connector: object) -> bool | None:
    """What the robot says of itself by an attribute `succeeded`; None where it does not know."""
    said = getattr(connector, "succeeded", None)
    return said if isinstance(said, bool) else None


class Judge:
    """A `Listener`, told after the recorder: what is recorded of the episode ends with the step that decided it."""

    def __init__(self, connector: object, recorder: Marked | None, stops: StopRequests, max_steps: int) -> None:
        self._connector, self._recorder = connector, recorder
        self._stops, self._max_steps = stops, max_steps
        self._is_open = False
        self.steps = 0
        self.success: bool | None = None

    def begin(self, instruction: str) -> None:
        """The episode begins now."""
        self._is_open = True
        if self._recorder is not None:
            self._recorder.begin_episode(instruction)

    def end(self) -> None:
        """Whatever ended the run has ended the episode; a success that nobody can know stays unknown."""
        if self._is_open:
            self._is_open = False
            self.success = success_of(self._connector)
            if self._recorder is not None:
                self._recorder.end_episode(success=self.success)

    def observed(self, seq: int, observation: Observation) -> None:
        """Nothing to do."""

    def answered(self, chunk: DatedChunk) -> None:
        """Nothing to do."""

    def noted(self, event: Event) -> None:
        """Nothing to do."""

    def ticked(self, tick: Tick) -> None:
        """Look whether the episode is over."""
        if not self._is_open:
            return
        self.steps += tick.kind == "move"
        if success_of(self._connector):
            self._conclude(StopCause(SUCCESS, "the episode has succeeded", "end"))
        elif self.steps >= self._max_steps:
            self._conclude(StopCause(TOO_LONG, f"{self._max_steps} steps are done", "end"))

    def _conclude(self, cause: StopCause) -> None:
        self.end()
        self._stops.request(cause)
