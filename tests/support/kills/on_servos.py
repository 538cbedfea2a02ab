"""One run on an SO-101's servos behind a pty, struck at a random instant. The servos know what was written to them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex_runner.cameras.shared_frames import FrameWriter
from reflex_runner.so101.registers import GOAL_POSITION
from support.images import encoded, photo
from support.kills.driving import Driving, driving
from support.kills.faults import HOLD_AFTER_MS, STOP_AFTER_MS, Fault, Parts
from support.kills.in_simulator import NotStruckError, well
from support.kills.judging import Outcome, first_error_faults
from support.kills.stack import RealArmServer
from support.servos.arms import calibrate, write_file
from support.servos.chain import Chain
from support.servos.wires import PtyBus, pty_bus
from support.waiting import let_pass, wait_until

__all__ = ["struck_on_servos"]

SLOW_STEPS_S: Final = 10.0
"""Far behind its goal is an arm that only a hold keeps from going there."""
FAR_STEPS, STANDS_STEPS = 60, 30
REST_STEPS: Final = 120
"""Ten degrees and a half, 5 % of a joint's range."""
MOVED: Final = 10
FRAME_S: Final = 1 / 30


class LoggedChain(Chain):
    """`goals` has the moment of each write of a goal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.goals: list[float] = []

    def _write(self, id_: int, address: int, data: bytes) -> None:
        if address == GOAL_POSITION.address:
            self.goals.append(time.monotonic())
        super()._write(id_, address, data)

    @property
    def farthest_steps(self) -> int:
        return max(abs(servo.goal - servo.present) for servo in self.servos)


class Film:
    """A camera's program: it writes a picture again and again, until it is frozen."""

    def __init__(self, name: str) -> None:
        self._writer, self._frozen = FrameWriter(name, 32, 32), threading.Event()
        self.last_s = 0.0
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def freeze(self) -> None:
        self._frozen.set()
        self._thread.join()

    def close(self) -> None:
        self.freeze()
        self._writer.close()

    def _write(self) -> None:
        pictures = [np.full((32, 32, 3), shade, np.uint8) for shade in (40, 80)]
        number = 0
        while not self._frozen.wait(FRAME_S):
            self.last_s = time.monotonic()
            self._writer.write(pictures[number % 2], self.last_s)
            number += 1


def struck_on_servos(fault: Fault, seed: str, number: int, servers: RealArmServer) -> Outcome:
    """Start a run, strike it, see what becomes of it, and leave everything well behind."""
    server = well(servers.heal)
    chance = random.Random(seed)
    with _workplace() as folder:
        write_file(folder)
        chain = calibrate(LoggedChain())
        assert isinstance(chain, LoggedChain)
        for servo in chain.servos:
            servo.steps_a_second = SLOW_STEPS_S if fault.name.startswith("runner") else servo.steps_a_second
        film = Film(f"rk{os.getpid()}-{number}")
        try:
            with pty_bus(chain) as bus:
                environment = {"REFLEX_SO101_PORT": bus.port, "HF_LEROBOT_CALIBRATION": str(folder)}
                settings = _settings(folder, server.base_url, f"rk{os.getpid()}-{number}")
                with driving(folder, settings, **environment) as run:
                    parts = Parts(
                        run.process.pid, server.process.pid, lambda: server.triton().pid, pull=bus.pull,
                        freeze_camera=film.freeze,
                    )  # fmt: skip
                    return _Struck(fault, chance, number, run, bus, chain, film).outcome(parts)
        finally:
            film.close()


@contextmanager
def _workplace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rk-"))
    try:
        (folder / "wrist").mkdir()
        for number in range(2):
            (folder / "wrist" / f"{number}.png").write_bytes(encoded(photo(number, 32, 32), "PNG"))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: Path, url: str, shm_name: str) -> dict[str, Any]:
    return {
        "session": {"mode": "apply_actions", "instruction": "pick up the cube"},
        "target": {"kind": "act", "url": url, "timeout_s": 1.0, "connect_timeout_s": 60},
        "hardware": {"kind": "so101"},
        "cameras": {
            "front": {"kind": "shm", "shm_name": shm_name},
            "wrist": {"kind": "file", "path": str(folder / "wrist"), "fps": 30},
        },
        "safety": {"hold_after_ms": HOLD_AFTER_MS, "stop_after_ms": STOP_AFTER_MS},
        "recording": {"formats": ["jsonl"], "dir": "recordings"},
    }


class _Struck:
    def __init__(
        self, fault: Fault, chance: random.Random, number: int, run: Driving, bus: PtyBus, chain: LoggedChain,
        film: Film,
    ) -> None:  # fmt: skip
        self.fault, self.chance, self.number = fault, chance, number
        self.run, self.bus, self.chain, self.film = run, bus, chain, film

    def outcome(self, parts: Parts) -> Outcome:
        wait_until(lambda: self._has_moved() or not self.run.is_running, "the arm moves")
        let_pass(self.chance.uniform(0, 1.0))
        if not self.run.is_running or self.run.said_s("the run stops") < float("inf"):
            raise NotStruckError(self.run.last_words)
        struck_s = time.monotonic()
        asleep = self.fault.strike(parts)
        try:
            took_s, told, problems = self._followed(struck_s, asleep)
        finally:
            for pid in asleep:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        if not all(servo.torque for servo in self.chain.servos):
            problems.append("a servo has lost its torque")
        errors = [each["code"] for each in told.get("errors", ())]
        return Outcome(
            self.fault.name, "servos", self.number, took_s, self.fault.within_s, errors[0] if errors else "",
            tuple(problems), self.run.last_words if problems else "",
        )  # fmt: skip

    def _has_moved(self) -> bool:
        is_far = self.chain.farthest_steps > FAR_STEPS or not self.fault.name.startswith("runner")
        return len(self.chain.goals) > MOVED * 6 and is_far

    def _followed(self, struck_s: float, asleep: list[int]) -> tuple[float, dict[str, Any], list[str]]:
        if self.fault.name.startswith("runner"):
            return self._held(struck_s, asleep)
        told = self.run.wait()
        problems = first_error_faults(self.fault, told)
        if self.fault.state == "at rest":
            problems += self._not_at_rest()
        if self.fault.name == "camera frozen":
            struck_s = self.film.last_s
        return self.run.said_s("the run stops") - struck_s, told, problems

    def _held(self, struck_s: float, asleep: list[int]) -> tuple[float, dict[str, Any], list[str]]:
        """The last goals that were written are where the arm stands, and no other follows."""
        wait_until(self._stands, "the arm is held")
        let_pass(0.3)
        held_s = self.chain.goals[-1]
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
        told = self.run.wait() if asleep else {}
        let_pass(0.5)
        problems = first_error_faults(self.fault, told) if asleep else []
        if self.chain.goals[-1] > held_s:
            problems.append(f"commanded {(self.chain.goals[-1] - held_s) * 1000:.1f} ms after it was held")
        if not self._stands():
            problems.append("it is not held in the end")
        return held_s - struck_s, told, problems

    def _stands(self) -> bool:
        self.chain.settle()
        return self.chain.farthest_steps <= STANDS_STEPS

    def _not_at_rest(self) -> list[str]:
        self.chain.settle()
        away = [abs(servo.goal - servo.present) for servo in self.chain.servos]
        return [] if max(away) <= REST_STEPS else [f"it ended {away} steps away from its goals"]
