"""A robot of LeRobot is driven from a process of its own, and whatever is wrong with it comes as one sentence.

The LeRobot here is played (tests/support/robots/fake_lerobot); tests/stock_lerobot drives a real one.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk
from reflex.errors import SetupError
from reflex.processes.guardian import living
from reflex_runner.connectors.build import build_connector
from reflex_runner.connectors.lerobot import LerobotRobot
from reflex_runner.errors import HardwareError
from reflex_runner.loop.watch_handle import parse_handle
from support.leftovers import leaves_no_descriptor, leaves_no_thread
from support.robots.commands import LONG_S
from support.waiting import HANGS_S, wait_until

FAKE = Path(__file__).parents[3] / "support" / "robots" / "fake_lerobot"
Made = Callable[..., LerobotRobot]
HELD = ["send", {"shoulder.pos": 5.0, "wheel.vel": 0.0}]
"""What a process commands that finds the robot of the fake where it stands when it is connected."""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    robots: list[LerobotRobot] = []

    def make(kind: str = "fake_follower", robot: dict[str, Any] | None = None, **settings: Any) -> LerobotRobot:
        given = {
            "robot": {"journal": str(tmp_path / "journal"), **(robot or {})},
            "command_timeout_s": LONG_S,
            **settings,
        }
        connector = build_connector(f"lerobot:{kind}", given, folder=tmp_path)
        assert isinstance(connector, LerobotRobot)
        robots.append(connector)
        return connector

    with leaves_no_thread(), leaves_no_descriptor():
        yield make
        for robot in robots:
            robot.stop()
            assert living(robot._family.mark, frozenset()) == []


def journal(folder: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (folder / "journal").read_text().splitlines()]


def observes(robot: LerobotRobot) -> bool:
    try:
        robot.get_observation()
    except HardwareError:
        return False
    return True


def test_it_observes_applies_holds_and_keeps_its_torque(made: Made, tmp_path: Path) -> None:
    robot = made()
    robot.start()
    seen = robot.get_observation()
    robot.safe_stop("before it was moved")
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: len(journal(tmp_path)) == 2, "it is moved")
    robot.safe_stop("enough")
    robot.stop()

    assert (robot.state_names, robot.action_names) == (
        ("shoulder.pos", "wheel.vel", "load"), ("shoulder.pos", "wheel.vel")
    )  # fmt: skip
    assert seen.state.tolist() == [5.0, 0.0, 0.5]
    assert list(seen.cameras) == ["front"]
    assert np.asarray(seen.cameras["front"].image).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]
    assert journal(tmp_path) == [
        ["connect", False],
        ["send", {"shoulder.pos": 1.0, "wheel.vel": 2.0}],
        ["send", {"shoulder.pos": 1.0, "wheel.vel": 0.0}],
        ["disconnect", False],
    ]


def test_a_run_that_was_killed_leaves_the_robot_held(made: Made, tmp_path: Path) -> None:
    robot = made()
    robot.start()
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: len(journal(tmp_path)) == 2, "it is moved")
    watch = parse_handle(robot.watch_handle()).bound()
    robot.stop()  # without a safe stop: its process sees what it would see

    watch("hold")
    assert journal(tmp_path)[2:] == [["send", {"shoulder.pos": 1.0, "wheel.vel": 0.0}], ["disconnect", False]]


def test_what_lerobot_prints_is_in_the_verbose_log(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    robot = made()
    with caplog.at_level("DEBUG", "reflex.commands"):
        robot.start()
        robot.get_observation()
        robot.stop()

    assert "LeRobot observe: a line that LeRobot prints, where only answers belong" in caplog.messages
    assert "LeRobot observe: observing" in caplog.messages


def test_names_can_be_chosen_in_the_policys_order(made: Made) -> None:
    robot = made(state=["load", "shoulder.pos"], actions=["shoulder.pos"])
    robot.start()

    assert robot.get_observation().state.tolist() == [0.5, 5.0]
    assert robot.action_names == ("shoulder.pos",)


def test_the_users_own_word_on_the_torque_counts(made: Made, tmp_path: Path) -> None:
    robot = made(robot={"disable_torque_on_disconnect": True})
    robot.start()
    robot.stop()

    assert journal(tmp_path)[-1] == ["disconnect", True]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"kind": "fake_folower"}, "LeRobot knows no robot 'fake_folower'; did you mean lerobot:fake_follower?"),
        ({"kind": "zzz"}, "LeRobot knows no robot 'zzz'; it knows fake_follower"),
        ({"robot": {"prot": "x"}}, "`prot` are not valid for FakeFollowerConfig; fake_follower knows "),
        (
            {"robot": {"does": "uncalibrated", "id": "left"}},
            "run lerobot-calibrate --robot.type=fake_follower --robot.id=",
        ),
        ({"robot": {"does": "asks"}}, "EOFError"),
        ({"state": ["elbow.pos"]}, "the robot has no elbow.pos; its state is shoulder.pos, wheel.vel, load, front"),
        ({"actions": ["load"]}, "the robot has no load; "),
    ],
)  # fmt: skip
def test_what_keeps_it_from_starting_is_said(how: dict[str, Any], said: str, made: Made) -> None:
    robot = made(**how)
    with pytest.raises(HardwareError) as refused:
        robot.start()

    assert str(refused.value).startswith("The LeRobot observe command says: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("fails", "The LeRobot observe command says: ConnectionError: motor 3 does not answer"),
        ("dies", "The LeRobot observe command ended with exit code 1 before it printed a line; "),
    ],
)
def test_what_goes_wrong_while_it_runs_is_said(does: str, said: str, made: Made) -> None:
    robot = made(robot={"does": does})
    robot.start()
    with pytest.raises(HardwareError) as failed:
        robot.get_observation()

    assert str(failed.value).startswith(said)


def test_a_robot_that_hangs_times_out(made: Made) -> None:
    robot = made(robot={"does": "hang"}, command_timeout_s=0.3)
    robot.start()

    with pytest.raises(HardwareError, match=r"The LeRobot observe command timed out: no JSON line within command_time"):
        robot.get_observation()


@pytest.mark.parametrize(("does", "timeout_s"), [("hangs_first", 2.0), ("dies_first", LONG_S), ("dies_moving", LONG_S)])
def test_what_replaces_a_process_that_hung_or_died_holds_what_that_one_moved(
    does: str, timeout_s: float, made: Made, tmp_path: Path
) -> None:
    robot = made(robot={"does": does}, command_timeout_s=timeout_s)
    robot.start()
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: len(journal(tmp_path)) == 2, "it is moved")
    wait_until(lambda: not observes(robot), "it hangs or dies")
    robot.safe_stop("it hangs or dies")
    robot.stop()

    assert journal(tmp_path)[-2:] == [HELD, ["disconnect", False]]
    assert journal(tmp_path).count(["connect", False]) == 2


def test_a_process_that_is_ended_while_it_hangs_takes_the_speed_off_first(made: Made, tmp_path: Path) -> None:
    robot = made(robot={"does": "hangs_first"})
    robot.start()
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: len(journal(tmp_path)) == 2, "it is moved")
    observing = threading.Thread(target=observes, args=(robot,))
    observing.start()
    wait_until(lambda: journal(tmp_path)[-1][0] == "hang", "it hangs")
    program: Any = robot._commands["observe"]._program
    os.kill(program._process.pid, signal.SIGTERM)
    observing.join(HANGS_S)

    assert journal(tmp_path)[3:] == [["send", {"shoulder.pos": 1.0, "wheel.vel": 0.0}]]
    assert "was ended by SIGTERM" in str(robot._commands["observe"]._failed)


def test_what_replaces_a_process_that_died_holds_at_the_end_too(made: Made, tmp_path: Path) -> None:
    robot = made(robot={"does": "dies_first"})
    robot.start()
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: len(journal(tmp_path)) == 2, "it is moved")
    assert [observes(robot), observes(robot)] == [False, True]
    robot.stop()

    assert journal(tmp_path)[2:] == [["connect", False], HELD, ["disconnect", False]]


def test_what_replaces_a_process_that_died_touches_nothing_that_never_moved(made: Made, tmp_path: Path) -> None:
    robot = made(robot={"does": "dies_first"})
    robot.start()
    assert not observes(robot)
    robot.safe_stop("it died")
    robot.stop()

    assert journal(tmp_path) == [["connect", False], ["connect", False], ["disconnect", False]]


def test_a_robot_that_is_started_again_after_its_end_has_not_moved_yet(made: Made, tmp_path: Path) -> None:
    robot = made()
    robot.start()
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: len(journal(tmp_path)) == 2, "it is moved")
    robot.stop()
    robot.start()
    robot.safe_stop("at once")
    robot.stop()

    assert journal(tmp_path)[4:] == [["connect", False], ["disconnect", False]]


def test_a_command_for_other_axes_is_refused_by_name(made: Made) -> None:
    robot = made()
    robot.start()
    robot.apply_action(ActionChunk(np.zeros((1, 3), np.float32), 0.05))

    def refused() -> bool:
        try:
            robot.get_observation()
        except HardwareError as exc:
            return "3 values for the 2 axes shoulder.pos, wheel.vel" in str(exc)
        return False

    wait_until(refused, "it is said")


def test_a_python_without_lerobot_is_told_what_to_name(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(HardwareError, match=r"has no LeRobot \(.*\); name the Python that has it as hardware\.python"):
        made().start()


@pytest.mark.parametrize(
    ("kind", "cfg", "said"),
    [
        ("lerobot:", {}, "hardware.kind: write the type of the robot behind lerobot:"),
        ("lerobot:x", {"python": "/nothing/python"}, "hardware.python: no program '/nothing/python'"),
        ("lerobot:x", {"port": "/dev/ttyUSB0"}, "hardware: no setting is called 'port'"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind: str, cfg: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError) as refused:
        build_connector(kind, cfg, folder=tmp_path)
    assert said in str(refused.value)
