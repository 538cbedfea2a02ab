"""A run on the servos of an SO-101: dry_run writes nothing, a run ends in a hold, and so does one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.servos.arms import MIDDLE, calibrate, write_file
from support.servos.chain import Chain
from support.servos.driven import drive
from support.servos.wires import PtyBus, pty_bus
from support.waiting import wait_until

TESTS = Path(__file__).parents[3]
SLOW_STEPS_S = 150.0
STUCK_STEPS_S = 10.0
"""Far behind its goal: whoever holds it changes the goal."""
FAR = MIDDLE[0] + 600


@pytest.fixture
def servos(tmp_path: Path) -> Iterator[PtyBus]:
    write_file(tmp_path)
    with pty_bus(calibrate(Chain())) as bus:
        for servo in bus.chain.servos:
            servo.steps_a_second = SLOW_STEPS_S
        yield bus


@pytest.mark.slow
def test_a_dry_run_writes_nothing_to_a_servo(servos: PtyBus, tmp_path: Path) -> None:
    result = drive(servos.port, tmp_path, "dry_run", max_steps=10)

    assert result.ok, result
    assert [servo.written for servo in servos.chain.servos] == [[]] * 6


@pytest.mark.slow
def test_a_run_moves_the_arm_and_holds_it_in_the_end(servos: PtyBus, tmp_path: Path) -> None:
    """By itself, or by its watchdog where a busy machine keeps it from its beat."""
    result = drive(servos.port, tmp_path, "apply_actions", max_steps=15)
    servos.chain.settle()
    shoulder = servos.chain.servo(1)

    assert result.applied_steps > 0
    assert abs(shoulder.goal - shoulder.present) <= 30
    assert all(servo.torque for servo in servos.chain.servos)


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_an_arm_that_its_watchdog_holds(servos: PtyBus, tmp_path: Path) -> None:
    shoulder = servos.chain.servo(1)
    shoulder.steps_a_second = STUCK_STEPS_S
    command = [sys.executable, "-m", "support.servos.driven", servos.port, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    with subprocess.Popen(command, env=environment) as run:
        wait_until(lambda: shoulder.torque and shoulder.goal > FAR, "the arm is far behind its goal")
        run.send_signal(signal.SIGKILL)
        run.wait()
    wait_until(lambda: shoulder.goal < FAR, "the watchdog holds the arm")
    servos.chain.settle()

    assert abs(shoulder.goal - shoulder.present) <= 30
    assert all(servo.torque for servo in servos.chain.servos)
