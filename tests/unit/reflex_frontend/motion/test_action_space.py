"""Between robot units and normalised actions, and from one state to another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_frontend.motion.action_space import normalized, reanchored
from support.motion.continuing import action_space

RELATIVE = (True, True, False, True, False, True, False)
numbers = st.floats(-50, 50, width=32)
states = st.lists(numbers, min_size=7, max_size=7)
chunks = st.lists(st.lists(numbers, min_size=7, max_size=7), min_size=1, max_size=5)


def robot_units(chunk: list[list[float]], state: list[float], relative: tuple[bool, ...]) -> npt.NDArray[np.float64]:
    """As the graph does it, written out."""
    space = action_space()
    anchors = [state[axis] if relative[axis] else 0.0 for axis in range(7)]
    return np.array(
        [[row[axis] * space.scale[axis] + space.offset[axis] + anchors[axis] for axis in range(7)] for row in chunk]
    )


@pytest.mark.slow
@given(chunk=chunks, state=states)
def test_what_the_graph_made_of_a_chunk_is_undone(chunk: list[list[float]], state: list[float]) -> None:
    for relative in (RELATIVE, (False,) * 7):
        actions = robot_units(chunk, state, relative)
        found = normalized(action_space(relative=relative), actions.tolist(), state)
        np.testing.assert_allclose(found[:, :6], np.array(chunk)[:, :6], rtol=1e-4, atol=1e-4)
        assert (found[:, 6] == -1).all(), "an axis that never moved is what it always was"


@pytest.mark.slow
@given(chunk=chunks, old=states, new=states)
def test_another_state_leaves_the_robots_actions_where_they_are(
    chunk: list[list[float]], old: list[float], new: list[float]
) -> None:
    space = action_space(relative=RELATIVE)
    moved = reanchored(space, np.array(chunk, np.float32), old, new)

    before, after = robot_units(chunk, old, RELATIVE), robot_units(moved.tolist(), new, RELATIVE)
    np.testing.assert_allclose(after[:, :6], before[:, :6], rtol=1e-4, atol=1e-3)


def test_without_relative_actions_a_chunk_is_left_alone_to_the_bit() -> None:
    chunk = np.random.RandomState(0).standard_normal((3, 7)).astype(np.float32)
    assert reanchored(action_space(), chunk, [0.0] * 7, [1.0] * 7) is chunk


def test_a_longer_state_than_actions_is_taken_from_its_front() -> None:
    space = action_space(relative=(True,) + (False,) * 6)
    found = normalized(space, [[2.5] + [0.0] * 6], [1.5, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0])
    assert found[0, 0] == (2.5 - 1.5) / 0.5
