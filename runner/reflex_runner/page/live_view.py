"""`LiveView`: the newest of everything in a run, for whoever looks.

It listens in the threads of the run and keeps references: nothing is copied, compared or encoded there. What a page
shows is worked out when it is asked for, in the thread of the page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from reflex.connector import CameraFrame, Observation
from reflex.embodiments import Embodiment
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["HISTORY_S", "LiveView"]

Frames = Callable[[], Mapping[str, CameraFrame]]
Problems = Callable[[], Mapping[str, str]]

HISTORY_S: Final = 8.0
"""What the plot shows of the past."""
_MOST_TICKS: Final = 2000
_CLAMPED_KEPT: Final = 50
_EVENTS_KEPT: Final = 50
_ANSWERS_KEPT: Final = 200


class LiveView:
    """A `Listener` of one run. `frames` gives the newest pictures; without it those that the policy was shown count.

    `problems` says in a sentence what is wrong with a camera, by its name.
    """

    def __init__(
        self,
        robot: Embodiment,
        *,
        mode: str,
        frames: Frames | None = None,
        problems: Problems = dict,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.robot, self.mode, self.clock = robot, mode, clock
        self._frames = frames
        self.problems = problems
        self.observation: Observation | None = None
        self.chunk: DatedChunk | None = None
        self.last_tick: Tick | None = None
        self.ticks: deque[Tick] = deque(maxlen=_MOST_TICKS)
        self.clamped: deque[Tick] = deque(maxlen=_CLAMPED_KEPT)
        """Those in which the guard changed something."""
        self.events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self.answer_s: deque[float] = deque(maxlen=_ANSWERS_KEPT)
        """From each observation to its answer."""
        self.applied_steps = self.clamped_steps = 0

    def observed(self, seq: int, observation: Observation) -> None:  # noqa: ARG002
        """An observation was sent to the policy."""
        self.observation = observation

    def answered(self, chunk: DatedChunk) -> None:
        """The policy answered."""
        self.chunk = chunk
        self.answer_s.append(chunk.received_s - chunk.captured_s)

    def ticked(self, tick: Tick) -> None:
        """A period of the control loop is over."""
        self.last_tick = tick
        self.ticks.append(tick)
        self.applied_steps += tick.applied
        if tick.violations:
            self.clamped_steps += 1
            self.clamped.append(tick)

    def noted(self, event: Event) -> None:
        """Something happened that is worth a line."""
        self.events.append(event)

    def newest_frames(self) -> Mapping[str, CameraFrame]:
        """The newest picture of each camera, by reference."""
        if self._frames is not None:
            return self._frames()
        return {} if self.observation is None else self.observation.cameras
