"""Whatever dies or freezes under a run, its arm is stopped as declared, in time, and nothing is applied afterwards.

A real `reflex connect` asks a real server. REFLEX_CHAOS_STACK_RUNS is how many runs each fault strikes, each at a
random instant (1).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from reflex.embodiments import load_embodiment
from support.kills.faults import NO_POLICY
from support.promise import Promise
from support.runner.stoppable import noted
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S, let_pass, wait_until

pytestmark = pytest.mark.slow

RUNS: Final = int(os.environ.get("REFLEX_CHAOS_STACK_RUNS", "1"))
TESTS: Final = Path(__file__).parents[2]
STOP_AFTER_S: Final = 4.0
MARGIN_S: Final = 1.0
"""For the way from the stop to the arm: a period, and a busy machine."""
YAML: Final = """
session: {{mode: apply_actions, instruction: pick up the cube}}
target: {{kind: {kind}, url: "{url}", timeout_s: 1.0}}
hardware: {{kind: "support.runner.logged_arm:LoggedArm", log: "{folder}/log", stopped: "{folder}/stopped"}}
safety: {{hold_after_ms: 2000, stop_after_ms: {stop_ms}}}
"""
LADDER = load_embodiment("so101_sim").stop_ladder
Fault = Callable[[ServerProcess], list[int]]
"""Strikes, and gives the processes that are to be woken afterwards."""


def frozen(pid: int) -> list[int]:
    os.kill(pid, signal.SIGSTOP)
    return [pid]


def killed(pid: int) -> list[int]:
    os.kill(pid, signal.SIGKILL)
    return []


FAULTS: dict[str, Fault] = {
    "triton frozen": lambda server: frozen(server.triton().pid),
    "frontend frozen": lambda server: frozen(server.process.pid),
    "triton killed and its start frozen": lambda server: killed(server.triton().pid) + frozen(server.process.pid),
    "frontend killed": lambda server: killed(server.process.pid),
}


@dataclass
class Run:
    folder: Path
    runner: subprocess.Popen[str]

    @property
    def log(self) -> list[tuple[float, str]]:
        return noted(self.folder / "log")

    @property
    def poses(self) -> list[tuple[float, tuple[float, ...]]]:
        words = [(at, what.split()) for at, what in self.log]
        return [(at, tuple(map(float, word[1:]))) for at, word in words if word[0] == "apply"]


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[], ServerProcess]]:
    """A server that lives: another one when the last was killed."""
    with ExitStack() as opened:
        newest: list[ServerProcess] = []

        def living() -> ServerProcess:
            if not newest or newest[-1].process.poll() is not None:
                newest.append(opened.enter_context(running_server("--policy", "sim_demo")))
            return newest[-1]

        yield living


@contextmanager
def running(folder: Path, server: ServerProcess, kind: str) -> Iterator[Run]:
    text = YAML.format(url=server.base_url, folder=folder, kind=kind, stop_ms=int(STOP_AFTER_S * 1000))
    (folder / "robot.yaml").write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(TESTS), "REFLEX_NO_RECORD": "1"}
    command = [sys.executable, "-m", "reflex.cli", "connect", "--config", str(folder / "robot.yaml"), "--json"]
    runner = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = Run(folder, runner)
    try:
        wait_until(lambda: len(run.poses) > 10 or runner.poll() is not None, "the arm moves")
        assert runner.poll() is None, runner.communicate()
        yield run
    finally:
        runner.kill()
        runner.communicate(timeout=HANGS_S)


@pytest.mark.parametrize("number", range(RUNS))
@pytest.mark.parametrize("kind", ["act", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_dies_or_freezes_ends_in_the_declared_stop(
    tmp_path: Path, servers: Callable[[], ServerProcess], promise: Promise, fault: str, kind: str, number: int
) -> None:
    server = servers()
    with running(tmp_path, server, kind) as run:
        let_pass(random.Random(f"{fault}{kind}{number}").uniform(0, 0.3))
        struck_s = time.monotonic()
        asleep = FAULTS[fault](server)
        try:
            told, _ = run.runner.communicate(timeout=HANGS_S)
        finally:
            for pid in asleep:
                os.kill(pid, signal.SIGCONT)
        ended_s = time.monotonic()
    result = json.loads(told)
    stops = [at for at, what in run.log if what == "safe_stop"]

    assert LADDER is not None
    assert (result["ok"], result["safeStops"]) == (False, 1), result
    assert result["errors"][0]["code"] in NO_POLICY, result
    assert stops, "the ladder begins with a hold"
    assert run.poses[-1][1] == pytest.approx(LADDER.rest_pose, abs=0.01), "the declared safe state"
    assert run.log[-1][1] == "stop"
    assert all(at <= ended_s for at, _ in run.log)
    promise("the ladder begins after the server fell silent", stops[0] - struck_s, at_most=STOP_AFTER_S + MARGIN_S)
    assert noted(tmp_path / "stopped") == [], "the watchdog had nothing to do"


@pytest.mark.parametrize("number", range(RUNS))
def test_a_runner_that_is_killed_beside_a_living_server_leaves_the_arm_held(
    tmp_path: Path, servers: Callable[[], ServerProcess], promise: Promise, number: int
) -> None:
    with running(tmp_path, servers(), "act") as run:
        let_pass(random.Random(number).uniform(0, 0.3))
        killed_s = time.monotonic()
        run.runner.kill()
        wait_until(lambda: noted(tmp_path / "stopped"), "the arm is held")
    ((held_s, what),) = noted(tmp_path / "stopped")
    assert what == "hold"
    assert [at for at, _ in run.poses if at > held_s] == []
    promise("the arm is held after kill -9 of reflex connect", held_s - killed_s, at_most=0.5)
