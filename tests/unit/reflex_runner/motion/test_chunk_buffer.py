"""A chunk is dated by its observation: what is past of it is never executed, and nothing older takes its place."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from reflex_runner.motion.chunk_buffer import ChunkBuffer, executed_steps
from support.runner.arms import arm, chunk

RAMP = [[float(step), 10.0] for step in range(8)]
"""An action each eighth of a second."""


def buffer(actions: Any = RAMP, captured_s: float = 10.0, now: float = 10.25) -> ChunkBuffer:
    made = ChunkBuffer(arm())
    assert made.admit(chunk(actions, captured_s), now) is None
    return made


@pytest.mark.parametrize(("now", "wanted"), [(10.0, 0.0), (10.25, 2.0), (10.3125, 2.5), (10.875, 7.0), (10.99, 7.0)])
def test_each_moment_has_its_pose_and_between_two_actions_it_lies_between_them(now: float, wanted: float) -> None:
    pose = buffer().wanted(now)
    assert pose is not None
    assert pose.tolist() == [wanted, 10.0]


def test_a_late_chunk_is_not_played_from_its_beginning() -> None:
    late = buffer(now=10.75).wanted(10.75)
    assert late is not None
    assert late[0] == 6.0


def test_after_its_last_action_a_chunk_says_nothing() -> None:
    assert buffer().wanted(11.0) is None
    assert ChunkBuffer(arm()).wanted(0.0) is None


@pytest.mark.parametrize("captured_s", [10.0, 9.9, -5.0])
def test_a_chunk_of_the_same_or_an_earlier_observation_takes_no_place(captured_s: float) -> None:
    made = buffer()
    assert made.admit(chunk([[50.0, 50.0]] * 8, captured_s, seq=7), 10.3) == (
        "a chunk of a later observation is here already"
    )
    assert made.newest is not None
    assert made.newest.seq == 0


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (chunk([[1.0, float("nan")]], 10.2), "not a finite float32"),
        (chunk([[float("inf"), 1.0]], 10.2), "not a finite float32"),
        (chunk([[1.0, 2.0, 3.0]], 10.2), r"shape \[steps, 2\]"),
        (chunk(np.zeros((0, 2)), 10.2), r"shape \[steps, 2\]"),
        (chunk(RAMP, 10.4), "dated in the future"),
        (chunk(RAMP, float("nan")), "dated in the future"),
        (chunk(RAMP, 10.2, step_s=0.0), "are 0.0 s apart"),
        (chunk(RAMP, 10.2, step_s=-0.1), "are -0.1 s apart"),
        (chunk(RAMP, 10.2, step_s=float("nan")), "are nan s apart"),
        (chunk(RAMP, 10.2, step_s=float("inf")), "are inf s apart"),
        (chunk(np.ones((513, 2)), 10.2), "it has 513 actions"),
        (chunk([[1.0, 2.0]], 10.1), "all of its actions are past"),
    ],
)
def test_what_is_refused_leaves_the_chunk_that_is_there(refused: Any, why: str) -> None:
    made = buffer()
    refusal = made.admit(refused, 10.25)
    assert refusal is not None
    assert re.search(why, refusal)
    assert made.newest is not None
    assert len(made.newest.actions) == 8


@pytest.mark.parametrize(("moment", "executed"), [(10.0, 0), (10.06, 0), (10.07, 1), (10.5, 4), (12.0, 8), (9.0, 0)])
def test_executed_are_the_actions_before_the_moment(moment: float, executed: int) -> None:
    newest = buffer().newest
    assert newest is not None
    assert executed_steps(newest, moment) == executed


def test_a_chunk_of_as_many_actions_as_may_be_is_taken() -> None:
    assert buffer(np.ones((512, 2))).newest is not None


def test_an_empty_buffer_wants_nothing() -> None:
    made = buffer()
    made.clear()
    assert (made.newest, made.wanted(10.1)) == (None, None)
