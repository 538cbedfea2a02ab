"""The simulated arm as a process of its own: `python -m reflex_runner.simulation.arm_process SETTINGS`.

It outlives whoever drives it, as an arm of metal does: after a kill of the runner the arm holds its last command, and
the watchdog can stop it. It ends when it is told to, or when nobody has been connected for a while.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex.errors import ReflexError
from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.simulation.arms import LiveArm
from reflex_runner.simulation.eyes import CAMERAS
from reflex_runner.simulation.faults import FaultInjector, Faults
from reflex_runner.simulation.speaking import Spoken, hear, speak
from reflex_runner.simulation.studio import Studio
from reflex_runner.simulation.world import World

__all__ = ["READY", "ArmServer", "build_arm", "main"]

READY: Final = "ready"
LINGER_S: Final = 15.0
"""Without anybody: long enough for a test, or a new run, to find the arm as its runner left it."""
LOOK_S: Final = 0.2


def build_arm(settings: Mapping[str, Any]) -> LiveArm:
    """The arm of settings as `SimSettings` has them."""
    world = World(settings["seed"], varied_looks=settings["varied_looks"], wanted=settings.get("wanted"))
    studio = Studio(world.model, settings["width"], settings["height"], settings.get("views", CAMERAS))
    return LiveArm(world, studio, FaultInjector(Faults(**settings["faults"]), settings["seed"]))


class ArmServer:
    """Answers for one arm at a path, until it is told to end or nobody is there."""

    def __init__(self, arm: LiveArm, address: str, linger_s: float = LINGER_S) -> None:
        self._arm, self._linger_s = arm, linger_s
        self._ended = threading.Event()
        self._visitors = 0
        self._commands, self._last_command_s = 0, 0.0
        self._holds, self._last_hold_s = 0, 0.0
        self._lock = threading.Lock()
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(address)
        self._door.listen()
        self._door.settimeout(LOOK_S)

    def serve(self) -> None:
        """Until the end."""
        left_s = SYSTEM_CLOCK.now()
        while not self._ended.is_set():
            with suppress(TimeoutError):
                line, _ = self._door.accept()
                with self._lock:
                    self._visitors += 1
                threading.Thread(target=self._attend, args=(line,), daemon=True).start()
            if self._visitors:
                left_s = SYSTEM_CLOCK.now()
            elif SYSTEM_CLOCK.now() - left_s > self._linger_s:
                break
        self._door.close()

    def _attend(self, line: socket.socket) -> None:
        with line, suppress(EOFError, OSError):
            while True:
                words, content = hear(line)
                answer = self._answer(words, content)
                if answer is not None:
                    speak(line, *answer)
        with self._lock:
            self._visitors -= 1

    def _answer(self, words: Mapping[str, Any], content: bytes) -> Spoken | None:
        """None for what nobody waits for."""
        if words["do"] == "command":
            self._command(words, content)
            return None
        answers: Mapping[str, Callable[[], Spoken]] = {
            "look": lambda: self._look(words["seen"]), "hold": self._hold, "sight": self._sight, "tell": self._tell,
            "end": self._end,
        }  # fmt: skip
        try:
            return answers[words["do"]]()
        except ReflexError as exc:
            return {"error": str(exc)}, b""

    def _command(self, words: Mapping[str, Any], content: bytes) -> None:
        actions = np.frombuffer(content, np.float32).reshape(words["shape"])
        with suppress(ReflexError):  # who observes next hears of it
            self._arm.command(actions, words["step_s"])
            self._commands, self._last_command_s = self._commands + len(actions), SYSTEM_CLOCK.now()

    def _hold(self) -> Spoken:
        self._arm.hold()
        self._holds, self._last_hold_s = self._holds + 1, SYSTEM_CLOCK.now()
        return {}, b""

    def _look(self, seen: Mapping[str, float]) -> Spoken:
        """The state, and those pictures that the other has not seen."""
        state, captured_s = self._arm.measure()
        new = {name: each for name, each in self._arm.pictures().items() if seen.get(name) != each.captured_s}
        pictures = {name: (each.captured_s, np.asarray(each.image)) for name, each in new.items()}
        told = {name: [captured, list(image.shape)] for name, (captured, image) in pictures.items()}
        content = b"".join(image.tobytes() for _, image in pictures.values())
        return {
            "state": [float(value) for value in state], "captured_s": captured_s, "has_lifted": self._arm.has_lifted,
            "pictures": told,
        }, content  # fmt: skip

    def _sight(self) -> Spoken:
        sight = self._arm.sight()
        return {"cube": sight.cube.tolist(), "is_held": sight.is_held}, b""

    def _tell(self) -> Spoken:
        """What became of the arm, for whoever comes after its runner."""
        state, captured_s = self._arm.measure()
        return {
            "state": [float(value) for value in state], "captured_s": captured_s, "has_lifted": self._arm.has_lifted,
            "commands": self._commands, "last_command_s": self._last_command_s, "holds": self._holds,
            "last_hold_s": self._last_hold_s,
        }, b""  # fmt: skip

    def _end(self) -> Spoken:
        self._ended.set()
        return {"has_lifted": self._arm.has_lifted}, b""


def main() -> int:
    """Say in one line of JSON whether the arm is ready, or why not; then serve it."""
    settings = json.loads(sys.argv[1])
    address = settings["address"]
    try:
        arm = build_arm(settings)
        server = ArmServer(arm, address)
        arm.start()
    except ReflexError as exc:
        _say({"code": exc.code, "message": str(exc)})
        return 1
    try:
        _say({"code": READY})
        server.serve()
    finally:
        arm.stop()
        shutil.rmtree(Path(address).parent, ignore_errors=True)
    return 0


def _say(words: Mapping[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(words)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
