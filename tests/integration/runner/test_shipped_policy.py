"""The policy that ships does its task, in closed loop through the real server and the loop of `reflex connect`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import reflex
from docs.documents import REPOSITORY
from reflex.policy_config import read_policy_config
from reflex.readiness.checking import Check
from reflex_runner.config.sections import HardwareConfig, RobotConfig, TargetConfig
from reflex_runner.preflight.policy_checks import policy_checks
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import look_at
from support.outside.drawing import skip_without_pictures
from support.server import ServerProcess, free_port, running_server
from support.waiting import HANGS_S, wait_until

NAME = "pick_up_the_cube"
SHIPPED = REPOSITORY / "model_repository"
MOST_BYTES = 25_000_000
SEEDS = range(30_000, 30_020)
"""Which no demonstration had, and no figure of the documents."""
LEAST = 0.8
"""Of 20: a policy that is right 19 times of 20 is below it once in four hundred times."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server("--policy", NAME) as started:
        yield started


def test_it_is_small_says_what_it_is_and_that_it_was_trained() -> None:
    files = [path for folder in SHIPPED.glob(f"{NAME}*") for path in folder.rglob("*") if path.is_file()]
    config = read_policy_config(SHIPPED / NAME)

    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert (config.trained, config.embodiment, config.precision, config.prompt) == (True, "so101_sim", "fp16", None)
    assert "For the simulated arm alone" in config.description
    assert (config.parity or {}).get("verdict") == "passed"


@pytest.mark.slow
def test_most_cubes_of_seeds_that_nobody_has_seen_are_picked_up(server: ServerProcess) -> None:
    skip_without_pictures()
    report = reflex.evaluate(server.base_url, seeds=SEEDS, instruction="pick up the cube")

    assert report.errors == ()
    assert report.evaluation.rate >= LEAST, [each.seed for each in report.evaluation.episodes if not each.success]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["so101", "subprocess", "my_arms:Arm"])
def test_no_robot_but_the_simulated_arm_may_be_led_by_it(server: ServerProcess, kind: str) -> None:
    looks_alike = RobotFacts(kind, is_simulated=False, embodiment="so101_sim", cameras=("front",))

    refused = checks(server, looks_alike)

    assert refused["simulation"].status == "fail"
    assert f"is for the simulator alone (so101_sim), and {kind} is hardware" in refused["simulation"].message
    assert refused["trained"].message.endswith("is trained, simulation only")


@pytest.mark.slow
def test_the_simulated_arm_may(server: ServerProcess) -> None:
    arm = RobotFacts("sim", is_simulated=True, embodiment="so101_sim", cameras=("front",))
    assert {name for name, each in checks(server, arm).items() if each.status == "fail"} == set()


def checks(server: ServerProcess, robot: RobotFacts) -> dict[str, Check]:
    found = look_at(TargetConfig(url=server.base_url), None)
    assert found is not None
    config = RobotConfig(hardware=HardwareConfig(robot.kind), target=TargetConfig(url=server.base_url))
    return {each.id: each for each in policy_checks(found.policies[0], config, robot)}


@pytest.mark.slow
def test_the_demo_shows_it_on_a_page_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    skip_without_pictures()
    log_path, port = tmp_path / "log", free_port()
    command = [sys.executable, "-m", "reflex.cli", "demo", "run", "--port", str(port)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "COLUMNS": "200"})

    def said(words: str) -> bool:
        assert process.poll() is None, log_path.read_text()
        return words in log_path.read_text()

    try:
        wait_until(lambda: said("episode 1, seed 10000: "), "the first episode has ended", timeout_s=10 * HANGS_S)
        health: Any = httpx.get(f"http://127.0.0.1:{port}/health", timeout=HANGS_S).json()
        process.send_signal(signal.SIGINT)
        code = process.wait(HANGS_S)
    finally:
        process.kill()
        process.wait()

    assert json.dumps(health).count(NAME) > 0
    assert code == 0
    assert log_path.read_text().rstrip().endswith("all is ended")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/health", timeout=HANGS_S)
