"""`reflex.connect` runs a class of the user's own, or the robot of a file; its arguments count before both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reflex
from reflex.errors import SetupError
from support.runner.quick import QUICK, QuickServer, patient_target, quick_server


@pytest.fixture(scope="module")
def server() -> Iterator[QuickServer]:
    with quick_server() as made:
        yield made


class Joints:
    """Without its decorator."""

    embodiment = QUICK

    def __init__(self, sees: int = 1000) -> None:
        self.left = sees
        self.commands: list[Any] = []

    @reflex.observation
    def look(self) -> Any:
        self.left -= 1
        return {"state": list(QUICK.mean_state)} if self.left >= 0 else None

    @reflex.action
    def move(self, command: Any) -> None:
        self.commands.append(command)


def connected(server: QuickServer, **settings: Any) -> Any:
    return reflex.connect(url=server.url, **settings)(type("Own", (Joints,), {}))


def test_a_decorated_class_runs_and_does_not_move_by_default(server: QuickServer) -> None:
    arm = connected(server)()
    result = arm.run(max_steps=5)
    assert (result.ok, result.steps, arm.commands) == (True, 5, [])


def test_it_moves_where_the_mode_says_so(server: QuickServer) -> None:
    arm = connected(server, mode="apply_actions")()
    assert arm.run(max_steps=5).applied_steps == 5
    assert arm.commands[0].shape == (6,)
    assert np.isfinite(arm.commands).all()


def test_an_observation_that_is_none_ends_the_run(server: QuickServer) -> None:
    result = connected(server)(sees=30).run()
    assert result.ok, result.errors


def test_a_file_names_the_robot_and_arguments_count_before_it(server: QuickServer, tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(
        f"hardware: {{kind: 'support.runner.quick:QuickArm'}}\ntarget: {json.dumps(patient_target(server.url))}\n"
        "session: {mode: dry_run, max_steps: 1000000}\n",
        "utf-8",
    )
    beats: list[Any] = []
    with reflex.connect(path, instruction="pick", record=False, on_heartbeat=beats.append) as robot:
        assert robot.run(max_steps=4).steps == 4
    assert beats[-1]["steps"] == 4
    assert not (tmp_path / "recordings").exists()


@pytest.mark.parametrize(
    ("config", "given", "said"),
    [
        ({"sesion": {}}, {}, "no section is called 'sesion'"),
        ({"session": 3, "hardware": {"kind": "sim"}}, {}, "session must be a section"),
        ({"hardware": {"kind": "sim"}}, {"mode": "fast"}, "session.mode: input should be"),
        ({}, {}, "there is no hardware"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_entered(config: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError, match=said.replace(".", r"\.")), reflex.connect(config, **given):
        pass


def test_a_number_of_steps_that_is_none_is_refused(server: QuickServer) -> None:
    with pytest.raises(SetupError, match="max_steps is -1"):
        connected(server)().run(max_steps=-1)
