"""A robot of your own: a class with five methods, named in own_arm.yaml as `own_arm:OwnArm`.

    reflex connect --config examples/own_arm.yaml

`Bus` stands for your motors. Put their library in its place; everything else can stay.
"""

from __future__ import annotations

import threading
import time

import numpy as np

from reflex.connector import ActionChunk, CameraFrame, Observation


class Bus:
    """Motors that exist in memory only, and go where they are sent."""

    def __init__(self, port: str) -> None:
        if not port:
            raise OSError("no port is named")
        self.positions = np.zeros(6, np.float32)

    def read_positions(self) -> np.ndarray:
        return self.positions.copy()

    def write_goals(self, goals: np.ndarray) -> None:
        self.positions = goals.copy()

    def close(self) -> None: ...


class OwnArm:
    """The keyword arguments are what stands beside `kind` in own_arm.yaml."""

    units = ("deg",) * 5 + ("%",)

    def __init__(self, port: str) -> None:
        self.port = port
        self.bus: Bus | None = None
        self.turn = threading.Lock()  # one thread observes, another applies: one of them on the bus at a time

    def start(self) -> None:
        self.bus = Bus(self.port)  # open what is needed; nothing moves, and no torque goes on

    def get_observation(self) -> Observation:
        captured_s = time.monotonic()
        with self.turn:
            state = self._opened().read_positions()
        return Observation(state, {"front": CameraFrame(np.zeros((96, 96, 3), np.uint8))}, captured_s=captured_s)

    def apply_action(self, chunk: ActionChunk) -> None:
        with self.turn:
            self._opened().write_goals(chunk.actions[-1])  # send, and return at once

    def safe_stop(self, reason: str = "") -> None:
        with self.turn:
            bus = self._opened()
            bus.write_goals(bus.read_positions())  # stay where it is

    def stop(self) -> None:
        bus, self.bus = self.bus, None
        if bus is not None:
            bus.close()

    def _opened(self) -> Bus:
        if self.bus is None:
            raise OSError("the arm is not open: call start() first")
        return self.bus
