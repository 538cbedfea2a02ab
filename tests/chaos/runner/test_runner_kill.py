"""kill -9, SIGSTOP, SIGTERM and Ctrl-C of a runner: its arm is stopped in time, and nothing is applied afterwards.

REFLEX_CHAOS_RUNNER_KILLS sets how often it is killed, each time at a random instant (3).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.promise import Promise
from support.runner.stoppable import noted
from support.waiting import HANGS_S, let_pass, wait_until

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("REFLEX_CHAOS_RUNNER_KILLS", "3"))
HELD_WITHIN_S = 0.5
TESTS = Path(__file__).parents[2]


@contextmanager
def moving(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A runner whose robot moves."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    runner = subprocess.Popen([sys.executable, "-m", "support.runner.session", str(folder)], env=environment)
    try:
        wait_until(lambda: len(noted(folder / "applied")) > 3 or runner.poll() is not None, "the robot moves")
        assert runner.poll() is None
        yield runner
    finally:
        runner.kill()
        runner.wait(HANGS_S)


def result_of(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "result").read_text(encoding="utf-8"))
    return told


def applied_after(folder: Path, moment: float) -> list[float]:
    return [at for at, _ in noted(folder / "applied") if at > moment]


@pytest.mark.parametrize("kill", range(KILLS))
def test_after_kill_9_the_robot_is_held_at_once_and_only_once(tmp_path: Path, promise: Promise, kill: int) -> None:
    with moving(tmp_path) as runner:
        let_pass(random.Random(kill).uniform(0, 0.2))
        killed_s = time.monotonic()
        runner.kill()
        wait_until(lambda: noted(tmp_path / "stopped"), "the robot is held")
        ((held_s, what),) = noted(tmp_path / "stopped")
    assert what == "hold"
    assert applied_after(tmp_path, held_s) == []
    promise("the robot is held after kill -9 of its runner", held_s - killed_s, at_most=HELD_WITHIN_S)


def test_a_runner_that_freezes_is_stopped_and_when_it_wakes_it_applies_nothing(
    tmp_path: Path, promise: Promise
) -> None:
    with moving(tmp_path) as runner:
        frozen_s = time.monotonic()
        runner.send_signal(signal.SIGSTOP)
        wait_until(lambda: noted(tmp_path / "stopped"), "the robot is held")
        runner.send_signal(signal.SIGCONT)
        assert runner.wait(HANGS_S) == 0
        ((held_s, what),) = noted(tmp_path / "stopped")
    assert what == "hold"
    assert applied_after(tmp_path, held_s) == []
    told = result_of(tmp_path)
    assert [error["code"] for error in told["errors"]] == ["watchdog"]
    assert told["whats"][-1] == "stop"
    assert "safe_stop" not in told["whats"], "it is stopped already"
    promise("the robot is held after its runner froze", held_s - frozen_s, at_most=1.0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_ctrl_c_and_sigterm_go_down_the_ladder_and_end_without_the_watchdog(
    number: signal.Signals, code: str, tmp_path: Path
) -> None:
    with moving(tmp_path) as runner:
        runner.send_signal(number)
        assert runner.wait(HANGS_S) == 0
    told = result_of(tmp_path)
    assert (told["ok"], told["safeStops"]) == (True, 1), code
    assert told["whats"] == ["apply", "apply", "stop"], "it returned to rest before it closed"
    assert noted(tmp_path / "stopped") == []


def test_ctrl_c_twice_holds_and_exits(tmp_path: Path) -> None:
    with moving(tmp_path) as runner:
        runner.send_signal(signal.SIGINT)
        let_pass(0.1)
        runner.send_signal(signal.SIGINT)
        assert runner.wait(HANGS_S) == 0
    assert result_of(tmp_path)["whats"][-2:] == ["safe_stop", "stop"]


def test_killed_during_its_stop_the_robot_is_held_too(tmp_path: Path) -> None:
    with moving(tmp_path) as runner:
        runner.send_signal(signal.SIGTERM)
        before = len(noted(tmp_path / "applied"))
        wait_until(lambda: len(noted(tmp_path / "applied")) > before + 3, "it returns to rest")
        runner.kill()
        wait_until(lambda: noted(tmp_path / "stopped"), "the robot is held")
    assert [what for _, what in noted(tmp_path / "stopped")] == ["hold"]
