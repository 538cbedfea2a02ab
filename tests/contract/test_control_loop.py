"""examples/control_loop.py: against the real server as its users start it, and against servers that fail."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from reflex.client import MockAnswer, MockTransport, ReflexClient, chunk
from reflex.embodiments import Embodiment, load_embodiment
from reflex.errors import ClientTimeoutError, TransportError, service_error
from support.hostile_served import Served

LOOP = Path(__file__).parents[2] / "examples" / "control_loop.py"
FAST = dataclasses.replace(load_embodiment("ur5"), control_hz=1000.0)
CONFIG = {"policy_id": "p", "horizon": 4, "state_dim": 6}
STEP = FAST.action_max_step[0]


def example() -> Any:
    spec = importlib.util.spec_from_file_location("control_loop", LOOP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Arm:
    """Remembers what it was told; after `patience` moves and holds its owner presses Ctrl-C."""

    def __init__(self, robot: Embodiment, patience: int = 10) -> None:
        self.told: list[float | str] = []
        self.patience = patience
        self.robot = robot

    def picture(self) -> bytes:
        return b"\x89PNG\r\n\x1a\n"

    def state(self) -> list[float]:
        return list(self.robot.mean_state)

    def move(self, action: Any) -> None:
        self.told.append(float(action[0]))
        self.count()

    def hold(self) -> None:
        self.told.append("hold")
        self.count()

    def count(self) -> None:
        self.patience -= 1
        if self.patience == 0:
            raise KeyboardInterrupt


def told_by(*answers: MockAnswer, config: dict[str, Any] = CONFIG) -> list[float | str]:
    """What an arm is told while a server answers so."""
    script = list(answers)

    def answer(request: httpx.Request) -> MockAnswer:
        if request.url.path == "/config":
            return config
        return script.pop(0) if len(script) > 1 else script[0]

    arm = Arm(FAST)
    with pytest.raises(KeyboardInterrupt), ReflexClient(transport=MockTransport(answer)) as client:
        example().run(client, arm, FAST, seconds=60.0)
    return arm.told


def rows(*values: float) -> MockAnswer:
    return chunk([[value] + [0.0] * 5 for value in values])


@pytest.mark.slow
def test_it_runs_against_a_server_as_it_comes_at_the_rate_of_the_policy(demo: Served) -> None:
    done = subprocess.run(
        [sys.executable, str(LOOP), demo.process.base_url, "1"], capture_output=True, text=True, check=True
    )

    found = re.fullmatch(r"(\d+) actions for franka, (\d+) a second\n", done.stdout)
    assert found, done
    with ReflexClient(demo.process.base_url) as client:
        policy, a_second = client.config(), client.embodiment().control_hz
    assert int(found[2]) == a_second
    steps = policy["n_action_steps"] or policy["horizon"] // 2
    assert 0 < int(found[1]) <= a_second + steps, "a chunk that has begun is run to its end"


def test_it_asks_again_after_the_steps_that_the_policy_was_made_for() -> None:
    answers = [rows(*np.linspace(at, at + STEP, 4)) for at in (0.0, 0.01, 0.02)]

    half = told_by(*answers)
    three = told_by(*answers, config={**CONFIG, "n_action_steps": 3})

    assert half[:4] == pytest.approx([0.0, STEP / 3, 0.01, 0.01 + STEP / 3])
    assert three[:4] == pytest.approx([0.0, STEP / 3, STEP * 2 / 3, 0.01])


def test_it_does_not_jump_between_two_chunks_however_far_they_lie_apart() -> None:
    told = told_by(rows(0.0, 0.0, 0.0, 0.0), rows(3.0, 3.0, 3.0, 3.0))

    moves = [value for value in told if isinstance(value, float)]
    assert max(np.abs(np.diff(moves))) <= STEP + 1e-6
    assert moves[-1] > 5 * STEP


@pytest.mark.parametrize(
    "fault",
    [
        TransportError("gone"),
        ClientTimeoutError("late"),
        service_error("inference_failed", "failed"),
        service_error("circuit_open", "not now", retry_after_s=5.0),
        service_error("non_finite_action", "NaN"),
        chunk([[0.0] * 5] * 4),
        {"status": "no chunk"},
    ],
)
def test_it_holds_on_every_error_and_goes_on_when_that_is_over(fault: MockAnswer) -> None:
    told = told_by(rows(0.0, 0.0, 0.0, 0.0), fault, fault, rows(0.0, 0.0, 0.0, 0.0))

    assert told[:2] == [0.0, 0.0]
    assert "hold" in told[2:4]
    assert 0.0 in told[4:]


def test_it_ends_with_the_arm_held() -> None:
    assert told_by(rows(0.0, 0.0, 0.0, 0.0))[-1] == "hold"
