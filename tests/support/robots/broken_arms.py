"""An arm that keeps the contract of connectors, and one for each way to break it."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from reflex.connector import ActionChunk, CameraFrame, Observation

__all__ = ["BROKEN", "Arm"]

DIM = 3
HANGS_S = 5.0
NUMBER: Any = 7
BYTES: Any = b"\xff\xd8\xff"


class Arm:
    """Goes where it is sent, at once."""

    def __init__(self, port: str = "there") -> None:
        self.port = port
        self.state = np.array([1.0, 2.0, 3.0], np.float32)

    def start(self) -> None:
        if self.port == "missing":
            raise OSError("no such port")

    def get_observation(self) -> Observation:
        picture = np.zeros((4, 6, 3), np.uint8)
        return Observation(self.state.copy(), {"front": CameraFrame(picture), "wrist": CameraFrame(b"\xff\xd8\xff...")})

    def apply_action(self, chunk: ActionChunk) -> None:
        self.state = chunk.actions[-1].copy()

    def safe_stop(self, reason: str = "") -> None: ...

    def stop(self) -> None: ...


def observing(what: Any) -> type[Arm]:
    """One whose observations are made by this function of the good one."""

    class Observing(Arm):
        def get_observation(self) -> Any:
            return what(super().get_observation())

    return Observing


def stated(state: Any) -> type[Arm]:
    return observing(lambda good: Observation(state, good.cameras))


def pictured(image: Any) -> type[Arm]:
    return observing(lambda good: Observation(good.state, {"front": CameraFrame(image)}))


class WithoutSafeStop(Arm):
    safe_stop: Any = None


class GoesBack(Arm):
    """Its clock runs backwards."""

    moment = 1e9

    def get_observation(self) -> Observation:
        self.moment = min(self.moment, time.monotonic()) - 0.001
        return Observation(self.state.copy(), captured_s=self.moment)


class OneBuffer(Arm):
    def get_observation(self) -> Observation:
        return Observation(self.state)


class LosesACamera(Arm):
    looked = 0

    def get_observation(self) -> Observation:
        self.looked += 1
        cameras = {} if self.looked == 3 else {"front": CameraFrame(b"\xff\xd8\xff")}
        return Observation(self.state.copy(), cameras)


class MovesAtTheStart(Arm):
    def get_observation(self) -> Observation:
        self.state = self.state + np.float32(1.0)
        return super().get_observation()


class WaitsForTheStep(Arm):
    def apply_action(self, chunk: ActionChunk) -> None:
        time.sleep(chunk.step_s * len(chunk.actions))


class ChangesTheChunk(Arm):
    def apply_action(self, chunk: ActionChunk) -> None:
        chunk.actions[:] *= 2


class BoundToAThread(Arm):
    """As a library that must be used from one thread."""

    thread: int | None = None

    def get_observation(self) -> Observation:
        self._hold_to()
        return super().get_observation()

    def apply_action(self, chunk: ActionChunk) -> None:  # noqa: ARG002
        self._hold_to()

    def _hold_to(self) -> None:
        self.thread = self.thread or threading.get_ident()
        if self.thread != threading.get_ident():
            raise RuntimeError("used from another thread")


class StopsOnce(Arm):
    stopped = False

    def safe_stop(self, reason: str = "") -> None:  # noqa: ARG002
        if self.stopped:
            raise RuntimeError("stopped already")
        self.stopped = True


class StopHangs(Arm):
    def safe_stop(self, reason: str = "") -> None:  # noqa: ARG002
        time.sleep(HANGS_S)


class StopsOnlyAlone(Arm):
    """Cannot be stopped while it is being observed."""

    is_looking = was_disturbed = False
    called: threading.Event

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()

    def get_observation(self) -> Observation:
        self.called.clear()
        self.is_looking = True
        if not self.was_disturbed:
            self.called.wait(4 * HANGS_S)
        self.is_looking = False
        return super().get_observation()

    def safe_stop(self, reason: str = "") -> None:  # noqa: ARG002
        self.was_disturbed = self.is_looking
        self.called.set()
        if self.was_disturbed:
            raise RuntimeError("the bus is busy")


class ClosesOnce(Arm):
    closed = False

    def stop(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class ClosesWhatItOpened(Arm):
    bus: Any = None

    def start(self) -> None:
        super().start()
        self.bus = threading.Lock()
        self.bus.acquire()

    def stop(self) -> None:
        if self.port != "missing" and self.bus is None:
            return  # without a start
        self.bus.release()
        self.bus = threading.Lock()
        self.bus.acquire()


class NeedsAStart(Arm):
    bus: Any = None

    def start(self) -> None:
        super().start()
        self.bus = threading.Event()

    def stop(self) -> None:
        self.bus.set()


class LeavesAThread(Arm):
    end = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self.end.wait, args=(HANGS_S,), name="reader", daemon=True).start()


class KeepsThePort(Arm):
    taken: Any = None

    def __init__(self, ports: set[str] | None = None) -> None:
        super().__init__()
        self.ports = ports if ports is not None else PORTS

    def start(self) -> None:
        if self.port in self.ports:
            raise OSError("the port is taken")
        self.ports.add(self.port)


PORTS: set[str] = set()

BROKEN: dict[str, list[tuple[Any, str]]] = {
    "has_the_five_methods": [(WithoutSafeStop, "it has no safe_stop")],
    "observes_what_a_policy_takes": [
        (observing(lambda good: {"state": good.state}), "get_observation returns a dict"),
        (stated([1.0, 2.0, 3.0]), "state is a list; make it numpy.float32"),
        (stated(np.zeros(DIM)), "state is an array of float64"),
        (stated(np.zeros(2, np.float32)), "state has the shape (2,) instead of (3,)"),
        (stated(np.zeros((1, DIM), np.float32)), "state has the shape (1, 3) instead of (3,)"),
        (stated(np.array([0, np.nan, 0], np.float32)), "state is not finite"),
        (
            observing(lambda good: Observation(good.state, captured_s=1.7e9)),
            "s in the future; it is time.monotonic(), not",
        ),
        (observing(lambda good: Observation(good.state, captured_s=-1e3)), "captured_s lies "),
        (observing(lambda good: Observation(good.state, captured_s=float("nan"))), "captured_s is nan"),
        (observing(lambda good: Observation(good.state, task=NUMBER)), "task is a int"),
        (observing(lambda good: Observation(good.state, {"front": BYTES})), "camera front is a bytes"),
        (pictured(np.zeros((4, 6, 4), np.uint8)), "camera front gives uint8 of shape (4, 6, 4)"),
        (pictured(np.zeros((3, 4, 6), np.float32)), "camera front gives float32 of shape (3, 4, 6)"),
        (pictured(b"GIF89a"), "camera front gives bytes that are neither a JPEG nor a PNG"),
        (pictured("front.jpg"), "camera front gives str"),
    ],
    "goes_forward_in_time": [
        (GoesBack, "captured_s goes back"),
        (OneBuffer, "an observation changes after it was handed over"),
        (LosesACamera, "its cameras change from one observation to the next"),
    ],
    "moves_nothing_before_it_is_told": [(MovesAtTheStart, "it moved by 1 before the first apply_action")],
    "applies_and_returns_at_once": [
        (WaitsForTheStep, "s; it holds the control loop up"),
        (ChangesTheChunk, "apply_action changes the chunk that it is given"),
    ],
    "observes_beside_applying": [(BoundToAThread, "RuntimeError('used from another thread')")],
    "stops_safely_twice_and_from_any_thread": [
        (StopsOnce, "safe_stop, time 1 raises RuntimeError('stopped already')"),
        (StopHangs, "safe_stop before anything was applied hangs"),
    ],
    "stops_safely_while_it_observes": [(StopsOnlyAlone, "RuntimeError('the bus is busy')")],
    "stops_twice_and_without_a_start": [
        (NeedsAStart, "stop without start raises AttributeError"),
        (ClosesWhatItOpened, "stop after a start that failed raises AttributeError"),
        (ClosesOnce, "stop raises RuntimeError('closed already')"),
    ],
    "leaves_no_thread": [(LeavesAThread, "after stop its threads still run: reader")],
    "can_be_made_again": [(KeepsThePort, "start raises OSError('the port is taken')")],
}
"""By the rule that it breaks, with what is said."""
