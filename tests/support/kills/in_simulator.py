"""One run of the simulated arm in a session, struck at a random instant. The arm outlives its runner and is asked."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from reflex.embodiments import load_embodiment
from reflex_runner.simulation.speaking import connect
from support.kills.driving import Driving, driving
from support.kills.faults import SHIFTS_S, Fault, Parts
from support.kills.judging import Outcome, first_error_faults
from support.kills.stack import SessionStack
from support.kills.witness import Witness, witnessed
from support.waiting import let_pass, wait_until

__all__ = ["NotStruckError", "struck_in_simulator", "well"]

HealedT = TypeVar("HealedT")

ARM: Final = load_embodiment("so101_sim")
WITHIN_SHARE: Final = 0.05
"""Of each axis' range: so near is at rest."""
STILL: Final = 1.0
"""Degrees, or percent of the gripper: so far a held arm may sag."""
GOES_ON_S: Final = 1.0
COMMANDS: Final = 10
FREEZES_AFTER_S: Final = (5.0, 7.0)
"""Of the simulated camera: by then a run has begun."""


class NotStruckError(Exception):
    """The run ended by itself before: a machine too busy for any arm to move. It says nothing about the fault."""


def struck_in_simulator(fault: Fault, seed: str, number: int, stack: SessionStack) -> Outcome:
    """Start a run, strike it, see what becomes of it, and leave everything well behind."""
    well(stack.heal)
    chance = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="rk-"))
    try:
        settings = stack.settings()
        if fault.name == "camera frozen":
            settings["hardware"]["faults"] = {"frozen_camera": "front", "after_s": chance.uniform(*FREEZES_AFTER_S)}
        with (
            driving(folder, settings, TMPDIR=str(folder), **stack.environment) as run,
            witnessed(_address(folder, run)) as witness,
        ):
            return _Struck(fault, chance, number, stack, folder, run, witness).outcome()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def well(heal: Callable[[], HealedT]) -> HealedT:
    """What does not come up within a minute keeps the run from being struck, and is no fault of a robot's."""
    try:
        return heal()
    except (AssertionError, subprocess.TimeoutExpired) as exc:
        raise NotStruckError(f"the servers are not up: {exc}") from exc


def _address(folder: Path, run: Driving) -> Path:
    found: list[Path] = []

    def is_there() -> bool:
        found[:] = folder.glob("reflex-sim-*/arm")
        with suppress(OSError):
            for address in found:
                connect(str(address)).close()
            return bool(found)
        return False

    wait_until(lambda: is_there() or not run.is_running, "the simulated arm is there")
    _refuse_ended(run)
    return found[0]


def _refuse_ended(run: Driving) -> None:
    if not run.is_running:
        raise NotStruckError(f"{run.wait()}\n{run.last_words}")


class _Struck:
    def __init__(
        self, fault: Fault, chance: random.Random, number: int, stack: SessionStack, folder: Path, run: Driving,
        witness: Witness,
    ) -> None:  # fmt: skip
        self.fault, self.chance, self.number = fault, chance, number
        self.stack, self.run, self.witness = stack, run, witness
        self.parts = Parts(
            run.process.pid, stack.server.process.pid, lambda: stack.server.triton().pid, stack.control.process.pid,
            folder / "clock", chance.choice(SHIFTS_S),
        )  # fmt: skip

    def outcome(self) -> Outcome:
        witness = self.witness
        wait_until(lambda: self._has_moved() or not self.run.is_running, "the arm moves")
        _refuse_ended(self.run)
        let_pass(self.chance.uniform(0, 1.5))
        _refuse_ended(self.run)
        if witness.looks[-1].holds:
            raise NotStruckError("the arm was held before it was struck")
        struck_s = time.monotonic()
        asleep = self.fault.strike(self.parts)
        try:
            took_s, told, problems = self._followed(struck_s, asleep)
        finally:
            for pid in asleep:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        errors = [each["code"] for each in told.get("errors", ())]
        return Outcome(
            self.fault.name, "simulator", self.number, took_s, self.fault.within_s, errors[0] if errors else "",
            tuple(problems), self.run.last_words if problems else "",
        )  # fmt: skip

    def _has_moved(self) -> bool:
        newest = self.witness.newest
        return newest is not None and newest.commands > COMMANDS

    def _followed(self, struck_s: float, asleep: list[int]) -> tuple[float, dict[str, Any], list[str]]:
        if self.fault.state == "goes on":
            return self._went_on(struck_s)
        if self.fault.name == "camera frozen":
            self._await_hold(struck_s)
            struck_s = self.witness.picture_s("front")
        if self.fault.state == "at rest":
            return self._rested(struck_s)
        return self._held(struck_s, asleep)

    def _await_hold(self, struck_s: float) -> None:
        """An arm that has ended without one was held before the blow, and nobody had seen it yet."""

        def is_held() -> bool:
            return self.witness.first_hold_s(struck_s) < float("inf")

        wait_until(lambda: is_held() or not self.witness.thread.is_alive(), "the arm is held")
        if not is_held():
            raise NotStruckError("the arm was held before it was struck")

    def _held(self, struck_s: float, asleep: list[int]) -> tuple[float, dict[str, Any], list[str]]:
        """Held by the watchdog, and nothing afterwards, not even by a runner that wakes."""
        self._await_hold(struck_s)
        held_s = self.witness.first_hold_s(struck_s)
        let_pass(0.3)
        settled = self.witness.looks[-1].state
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
        told = self.run.wait() if asleep else {}
        let_pass(0.5)
        problems = first_error_faults(self.fault, told) if asleep else []
        last = self.witness.looks[-1]
        if last.last_command_s > held_s:
            problems.append(f"commanded {(last.last_command_s - held_s) * 1000:.1f} ms after it was held")
        if any(abs(now - then) > STILL for now, then in zip(last.state, settled, strict=True)):
            problems.append(f"it moved from {settled} to {last.state} while it was held")
        return held_s - struck_s, told, problems

    def _rested(self, struck_s: float) -> tuple[float, dict[str, Any], list[str]]:
        """Down its ladder: held first, at rest in the end, and its runner is gone."""
        told = self.run.wait()
        self.witness.thread.join()
        last = self.witness.looks[-1]
        problems = first_error_faults(self.fault, told)
        assert ARM.stop_ladder is not None
        assert ARM.stop_ladder.rest_pose is not None
        ranges = zip(ARM.action_low, ARM.action_high, strict=True)
        allowed = [WITHIN_SHARE * (high - low) for low, high in ranges]
        far = [abs(now - rest) for now, rest in zip(last.state, ARM.stop_ladder.rest_pose, strict=True)]
        if any(one > most for one, most in zip(far, allowed, strict=True)):
            problems.append(f"it ended at {last.state}, not at rest: {told.get('errors')}")
        return self.witness.first_hold_s(struck_s) - struck_s, told, problems

    def _went_on(self, struck_s: float) -> tuple[float, dict[str, Any], list[str]]:
        """As if nothing had been, until it is told to end."""
        before = self.witness.looks[-1].commands
        let_pass(GOES_ON_S)
        ends_s = time.monotonic()
        gone_on = self.witness.looks[-1].commands - before
        pause_s = self.witness.longest_pause_s(struck_s)
        self.run.process.send_signal(signal.SIGTERM)
        _, told, problems = self._rested(ends_s)
        if gone_on < GOES_ON_S * ARM.control_hz / 2:
            problems.append(f"only {gone_on} commands in {GOES_ON_S} s")
        return pause_s, told, problems
