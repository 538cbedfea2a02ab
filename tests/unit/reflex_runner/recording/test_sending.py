"""What waits is sent in its order, and nothing is lost to a side that is gone."""

from __future__ import annotations

import logging
import socket
from typing import Any, cast

import pytest

from reflex.connector import Observation
from reflex_runner.recording.messages import receive
from reflex_runner.recording.sending import Sender
from reflex_runner.recording.waiting_line import Entry, Limits, Marker, Observed, WaitingLine
from support.run_recording.runs import tick
from support.waiting import HANGS_S


def all_of(line: socket.socket) -> list[dict[str, Any]]:
    """The words of every message, until farewell."""
    line.settimeout(HANGS_S)
    found: list[dict[str, Any]] = []
    while not found or found[-1]["kind"] != "farewell":
        found.append(receive(line)[0])
    return found


def test_what_waits_is_sent_with_what_was_refused_and_then_farewell() -> None:
    ours, theirs = socket.socketpair()
    waiting = WaitingLine(Limits(entries=3))
    for number in range(5):
        waiting.put(Entry(tick(number, 1.0)))
    marker = Marker(2.0, begins=True, instruction="stack")
    waiting.put(Entry(marker))
    sender = Sender(waiting, ours, lambda: 9.0)
    sender.start()
    sender.end()
    with theirs:
        words = all_of(theirs)

    assert [each["kind"] for each in words] == ["ticks", "ticks", "ticks", "markers", "farewell"]
    assert (words[-1]["at_s"], sender.marked) == (9.0, marker)
    assert sender.wait(HANGS_S)


def test_what_is_refused_later_is_told() -> None:
    ours, theirs = socket.socketpair()
    waiting = WaitingLine(Limits(entries=2))
    sender = Sender(waiting, ours, lambda: 9.0)
    for number in range(5):
        waiting.put(Entry(tick(number, 1.0)))
    sender.start()
    sender.end()
    with theirs:
        words = all_of(theirs)

    assert words[0] == {"kind": "refused", "counts": {"ticks": 3}}


def test_one_that_cannot_be_sent_costs_itself_alone_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socket.socketpair()
    waiting = WaitingLine()
    for state in ("none", "at all"):
        waiting.put(Entry(Observed(0, Observation(cast("Any", state)))))
    waiting.put(Entry(tick(1, 1.0)))
    sender = Sender(waiting, ours, lambda: 9.0)
    sender.start()
    sender.end()
    with caplog.at_level(logging.INFO), theirs:
        words = all_of(theirs)

    assert [each["kind"] for each in words] == ["refused", "refused", "ticks", "farewell"]
    assert waiting.dropped == {"unusable entries": 2}
    assert sum("cannot be recorded" in record.message for record in caplog.records) == 1


def test_what_a_side_that_is_gone_did_not_take_waits_for_the_next() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    waiting = WaitingLine()
    for number in range(3):
        waiting.put(Entry(tick(number, 1.0)))
    sender = Sender(waiting, ours, lambda: 9.0)
    sender.start()
    assert sender.wait(HANGS_S)

    assert [cast("Any", entry.what).step for entry in iter(waiting.take, None)] == [0, 1, 2]


def test_who_gives_up_takes_nothing_more() -> None:
    ours, theirs = socket.socketpair()
    waiting = WaitingLine()
    sender = Sender(waiting, ours, lambda: 9.0)
    sender.start()
    sender.give_up()
    waiting.put(Entry(tick(0, 1.0)))
    assert sender.wait(HANGS_S)
    theirs.close()

    assert len(waiting) == 1
