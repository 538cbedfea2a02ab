"""What waits to be written is bounded, and what does not fit is counted."""

from __future__ import annotations

import numpy as np

from reflex.connector import CameraFrame, Observation
from reflex_runner.recording.pictures import Picture
from reflex_runner.recording.waiting_line import Entry, Limits, Marker, Observed, WaitingLine
from reflex_runner.tick import Tick

FRAME = CameraFrame(np.zeros((10, 10, 3), np.uint8))
OBSERVED = Entry(Observed(0, Observation(np.zeros(6, np.float32))), {"front": Picture(FRAME)})
TICK = Entry(Tick(0, 0.0, "move"))


def test_when_the_bytes_are_used_up_pictures_are_left_out_and_numbers_kept() -> None:
    line = WaitingLine(Limits(entries=100, bytes=700))

    for _ in range(4):
        line.put(OBSERVED)

    assert line.held_bytes == 600
    assert dict(line.dropped) == {"pictures": 2}
    assert [len(entry.pictures) for entry in iter(line.take, None)] == [1, 1, 0, 0]


def test_when_the_entries_are_used_up_everything_is_left_out_but_where_an_episode_ends() -> None:
    line = WaitingLine(Limits(entries=2, bytes=10_000))

    for entry in (TICK, TICK, TICK, OBSERVED, Entry(Marker(1.0, begins=False))):
        line.put(entry)

    assert dict(line.dropped) == {"ticks": 1, "observations": 1}
    assert [type(entry.what) for entry in iter(line.take, None)] == [Tick, Tick, Marker]


def test_what_is_sent_makes_room() -> None:
    line = WaitingLine(Limits(entries=100, bytes=300))

    for _ in range(20):
        line.put(OBSERVED)
        taken = line.take()
        assert taken is not None
        assert len(taken.pictures) == 1
        line.sent(taken)

    assert (line.held_bytes, dict(line.dropped)) == (0, {})


def test_a_line_that_is_shut_holds_nothing_and_counts_what_waited_and_what_comes() -> None:
    line = WaitingLine()
    line.put(OBSERVED)
    line.put(TICK)
    taken = line.take()
    assert taken is not None
    line.put_back(taken)
    assert line.take() is taken
    line.put_back(taken)
    line.shut()
    line.put(OBSERVED)

    assert (len(line), line.held_bytes, dict(line.dropped)) == (0, 0, {"ticks": 1, "observations": 2})
