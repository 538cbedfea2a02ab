"""A robot and a policy in this process, for whole runs. `python -m support.runner.session FOLDER` runs until it dies.

It writes each command to FOLDER/applied, and what its watchdog does to FOLDER/stopped.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reflex.connector import ActionChunk, Observation
from reflex_runner.loop.run_session import Safety, run_session
from reflex_runner.tick import DatedChunk
from support.runner.arms import RESTS, arm, pose
from support.runner.stoppable import note

__all__ = ["PATIENT", "Arm", "Policy", "raising"]

PATIENT = Safety(hold_after_ms=5000, stop_after_ms=20_000, ease_in_s=0.1)
"""A busy machine is no silent server."""


class Arm:
    """A robot that goes where it is commanded at once. `fault(what)` may raise in each of its methods."""

    def __init__(self, handle: Mapping[str, Any] | None = None, applied: Path | None = None) -> None:
        self.handle, self.applied = handle, applied
        self.state = pose(0, 50)
        self.whats: list[str] = []
        self.fault: Callable[[str], None] = lambda _: None
        self.ends = False

    def watch_handle(self) -> Mapping[str, Any] | None:
        return self.handle

    def start(self) -> None:
        self._do("start")

    def get_observation(self) -> Observation:
        self.fault("get_observation")
        return None if self.ends else Observation(self.state)  # type: ignore[return-value]

    def apply_action(self, chunk: ActionChunk) -> None:
        if self.applied is not None:
            note("apply", str(self.applied))
        self._do("apply")
        self.state = chunk.actions[0]

    def safe_stop(self, reason: str = "") -> None:
        assert reason
        self._do("safe_stop")

    def stop(self) -> None:
        self._do("stop")

    def _do(self, what: str) -> None:
        self.whats.append(what)
        self.fault(what)


def raising(where: str, error: Exception, *, after: int = 0) -> Callable[[str], None]:
    """A fault of an `Arm`: after so many calls of `where` each one raises."""
    calls: list[str] = []

    def fault(what: str) -> None:
        calls.append(what)
        if what == where and calls.count(where) > after:
            raise error

    return fault


class Policy:
    """A transport: answers `goal`, after `takes_s`; `fault(seq)` may raise, or wait."""

    control_hz = 30.0

    def __init__(self, goal: tuple[float, ...] = (20.0, 50.0), takes_s: float = 0.0) -> None:
        self.goal, self.takes_s = goal, takes_s
        self.fault: Callable[[int], None] = lambda _: None
        self.asked: list[tuple[Observation, int | None]] = []
        self.is_open = False
        self.closed = threading.Event()

    def open(self) -> None:
        self.is_open = True

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        self.asked.append((observation, executed_steps))
        self.fault(seq)
        self.closed.wait(self.takes_s)
        actions = np.tile(np.asarray(self.goal, np.float32), (30, 1))
        return DatedChunk(seq, observation.captured_s, time.monotonic(), actions, 1 / 30)

    def close(self) -> None:
        self.is_open = False
        self.closed.set()


def main(folder: Path) -> int:
    handle = {"function": "support.runner.stoppable:note", "arguments": {"path": str(folder / "stopped")}}
    robot = arm(control_hz=30.0, ladder=RESTS)
    connector = Arm(handle, folder / "applied")
    result = run_session(connector, Policy(), None, "apply_actions", robot=robot, safety=PATIENT)
    told = result.as_dict() | {"whats": connector.whats[-3:]}
    (folder / "result").write_text(json.dumps(told), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
