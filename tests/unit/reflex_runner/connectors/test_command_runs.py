"""Whole runs with a command that does what no command should: the documented message, a safe stop, no process left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs.documents import REPOSITORY
from reflex.connector import ActionChunk
from reflex_runner.errors import HardwareError
from reflex_runner.loop.run_session import run_session
from reflex_runner.loop.tally import RunnerResult
from support.leftovers import leaves_no_descriptor
from support.robots.commands import journal_of, left_behind, robot_that
from support.runner.arms import arm
from support.runner.session import PATIENT, Policy
from support.waiting import wait_until

SLOW = arm(control_hz=8.0)
TIMEOUT_S = 1.0
TEXT = (REPOSITORY / "docs" / "your-own-robot.md").read_text(encoding="utf-8")
TIMED_OUT = "timed out: no JSON line within command_timeout_s"
HANGS = {
    "slow": TIMED_OUT,
    "hang": TIMED_OUT,
    "ignore_sigterm": TIMED_OUT,
    "fork_and_hang": TIMED_OUT,
    "closed_stdout": "closed its stdout before it printed a line, and went on",
    "half_line": "timed out: no whole line, 14 bytes",
}
"""What a command does that is asked to observe, and what the run says then."""
ENDS = {
    "silent": "before it printed a line",
    "die": "ended with exit code 3 before it printed a line",
    "kill_itself": "was ended by SIG",
    "garbage": "printed no JSON",
    "no_utf8": "printed bytes that are no UTF-8",
    "two_lines": "printed more than one line",
    "endless": "printed 32 MiB without the end of a line",
}
"""The same, of what is not waited for."""
HOW = [pytest.param(True, id="one that stays"), pytest.param(False, id="a process per request", marks=pytest.mark.slow)]


def run(what: str, folder: Path, *, steps: int = 40, persistent: bool = True, **settings: Any) -> RunnerResult:
    robot = robot_that(what, folder, persistent=persistent, **settings)
    with leaves_no_descriptor():
        result = run_session(
            robot, Policy((1.0, 2.0)), None, "apply_actions", robot=SLOW, safety=PATIENT, max_steps=steps
        )
    assert left_behind(folder) == []
    return result


@pytest.mark.slow
def test_a_good_command_is_driven_and_left_stopped(tmp_path: Path) -> None:
    result = run("well", tmp_path, steps=3)

    assert result.ok, result.errors
    assert result.applied_steps == 3
    asked = [each["op"] for each in journal_of(tmp_path)]
    assert asked[0] == "start"
    assert asked.count("apply") >= 1
    assert [each for each in asked if each != "observe"][-1] == "safe_stop"


@pytest.mark.slow
@pytest.mark.parametrize("what", [*HANGS, *ENDS])
@pytest.mark.parametrize("persistent", HOW)
def test_one_that_misbehaves_ends_the_run_with_the_documented_message_and_a_safe_stop(
    what: str, persistent: bool, tmp_path: Path
) -> None:
    phrase = (HANGS | ENDS)[what]
    settings: dict[str, Any] = {"command_timeout_s": TIMEOUT_S} if what in HANGS else {}
    result = run(what, tmp_path, persistent=persistent, **settings)

    [error, *others] = result.errors
    assert "The observe command " in error.message
    # On a busy machine a process may need longer than that to start at all, and be killed before it does anything.
    assert phrase in error.message or (what in HANGS and TIMED_OUT in error.message)
    assert phrase in TEXT, "the page tells of it"
    assert result.safe_stops == 1
    assert asked_of(tmp_path)[-1:] == ["safe_stop"] or "The safe_stop command timed out" in others[0].message


@pytest.mark.slow
@pytest.mark.parametrize("what", ["fork", "fork_bare"])
@pytest.mark.parametrize("persistent", HOW)
def test_one_that_leaves_programs_running_is_driven_and_leaves_none(
    what: str, persistent: bool, tmp_path: Path
) -> None:
    result = run(what, tmp_path, steps=3, persistent=persistent)

    assert result.ok, result.errors
    assert result.applied_steps == 3
    assert asked_of(tmp_path)[-1] == "safe_stop"


@pytest.mark.slow
def test_one_that_hangs_in_apply_ends_the_run_with_its_message_and_a_safe_stop(tmp_path: Path) -> None:
    result = run("apply_hangs", tmp_path, command_timeout_s=TIMEOUT_S)

    assert "The apply command timed out: no JSON line within command_timeout_s (1 s)." in result.errors[0].message
    assert result.safe_stops == 1
    assert asked_of(tmp_path)[-1] == "safe_stop", "nothing is applied afterwards"


def asked_of(folder: Path) -> list[str]:
    """What the robot was asked to do, but for looking."""
    return [each["op"] for each in journal_of(folder) if each["op"] != "observe"]


def test_who_waits_behind_a_request_that_fails_says_what_that_one_did(tmp_path: Path) -> None:
    robot = robot_that("apply_hangs", tmp_path, persistent=True, command_timeout_s=2.0)
    robot.start()
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: [each for each in journal_of(tmp_path) if each["op"] == "apply"], "it is being applied")
    with pytest.raises(HardwareError, match=r"^The apply command timed out: no JSON line within command_timeout_s"):
        robot.get_observation()
    robot.stop()
    assert left_behind(tmp_path) == []
