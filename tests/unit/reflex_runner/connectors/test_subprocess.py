"""Whatever a robot's command does, the run hears of it in one sentence, can stop safely, and leaves no process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.connector import ActionChunk, Connector
from reflex.errors import SetupError
from reflex_runner.connectors.build import build_connector
from reflex_runner.errors import HardwareError
from reflex_runner.loop.watch_handle import parse_handle
from support.leftovers import leaves_no_descriptor, leaves_no_thread
from support.robots.commands import LONG_S, MISBEHAVING, journal_of, left_behind, robot_that
from support.waiting import wait_until

SHORT_S = 0.3
DIED = (
    "The observe command ended with exit code 3 before it printed a line; run it by hand with a request on its stdin. "
    "It last said: the motor is on fire"
)
TIMED_OUT = (
    "The observe command timed out: no JSON line within command_timeout_s (0.3 s). It is too slow or it hangs: "
    "profile the script, and raise command_timeout_s only if the slowness is intrinsic."
)
MOVE = ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05)
Made = Callable[..., Connector]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """Makes robots, stops them at the end, and holds that nothing of them is left."""
    robots: list[Connector] = []

    def make(what: str, *, persistent: bool = False, **settings: Any) -> Connector:
        robots.append(robot_that(what, tmp_path, persistent=persistent, **settings))
        return robots[-1]

    with leaves_no_thread(), leaves_no_descriptor():
        yield make
        for robot in robots:
            robot.stop()
            robot.stop()
    assert left_behind(tmp_path) == []


def failure_of(robot: Connector) -> str:
    with pytest.raises(HardwareError) as failed:
        robot.get_observation()
    return str(failed.value)


@pytest.mark.parametrize("persistent", [False, True], ids=["a process per request", "one that stays"])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("garbage", "The observe command printed no JSON: 'hello, I am a robot'; everything but the answer belongs"),
        ("no_utf8", "The observe command printed bytes that are no UTF-8: '{\"state\": [\\xff\\xfe]}'"),
        ("own_error", "The observe command says: joint 3 does not answer"),
        ("two_lines", "The observe command printed more than one line for one request; print one line of JSON"),
        ("endless", "The observe command printed 32 MiB without the end of a line; print one line of JSON"),
        ("die", DIED),
        ("kill_itself", "The observe command was ended by SIGKILL before it printed a line; run it by hand"),
    ],
)
def test_what_a_command_does_wrong_is_said_and_the_robot_can_be_stopped(
    what: str, said: str, persistent: bool, made: Made, tmp_path: Path
) -> None:
    robot = made(what, persistent=persistent)
    robot.start()

    message = failure_of(robot)
    robot.safe_stop("the command failed")

    assert said in message
    assert message.startswith("The observe command ")
    assert [(asked["op"], asked["reason"]) for asked in journal_of(tmp_path) if "reason" in asked] == [
        ("safe_stop", "the command failed")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True], ids=["a process per request", "one that stays"])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("hang", TIMED_OUT),
        ("ignore_sigterm", "The observe command timed out: no JSON line"),
        ("closed_stdout", "The observe command "),
        ("half_line", "The observe command timed out: no whole line, 14 bytes within command_timeout_s (0.3 s)"),
    ],
)  # fmt: skip
def test_a_command_that_hangs_times_out_and_its_whole_session_is_ended(
    what: str, said: str, persistent: bool, made: Made, tmp_path: Path
) -> None:
    robot = made(what, persistent=persistent, safe_stop=None, command_timeout_s=SHORT_S)
    robot.start()

    # On a busy machine a process may need longer than that to start at all, and not have printed its half of a line.
    assert failure_of(robot).startswith((said, "The observe command timed out: no JSON line"))
    assert left_behind(tmp_path) == []


def test_what_one_that_hangs_has_started_ends_with_it(made: Made, tmp_path: Path) -> None:
    robot = made("fork_and_hang", command_timeout_s=1.0)
    failure_of(robot)

    assert left_behind(tmp_path) == []


def test_ctrl_c_at_the_terminal_reaches_neither_the_commands_nor_what_watches_over_them(
    made: Made, tmp_path: Path
) -> None:
    robot: Any = made("well", persistent=True)
    robot.start()

    processes = [*left_behind(tmp_path), *left_behind(robot._family.mark)]
    assert len(processes) == 2
    assert all(os.getsid(pid) == pid for pid in processes)


def test_a_process_of_one_request_must_end_and_well(made: Made) -> None:
    assert "timed out: " in failure_of(made("stays_after", command_timeout_s=SHORT_S))
    assert "ended with exit code 3; run it by hand with a request on its stdin." in failure_of(made("dies_after"))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("old_answer", 'The observe command answered with "seq" 1 instead of 2, which it was asked with'),
        ("no_seq", 'The observe command answered with "seq" null instead of 2'),
    ],
)
def test_a_line_that_answers_another_request_is_never_taken_for_an_answer(what: str, said: str, made: Made) -> None:
    assert said in failure_of(made(what, persistent=True))


def test_a_state_that_changes_its_length_is_refused(made: Made) -> None:
    robot = made("grows", persistent=True)
    robot.get_observation()

    assert 'answered a "state" of 4 numbers instead of 3' in failure_of(robot)
    assert 'answered a "state" of 2 numbers instead of 6' in failure_of(made("well", state_dim=6))


def test_a_command_need_not_read_its_stdin(made: Made) -> None:
    assert made("no_stdin").get_observation().state.tolist() == [1.0, 2.0]


def test_a_command_that_does_not_read_a_long_request_times_out(made: Made) -> None:
    robot = made("deaf", command_timeout_s=SHORT_S)
    robot.apply_action(ActionChunk(np.zeros((50_000, 2), np.float32), 0.05))

    wait_until(lambda: error_of_next(robot), "the failure is told")


def error_of_next(robot: Connector) -> bool:
    try:
        robot.apply_action(MOVE)
    except HardwareError as exc:
        return str(exc).startswith("The apply command timed out: no JSON line")
    return False


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True], ids=["a process per request", "one that stays"])
@pytest.mark.parametrize("what", ["fork", "fork_bare"])
def test_what_a_command_leaves_running_ends_with_the_run(
    what: str, persistent: bool, made: Made, tmp_path: Path
) -> None:
    robot = made(what, persistent=persistent)
    robot.start()

    assert robot.get_observation().state.tolist() == [1.0, 2.0]
    kept = 2 if persistent else 0
    wait_until(lambda: len(left_behind(tmp_path)) > kept, "it runs")  # and the fixture holds that it ends


def test_a_command_that_floods_its_stderr_takes_no_time(made: Made) -> None:
    robot = made("flood", persistent=True)

    for _ in range(3):
        assert robot.get_observation().state.tolist() == [1.0, 2.0]


def test_what_a_command_says_on_stderr_is_in_the_verbose_log(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "reflex.commands"):
        failure_of(made("die"))

    assert "observe: the motor is on fire" in caplog.messages


def test_a_command_of_one_process_owns_the_robot_and_is_asked_for_everything(made: Made, tmp_path: Path) -> None:
    robot = made("well", persistent=True)
    robot.start()
    for _ in range(3):
        robot.get_observation()
    robot.apply_action(MOVE)
    wait_until(lambda: any(asked["op"] == "apply" for asked in journal_of(tmp_path)), "it is applied")
    robot.safe_stop("enough")

    asked = journal_of(tmp_path)
    assert [each["op"] for each in asked] == ["start", "observe", "observe", "observe", "apply", "safe_stop"]
    assert [each["seq"] for each in asked] == [1, 2, 3, 4, 5, 6]
    assert (asked[4]["actions"], asked[4]["step_s"], asked[5]["reason"]) == ([[1.0, 2.0]], 0.05, "enough")


def test_a_command_that_hangs_in_apply_keeps_no_loop_waiting_and_is_told_by_the_next_call(
    made: Made, tmp_path: Path
) -> None:
    robot = made("apply_hangs", persistent=True, command_timeout_s=2.0)  # what replaces it has to hold in time
    robot.start()
    robot.apply_action(MOVE)

    wait_until(lambda: error_of_next(robot), "the failure is told")
    robot.safe_stop()
    assert journal_of(tmp_path)[-1]["op"] == "safe_stop"


def test_a_safe_stop_does_not_wait_for_a_command_that_hangs(made: Made, tmp_path: Path) -> None:
    robot = made("apply_hangs", persistent=True)
    robot.start()
    robot.apply_action(MOVE)
    wait_until(lambda: any(asked["op"] == "apply" for asked in journal_of(tmp_path)), "it hangs in apply")

    robot.safe_stop("while it hangs")

    assert journal_of(tmp_path)[-1]["op"] == "safe_stop"
    wait_until(lambda: left_behind("apply_hangs") == [], "what hung is ended at once", timeout_s=LONG_S / 2)


@pytest.mark.parametrize("persistent", [False, True], ids=["a process per request", "one that stays"])
def test_another_process_can_stop_the_robot_of_a_run_that_was_killed(
    persistent: bool, made: Made, tmp_path: Path
) -> None:
    robot: Any = made("apply_hangs", persistent=persistent)
    robot.start()
    robot.apply_action(MOVE)
    wait_until(lambda: any(asked["op"] == "apply" for asked in journal_of(tmp_path)), "it hangs in apply")

    parse_handle(json.loads(json.dumps(robot.watch_handle()))).bound()("hold")

    assert (journal_of(tmp_path)[-1]["op"], journal_of(tmp_path)[-1]["reason"]) == ("safe_stop", "the run was killed")
    assert left_behind(tmp_path) == []


def test_without_a_safe_stop_command_there_is_nothing_for_another_process_to_do(made: Made) -> None:
    robot: Any = made("well", safe_stop=None)

    assert robot.watch_handle() is None


def test_one_that_was_ended_is_started_anew_by_the_next_request(made: Made) -> None:
    robot = made("die", persistent=True)
    robot.start()

    assert "exit code 3" in failure_of(robot)
    assert "exit code 3" in failure_of(robot)


def test_one_that_is_not_ready_is_ended_and_asked_nothing_else(made: Made, tmp_path: Path) -> None:
    robot = made("not_ready", persistent=True)
    with pytest.raises(HardwareError, match="The observe command says: the arm has no power"):
        robot.start()

    assert left_behind(tmp_path) == []
    assert failure_of(robot) == "The observe command says: the arm has no power"
    assert [asked["op"] for asked in journal_of(tmp_path)] == ["start", "start"]


def test_a_command_that_is_not_finite_is_never_sent(made: Made, tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="not finite"):
        made("well").apply_action(ActionChunk(np.array([[np.nan, 0.0]], np.float32), 0.05))
    assert journal_of(tmp_path) == []


@pytest.mark.slow
def test_nothing_is_left_when_the_run_itself_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from support.robots.commands import robot_that
from pathlib import Path
robot = robot_that("fork", Path({str(tmp_path)!r}), persistent=True)
robot.start()
robot.get_observation()
print(robot._family.mark, flush=True)
time.sleep(600)
"""
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert run.stdout is not None
    mark = run.stdout.readline().decode().strip()
    assert len(left_behind(tmp_path)) > 2
    assert len(left_behind(mark)) == 1  # the program that watches over them

    run.kill()

    wait_until(lambda: left_behind(tmp_path) + left_behind(mark) == [], "all of its processes have ended")
    run.communicate()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"observe": "nothing-like-this"}, "hardware.observe: no program 'nothing-like-this' that can be run"),
        ({"observe": "python3 'x"}, "hardware.observe: No closing quotation"),
        ({"observe": " "}, "hardware.observe: no program is named"),
        ({"observe": str(MISBEHAVING)}, "name its interpreter: python3 my_arm.py"),
        ({"command_timeout": 2}, "hardware: no setting is called 'command_timeout'; did you mean 'command_timeout_s'?"),
        ({"command_timeout_s": 0}, "hardware.command_timeout_s: input should be greater than 0"),
        ({"command_timeout_s": float("nan")}, "hardware.command_timeout_s: "),
        ({"state_dim": 0}, "hardware.state_dim: input should be greater than or equal to 1"),
        ({"apply": []}, "hardware.apply"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_started(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError) as refused:
        build_connector("subprocess", {"observe": "true", "apply": "true", **given}, folder=tmp_path)
    assert said in str(refused.value)


def test_a_program_is_found_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    script = tmp_path / "arm.sh"
    script.write_text("#!/bin/sh\necho '{\"state\": [1, 2, 3]}'\n")
    script.chmod(0o755)
    robot = build_connector("subprocess", {"observe": "./arm.sh", "apply": "./arm.sh"}, folder=tmp_path)

    assert robot.get_observation().state.tolist() == [1.0, 2.0, 3.0]
    robot.stop()


def test_a_command_that_is_gone_by_then_is_said(tmp_path: Path) -> None:
    script = tmp_path / "arm.sh"
    script.write_text("#!/nothing\n")
    script.chmod(0o755)
    robot = build_connector("subprocess", {"observe": "./arm.sh", "apply": "./arm.sh"}, folder=tmp_path)

    with pytest.raises(HardwareError, match=r"The observe command cannot be started: .*No such file or directory"):
        robot.get_observation()


def test_a_killed_process_is_told_with_its_signal(made: Made, tmp_path: Path) -> None:
    robot = made("well", persistent=True, safe_stop=None)
    robot.start()
    for pid in left_behind(tmp_path):
        os.kill(pid, signal.SIGKILL)

    assert "was ended by SIGKILL before it printed a line" in failure_of(robot)
    assert robot.get_observation().state.tolist() == [1.0, 2.0]
