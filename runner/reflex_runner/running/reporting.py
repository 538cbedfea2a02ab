"""Whoever is told how the run goes: the control plane, and the program that started it."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from reflex.connector import Observation
from reflex.control.objects import Heartbeat
from reflex.control.texts import as_name
from reflex_runner.loop.tally import RunnerResult, Tally
from reflex_runner.tick import DatedChunk, Event, Tick

__all__ = ["ChunkJudge", "Counts", "OnHeartbeat", "StopReporter", "beating"]

OnHeartbeat = Callable[[Mapping[str, Any]], None]
logger = logging.getLogger("reflex.runner")


class Counts:
    """Over all the runs of one session: a dry run, and then the one that was promoted."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.calibration_id: str | None = None
        """Of the robot, once it is known."""
        self.unusable_chunks = 0
        """Not finite, or of another robot's shape. One that was merely overtaken, or came late, is no fault of a
        policy's, and keeps no deployment from being ready."""
        self._before: list[RunnerResult] = []

    def next_run(self) -> Tally:
        """Numbers of the next one begin at 0, and add up here."""
        self._before.append(self.tally.result())
        self.tally = Tally()
        return self.tally

    def heartbeat(self) -> Heartbeat:
        """As the control plane takes them."""
        each = [*self._before, self.tally.result()]
        report: Heartbeat = {
            "steps": sum(one.steps for one in each),
            "applied_steps": sum(one.applied_steps for one in each),
            "safe_stops": sum(one.safe_stops for one in each),
            "guard_violations": sum(one.clamped_steps for one in each),
            "refused_chunks": self.unusable_chunks,
            "latency_ms": each[-1].latency_ms.get("p50"),
            # Of somebody's connector: a heartbeat that is refused for it would keep no session alive.
            "calibration_id": as_name(self.calibration_id or ""),
            "sent_at": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        }
        return report

    def numbers(self) -> dict[str, Any]:
        """For the program: the result as it stands, without the chunk."""
        told = self.tally.result().as_dict()
        del told["lastActionChunk"]
        return told


class _Unmoved:
    """A `Listener` to whom nothing of this matters."""

    def observed(self, seq: int, observation: Observation) -> None:
        """Nothing to do."""

    def answered(self, chunk: DatedChunk) -> None:
        """Nothing to do."""

    def ticked(self, tick: Tick) -> None:
        """Nothing to do."""

    def noted(self, event: Event) -> None:
        """Nothing to do."""


class ChunkJudge(_Unmoved):
    """Counts the chunks that no robot of this kind could follow."""

    def __init__(self, counts: Counts, action_dim: int) -> None:
        self._counts, self._action_dim = counts, action_dim

    def answered(self, chunk: DatedChunk) -> None:
        """Look at its shape and its values."""
        shape = chunk.actions.shape
        is_usable = len(shape) == 2 and shape[1] == self._action_dim and bool(np.isfinite(chunk.actions).all())
        self._counts.unusable_chunks += not is_usable


class Stopped(Protocol):
    """A `RobotSession`."""

    def note_safe_stop(self, reason: str) -> None: ...


class StopReporter(_Unmoved):
    """A `Listener` that has each safe stop written on the session's record."""

    def __init__(self, session: Stopped, tally: Tally) -> None:
        self._session, self._tally = session, tally
        self._known = tally.safe_stops

    def noted(self, event: Event) -> None:
        """What is noted when the count has grown says why."""
        if self._tally.safe_stops > self._known:
            self._known = self._tally.safe_stops
            self._session.note_safe_stop(f"{event.code}: {event.message}")


@contextmanager
def beating(on_heartbeat: OnHeartbeat | None, counts: Counts, every_s: float) -> Iterator[None]:
    """Inside, `on_heartbeat` gets the numbers again and again, from a thread of its own, and at the end once more."""
    if on_heartbeat is None:
        yield
        return
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every_s):
            _tell(on_heartbeat, counts)

    thread = threading.Thread(target=beat, name="reflex-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _tell(on_heartbeat, counts)


def _tell(on_heartbeat: OnHeartbeat, counts: Counts) -> None:
    try:
        on_heartbeat(counts.numbers())
    except Exception:  # somebody else's code, which must not stop a robot
        logger.exception("on_heartbeat failed")
