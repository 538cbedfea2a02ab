"""`lerobot:TYPE` drives a real robot class of LeRobot's, from a Python that has no LeRobot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk, Connector
from reflex.processes.guardian import living
from reflex_runner.connectors.build import build_connector
from reflex_runner.connectors.lerobot import LerobotRobot
from reflex_runner.errors import HardwareError
from stock_lerobot.stock import INSIDE, StockLeRobot, actions_in
from support.skips import skip_for_want_of
from support.waiting import wait_until

STEPS = 20
COUNTING = {"views": "camera1:48x64,camera2:64x64", "steps": 1_000}


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = os.environ.get("STOCK_LEROBOT_PYTHON")
    if found is None:
        skip_for_want_of("LeRobot")
    stock = StockLeRobot(Path(found), tmp_path / "plugins")
    monkeypatch.setenv("PYTHONPATH", f"{stock.plugins}{os.pathsep}{INSIDE}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path / "home"))
    return found


def robot_of(python: str, kind: str, folder: Path, **settings: Any) -> LerobotRobot:
    made = build_connector(f"lerobot:{kind}", {"python": python, "robot": settings}, folder=folder)
    assert isinstance(made, LerobotRobot)
    return made


@pytest.fixture
def robot(python: str, tmp_path: Path) -> Iterator[Connector]:
    made = robot_of(python, "counting_arm", tmp_path, log=str(tmp_path / "log"), **COUNTING)
    made.start()
    yield made
    made.stop()
    assert living(made._family.mark, frozenset()) == []


def test_a_plugin_is_observed_and_moved(robot: Connector, tmp_path: Path) -> None:
    first = robot.get_observation()
    wanted = np.arange(STEPS * 6, dtype=np.float32).reshape(STEPS, 6)
    for number, action in enumerate(wanted, 1):
        robot.apply_action(ActionChunk(action[None], 1 / 30))
        wait_until(lambda number=number: len(actions_in(tmp_path / "log")) == number, "it is sent")  # type: ignore[misc]
    last = robot.get_observation()
    robot.safe_stop("enough")

    assert first.state.tolist() == [0.0] * 6
    assert last.state.tolist() == wanted[-1].tolist()
    assert {name: np.asarray(frame.image).shape for name, frame in last.cameras.items()} == {
        "camera1": (48, 64, 3),
        "camera2": (64, 64, 3),
    }
    assert actions_in(tmp_path / "log").tolist() == [*wanted.tolist(), wanted[-1].tolist()]


def test_one_of_lerobots_own_is_found_and_says_what_keeps_it(python: str, tmp_path: Path) -> None:
    arm = robot_of(python, "so101_follower", tmp_path, port="/dev/tty-of-nobody", id="left")
    with pytest.raises(HardwareError, match=r"The LeRobot observe command says: \w+: .*tty-of-nobody"):
        arm.start()
    arm.stop()


def test_an_unknown_robot_and_an_unknown_setting_are_named(python: str, tmp_path: Path) -> None:
    unknown = robot_of(python, "so101_folower", tmp_path)
    with pytest.raises(
        HardwareError, match=r"LeRobot knows no robot 'so101_folower'; did you mean lerobot:so101_follower"
    ):
        unknown.start()
    unknown.stop()
    typo = robot_of(python, "so101_follower", tmp_path, prot="/dev/ttyUSB0")
    with pytest.raises(HardwareError, match=r"hardware\.robot: .*prot.*; so101_follower knows .*port"):
        typo.start()
    typo.stop()
