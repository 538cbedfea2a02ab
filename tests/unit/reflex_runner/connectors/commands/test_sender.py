"""Commands leave from a thread of their own: the newest is sent, a failure is told, and an end is the end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from reflex.connector import ActionChunk
from reflex_runner.connectors.commands.sender import Sender
from reflex_runner.errors import HardwareError
from support.leftovers import leaves_no_thread
from support.waiting import HANGS_S, wait_until


def move(value: float) -> ActionChunk:
    return ActionChunk(np.array([[value]], np.float32), 0.05)


class Robot:
    """Is busy with a command until it is let go."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.was_wanted: list[bool] = []
        self.go_on = threading.Event()

    def send(self, chunk: ActionChunk, is_wanted: Callable[[], bool]) -> None:
        self.sent.append(float(chunk.actions[0, 0]))
        assert self.go_on.wait(HANGS_S)
        self.was_wanted.append(is_wanted())
        if chunk.actions[0, 0] < 0:
            raise HardwareError("the motor is hot")


def test_of_those_that_come_meanwhile_the_newest_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    robot = Robot()
    sender = Sender(robot.send)
    with leaves_no_thread():
        sender.put(move(1))
        wait_until(lambda: robot.sent == [1], "the first is being sent")
        for value in (2, 3, 4):
            sender.put(move(value))
        robot.go_on.set()
        wait_until(lambda: robot.sent == [1, 4], "the newest is sent")
        sender.end()

    assert [record.message for record in caplog.records] == [
        "the apply command is slower than the control loop: only the newest command is sent",
        "2 commands were left out, because the one before was still being applied",
    ]


def test_what_waits_when_the_robot_stops_is_never_sent() -> None:
    robot = Robot()
    sender = Sender(robot.send)
    sender.put(move(1))
    wait_until(lambda: robot.sent == [1], "the first is being sent")
    sender.put(move(2))
    sender.drop()
    robot.go_on.set()
    sender.end()

    assert robot.sent == [1]


def test_a_failure_is_raised_by_the_next_call_once_and_drops_what_waited() -> None:
    robot = Robot()
    sender = Sender(robot.send)
    sender.put(move(-1))
    wait_until(lambda: robot.sent == [-1], "the first is being sent")
    sender.put(move(2))
    robot.go_on.set()
    failed = []

    def told() -> bool:
        try:
            sender.raise_failure()
        except HardwareError as exc:
            failed.append(str(exc))
        return bool(failed)

    wait_until(told, "the failure is told")
    sender.raise_failure()
    sender.put(move(1))
    wait_until(lambda: robot.sent == [-1, 1], "it goes on")
    sender.end()

    assert failed == ["the motor is hot"]


def test_nothing_is_sent_after_the_end_and_it_may_end_twice() -> None:
    sender = Sender(Robot().send)
    sender.end()
    sender.end()


def test_what_was_taken_and_then_dropped_is_wanted_no_more_and_the_next_is() -> None:
    robot = Robot()
    sender = Sender(robot.send)
    with leaves_no_thread():
        sender.put(move(1))
        wait_until(lambda: robot.sent == [1], "it is taken")
        sender.drop()
        sender.put(move(2))
        robot.go_on.set()
        wait_until(lambda: len(robot.was_wanted) == 2, "both are through")
        sender.end()
    assert robot.was_wanted == [False, True]
