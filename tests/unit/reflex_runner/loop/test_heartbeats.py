"""What the watchdog's process hears in its pipe, and when that means that the robot must be stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from reflex_runner.loop import heartbeats
from reflex_runner.loop.heartbeats import ARM, BEAT, DISARM, FAREWELL, PATIENCE, PATIENCE_S, watch
from support.waiting import HANGS_S, let_pass


class Pipe:
    def __init__(self) -> None:
        self.end, self.mine = os.pipe()
        self.is_closed = False

    def say(self, word: bytes) -> None:
        os.write(self.mine, word)

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            os.close(self.mine)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()
    os.close(made.end)


@pytest.mark.parametrize(
    ("said", "must_stop"),
    [
        ([], False),
        ([BEAT], False),
        ([ARM], True),
        ([ARM, BEAT, BEAT], True),
        ([ARM, DISARM], False),
        ([ARM, DISARM, BEAT], False),
        ([ARM, DISARM, ARM], True),
        ([DISARM, ARM, BEAT], True),
        ([ARM, PATIENCE], True),
        ([ARM, FAREWELL], False),
        ([ARM, FAREWELL, BEAT], False),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_pipe_that_closes_without_farewell_stops_a_robot_that_moves(
    said: list[bytes], must_stop: bool, at_once: bool, pipe: Pipe
) -> None:
    def speak() -> None:
        for word in [b"".join(said)] if at_once else said:
            pipe.say(word)
            let_pass(0.0 if at_once else 0.01)
        pipe.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    assert watch(pipe.end, HANGS_S) is must_stop
    speaker.join(HANGS_S)


def test_a_robot_that_moves_is_stopped_after_a_silence(pipe: Pipe) -> None:
    pipe.say(ARM)
    assert watch(pipe.end, 0.05)


def test_patience_lasts_longer_and_ends_too(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "PATIENCE_S", HANGS_S)
    pipe.say(ARM + PATIENCE)
    farewell = threading.Timer(0.3, lambda: pipe.say(FAREWELL))
    farewell.start()
    assert not watch(pipe.end, 0.05)
    monkeypatch.setattr(heartbeats, "PATIENCE_S", 0.05)
    pipe.say(ARM + PATIENCE)
    assert watch(pipe.end, HANGS_S)


def test_a_rung_of_the_ladder_may_take_a_quarter_of_a_minute() -> None:
    assert PATIENCE_S == 15


def test_a_beat_ends_patience(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "PATIENCE_S", HANGS_S)
    pipe.say(ARM + PATIENCE + BEAT)
    assert watch(pipe.end, 0.05)


def test_silence_before_the_first_command_is_none(pipe: Pipe) -> None:
    pipe.say(BEAT)
    farewell = threading.Timer(0.2, lambda: pipe.say(FAREWELL))
    farewell.start()
    assert not watch(pipe.end, 0.02)


@pytest.mark.timeout(60)
def test_patience_that_a_beat_has_ended_is_over_though_both_are_heard_at_once(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "PATIENCE_S", 1000.0)
    pipe.say(ARM + PATIENCE + BEAT)
    assert watch(pipe.end, 0.05)
