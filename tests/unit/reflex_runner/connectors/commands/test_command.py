"""A command that was on its way when the robot was stopped does not arrive afterwards."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk
from support.leftovers import leaves_no_thread
from support.robots.commands import journal_of, left_behind, robot_that
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
