"""The strategies on a clock without time: what is asked, when, and what the arm is commanded."""

from __future__ import annotations

import numpy as np
import pytest

from reflex_analysis.motion.arm import Arm
from reflex_analysis.motion.loop import Pace, drive
from reflex_analysis.motion.network import Network, Question
from reflex_analysis.motion.strategies import STRATEGIES
from support.motion.scripted import HORIZON, FakeClock, ScriptedServer, line, tried


def ramp(question: Question) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """One endless movement: what a policy gives that always means the same."""
    return line(0.01 * question.tick, 0.01)


def test_who_waits_stands_still_after_each_chunk_for_as_long_as_an_answer_takes() -> None:
    course, asked = tried("sync", ramp, ticks=3 * 56, latency_ms=100.0)

    # 101 ms are six periods of 20 ms
    assert course.is_held == ([False] * HORIZON + [True] * 6) * 3
    assert course.delays == [6, 6, 6]
    assert len(asked) == 4
    assert course.late == 2


def test_who_waits_executes_no_more_of_a_chunk_than_its_policy_says() -> None:
    clock = FakeClock()
    network = Network(ScriptedServer(clock, ramp), latency_ms=0.0, jitter_ms=0.0, seed=0)
    course = drive(STRATEGIES["sync"], Arm(np.zeros(1)), network, clock, Pace(50.0, 8, 25, 18))

    assert course.is_held == [False] * 8 + [True] + [False] * 8 + [True]


@pytest.mark.parametrize("name", ["open-loop", "rtc"])
@pytest.mark.parametrize("latency_ms", [0.0, 50.0, 200.0])
def test_who_asks_ahead_never_stands_still(name: str, latency_ms: float) -> None:
    course, _ = tried(name, ramp, ticks=400, latency_ms=latency_ms, jitter_ms=20.0)

    assert not any(course.is_held)
    assert course.late == 0
    # one movement, whatever chunk it comes from
    assert np.diff(np.stack(course.commands)[:, 0]) == pytest.approx(0.01)
    assert all(seam.excess == pytest.approx([0.0]) for seam in course.seams)


def test_a_chunk_is_asked_for_when_half_of_the_one_before_is_over() -> None:
    _, asked = tried("open-loop", ramp, ticks=200, latency_ms=100.0)

    # each answer counts from its question, six periods before it arrives
    assert [question.tick for question in asked] == [0, 25, 50, 75, 100, 125, 150, 175, 200]


def test_an_answer_that_comes_after_the_last_action_is_late_and_the_arm_stands_still_till_then() -> None:
    course, _ = tried("open-loop", ramp, ticks=200, latency_ms=600.0)

    # asked at 25, there at 56: of the chunk's 50 steps 19 are left, so it is asked again at once
    assert course.is_held.count(True) > 0
    assert course.late == len(course.delays) - 1


def test_an_answer_of_which_everything_is_past_moves_nothing() -> None:
    course, _ = tried("sync", ramp, ticks=10, latency_ms=100.0)
    assert len(course.commands) == 10

    short = tried("sync", lambda _: line(0.0, 0.0, steps=3), ticks=10, latency_ms=100.0)[0]
    assert short.is_held[:5] == [False] * 3 + [True] * 2


def test_a_strategy_that_tells_says_what_is_executed_and_how_long_answers_take() -> None:
    _, told = tried("rtc", ramp, ticks=200, latency_ms=100.0, jitter_ms=40.0)
    _, untold = tried("open-loop", ramp, ticks=200, latency_ms=100.0, jitter_ms=40.0)

    assert (told[0].executed_steps, told[0].delay_steps) == (None, None)
    assert [question.executed_steps for question in told[1:]] == [25] * (len(told) - 1)
    assert all(5 <= (question.delay_steps or 0) <= 9 for question in told[1:])
    assert {question.executed_steps for question in untold} == {None}


def test_the_expected_delay_is_the_longest_of_the_last_ten_and_one_period() -> None:
    course, asked = tried("rtc", ramp, ticks=900, latency_ms=100.0, jitter_ms=60.0)

    for number, question in enumerate(asked[1:], 1):
        assert question.delay_steps == max(course.delays[max(0, number - 10) : number]) + 1


def test_a_refusal_is_counted_and_asked_again() -> None:
    course, asked = tried(
        "open-loop", lambda question: "overloaded" if question.number % 3 == 1 else ramp(question), ticks=200
    )

    assert course.refusals == {"overloaded": len([each for each in asked if each.number % 3 == 1])}
    assert not any(course.is_held)


def test_the_arm_begins_at_the_first_command() -> None:
    course, _ = tried("sync", lambda _: line(5.0, 0.0), ticks=3)

    assert np.stack(course.positions) == pytest.approx(5.0)
