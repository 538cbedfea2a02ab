"""A simulated robot of one's own class: it is where it is commanded, and writes down all that is done with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex.connector import ActionChunk, CameraFrame, Observation

__all__ = ["LoggedArm"]

START: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 50.0)
PICTURE: Final = np.zeros((96, 96, 3), np.uint8)


class LoggedArm:
    """`apply POSE...`, `safe_stop` and `stop` in `log`, each behind its moment; what the watchdog does in `stopped`."""

    embodiment: Final = "so101_sim"
    is_simulation: Final = True

    def __init__(self, log: str, stopped: str) -> None:
        self.log, self.stopped = Path(log), stopped
        self.state = np.array(START, np.float32)

    def watch_handle(self) -> Mapping[str, Any]:
        return {"function": "support.runner.stoppable:note", "arguments": {"path": self.stopped}}

    def start(self) -> None:
        self._note("start")

    def get_observation(self) -> Observation:
        now = time.monotonic()
        frames = {name: CameraFrame(PICTURE, now) for name in ("front", "wrist")}
        return Observation(self.state, frames, captured_s=now)

    def apply_action(self, chunk: ActionChunk) -> None:
        self._note("apply " + " ".join(f"{value:.6f}" for value in chunk.actions[0]))
        self.state = chunk.actions[0]

    def safe_stop(self, reason: str = "") -> None:
        assert reason
        self._note("safe_stop")

    def stop(self) -> None:
        self._note("stop")

    def _note(self, what: str) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic()} {what}\n")
