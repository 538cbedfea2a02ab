"""A command that was on its way when the robot was stopped does not arrive afterwards."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk
from reflex_runner.errors import HardwareError
from support.leftovers import leaves_no_thread
from support.robots.commands import MISBEHAVING, journal_of, left_behind, robot_that
from support.waiting import HANGS_S, wait_until

MOVE = ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True], ids=["a process per request", "one that stays"])
@pytest.mark.parametrize("ending", ["safe_stop", "stop"])
def test_what_waits_for_its_turn_while_the_robot_is_stopped_is_never_sent(
    ending: str, persistent: bool, tmp_path: Path
) -> None:
    robot: Any = robot_that("well", tmp_path, persistent=persistent)
    with leaves_no_thread():
        robot.start()
        turn = robot._commands["apply"]._turn
        with turn:
            robot.apply_action(MOVE)
            wait_until(lambda: robot._sender._waiting is None, "its thread has taken it, and waits for its turn")
            ends = threading.Thread(target=getattr(robot, ending))
            ends.start()
            wait_until(lambda: robot._sender._drops > 0, "nothing is wanted any more")
        ends.join(HANGS_S)
        robot.stop()

    asked = [each["op"] for each in journal_of(tmp_path) if each["op"] != "start"]
    assert asked == (["safe_stop"] if ending == "safe_stop" else [])
    assert left_behind(tmp_path) == []


def test_a_safe_stop_that_waited_behind_a_request_which_failed_is_asked_all_the_same(tmp_path: Path) -> None:
    shared = [sys.executable, "-I", "-S", str(MISBEHAVING), "well", str(tmp_path / "journal")]
    robot: Any = robot_that("well", tmp_path, persistent=True, safe_stop=shared)
    with leaves_no_thread():
        robot.start()
        command = robot._commands["safe_stop"]
        assert command is robot._commands["observe"], "one process is asked for everything"
        stops = threading.Thread(target=command.ask, args=("safe_stop", {"op": "safe_stop", "reason": ""}, HANGS_S))
        command._turn = turn = Announced()
        with turn:
            stops.start()
            wait_until(lambda: turn.is_wanted, "it waits for its turn")
            command._failed = HardwareError("the observe command timed out")
        stops.join(HANGS_S)
        robot.stop()

    assert journal_of(tmp_path)[-1]["op"] == "safe_stop"


class Announced:
    """A lock that says when somebody waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_wanted = False

    def acquire(self, timeout: float) -> bool:
        self.is_wanted = True
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
