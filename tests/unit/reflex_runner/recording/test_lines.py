"""Happenings as JSON lines."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reflex_runner.recording.lines import event_line, numbers, tick_line, to_line
from reflex_runner.recording.moments import Moments
from reflex_runner.tick import Event, Tick
from support.run_recording.runs import tick

MOMENTS = Moments(1_000.0, 0.0)


@pytest.mark.parametrize("value", [0.1, -0.0, 1e-30, 3.4e38, 16777217.0, np.pi])
def test_a_number_is_as_short_as_it_can_be_and_reads_back_to_the_same_float32(value: float) -> None:
    single = np.float32(value)
    text = json.dumps(numbers(np.array([single])))

    assert np.float32(json.loads(text)[0]) == single
    assert len(text) <= len(repr(float(single))) + 2


def test_what_is_not_finite_is_null_and_the_line_is_json() -> None:
    wanted = np.array([1.0, np.nan, np.inf], np.float32)

    line = json.loads(to_line(tick_line(Tick(3, 2.0, "hold", wanted=wanted), MOMENTS)))

    assert line["wanted"] == [1.0, None, None]
    assert (line["t"], line["did"], line["applied"]) == (1_002.0, "hold", False)


def test_a_line_is_one_line_whatever_a_message_says() -> None:
    line = to_line(event_line(Event(0.0, "error", "x", 'two\nlines, "quoted" \ud800'), MOMENTS))

    assert line.count(b"\n") == 1
    assert json.loads(line)["message"].startswith("two\nlines")


def test_a_tick_says_what_the_guard_changed() -> None:
    line = tick_line(tick(1, 5.0), MOMENTS)

    assert "violations" not in line
    assert line["chunk_seq"] == 0
