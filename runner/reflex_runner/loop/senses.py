"""`Senses`: a thread that reads the robot at the rate of the control loop, and keeps the newest observation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from reflex.connector import CameraFrame, Observation
from reflex.embodiments import Embodiment
from reflex_runner.clock import Clock
from reflex_runner.errors import HardwareError, code_of
from reflex_runner.loop.ports import Camera
from reflex_runner.loop.precedence import take_precedence
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.motion.descent import StopCause
from reflex_runner.motion.usable import MOST_AHEAD_S, MOST_PERIODS

__all__ = ["Senses", "checked"]

LONGEST_WAIT_S = 0.1
"""Whoever waits for the next observation looks so often whether the run is over."""


class Senses:
    """The newest observation, of the connector and the cameras. `read` that returns None ends the run."""

    def __init__(
        self,
        read: Callable[[], Observation | None],
        cameras: Mapping[str, Camera],
        robot: Embodiment,
        period_s: float,
        stops: StopRequests,
        clock: Clock,
    ) -> None:
        self._read, self._cameras, self._robot = read, cameras, robot
        self._period_s, self._stops, self._clock = period_s, stops, clock
        self._newest: Observation | None = None
        self._is_ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._go_on, name="reflex-senses", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def end(self, within_s: float) -> bool:
        """Read no more; whether the last reading came back in time."""
        self._is_ended = True
        if self._thread.ident is not None:
            self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def is_ended(self) -> bool:
        """Whether nothing is read any more: the run has ended, or reading has failed for good."""
        return self._is_ended

    def newest(self) -> Observation | None:
        """At once; None before the first one."""
        return self._newest

    def measured(self, now: float) -> Observation | None:
        """The newest one, unless it is too old to say where the robot is."""
        newest = self._newest
        if newest is None or not now - newest.captured_s <= MOST_PERIODS * self._period_s:
            return None
        return newest

    def after(self, seen: Observation | None) -> Observation | None:
        """One that was measured after `seen`; None when there was none for a while.

        Who reads a robot faster than it measures reads the same moment again: there is nothing new to ask of it.
        """
        with self._changed:
            is_newer = self._changed.wait_for(lambda: _is_newer(self._newest, seen), LONGEST_WAIT_S)
        return self._newest if is_newer else None

    def _go_on(self) -> None:
        take_precedence(below=1)
        following = self._clock.now()
        while not self._is_ended and self._sense():
            following = max(following + self._period_s, self._clock.now())
            self._clock.sleep_until(following)

    def _sense(self) -> bool:
        try:
            observation = self._read()
            if observation is not None:
                self._keep(self._not_ahead(checked(observation, self._robot)))
                return True
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - somebody else's code; whatever it raises stops the robot
            self._is_ended = True
            self._stops.request(StopCause(code_of(exc, "observe_failed"), _told("observing failed", exc)))
            return False
        self._is_ended = True
        self._stops.request(StopCause("observations_ended", "there are no more observations", "end"))
        return False

    def _not_ahead(self, observation: Observation) -> Observation:
        ahead_s = observation.captured_s - self._clock.now()
        if not ahead_s <= MOST_AHEAD_S:
            raise HardwareError(
                f"an observation is dated {ahead_s:.1f} s in the future: its captured_s is on the monotonic clock of "
                "this computer (time.monotonic() of Python, not time.time())"
            )
        return observation

    def _keep(self, observation: Observation) -> None:
        with self._changed:
            self._newest = replace(observation, cameras={**observation.cameras, **self._pictures()})
            self._changed.notify_all()

    def _pictures(self) -> dict[str, CameraFrame]:
        """A camera without any picture yet is as one whose picture is too old: `why_unusable` must find it."""
        frames = {name: camera.latest() for name, camera in self._cameras.items()}
        return {name: CameraFrame(b"", float("-inf")) if frame is None else frame for name, frame in frames.items()}


def checked(observation: Observation, robot: Embodiment) -> Observation:
    """An observation whose state is one of this robot; `HardwareError` says what it is instead."""
    shape = getattr(observation.state, "shape", None)
    if shape != (robot.state_dim,) or observation.state.dtype.kind not in "fiu":
        raise HardwareError(
            f"a state of {robot.name} is an array of {robot.state_dim} numbers, and the connector's "
            f"has the shape {shape}; choose the embodiment that this robot is"
        )
    return observation


def _is_newer(newest: Observation | None, seen: Observation | None) -> bool:
    return newest is not None and (seen is None or newest.captured_s > seen.captured_s)


def _told(what: str, exc: BaseException) -> str:
    return f"{what}: {str(exc) or type(exc).__name__}"
