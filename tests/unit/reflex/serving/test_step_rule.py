"""The number of denoising steps follows the velocity: never below the floor, up at once, down slowly, and it rests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.serving.step_rule import CALM_ANSWERS, LEAST_STEPS, MARGIN, StepRule, StepState, bend_of

RULE = StepRule((10, 5, 3), 0.05)

Rules = st.builds(
    StepRule.over, st.lists(st.integers(1, 50), min_size=2, max_size=6, unique=True), st.floats(0.001, 1.0)
)
Changes = st.one_of(
    st.none(),
    st.lists(st.one_of(st.floats(0, 3), st.sampled_from([math.nan, math.inf, -1.0])), min_size=0, max_size=12),
)


def steady(rule: StepRule, bend: float, steps: int) -> list[float]:
    """What `steps` steps report of a way that is bent evenly."""
    assert steps in rule.steps
    return [0.0] + [bend / steps] * (steps - 1)


def course(rule: StepRule, bends: list[float]) -> list[int]:
    """The steps of each answer of an episode."""
    state, taken = rule.first, []
    for bend in bends:
        taken.append(state.steps)
        state = rule.after(state, steady(rule, bend, state.steps))
    return taken


def test_an_episode_begins_with_all_steps_and_goes_down_one_variant_at_a_time() -> None:
    assert course(RULE, [0.01] * 8) == [10, 10, 10, 5, 5, 5, 3, 3]


def test_a_way_that_bends_gets_what_it_needs_with_the_next_answer() -> None:
    assert course(RULE, [0.01] * 6 + [0.45, 9.0, 0.01]) == [10] * 3 + [5] * 3 + [3, 5, 10]


def test_a_straight_way_takes_the_fewest_and_a_bent_one_all() -> None:
    assert RULE.needed(0.0) == 3
    assert RULE.needed(100.0) == 10


def test_the_bend_does_not_depend_on_the_steps_that_it_was_seen_with() -> None:
    assert [bend_of(steady(RULE, 0.6, steps)) for steps in RULE.steps] == pytest.approx([0.6] * 3)


def test_one_step_tells_nothing_and_is_never_chosen_unless_it_is_all() -> None:
    assert bend_of([0.0]) is None
    assert StepRule.over([1, 4, 2], 0.05).steps == (4, 2)
    assert StepRule.over([1], 0.05).first == StepState(1)


def test_of_what_is_tolerated_fewer_steps_must_leave_room() -> None:
    on_the_edge = 2 * RULE.tolerance / (1 / 5 - 1 / 10)
    assert course(RULE, [on_the_edge * 0.99] * 9) == [10] * 9
    assert course(RULE, [on_the_edge * MARGIN * 0.99] * 9)[-1] == 5


@pytest.mark.slow
@given(Rules, st.lists(Changes, max_size=30))
def test_it_is_always_a_number_that_there_is_and_never_falls_faster_than_it_may(
    rule: StepRule, reported: list[list[float] | None]
) -> None:
    state, since = rule.first, 0
    for change in reported:
        before, state, since = state, rule.after(state, change), since + 1
        assert state.steps in rule.steps
        assert state.steps >= LEAST_STEPS or rule.steps == (1,)
        bend = None if change is None else bend_of(change)
        assert state.steps >= (rule.steps[0] if bend is None else min(rule.needed(bend), before.steps))
        if state.steps < before.steps:
            assert rule.steps.index(state.steps) == rule.steps.index(before.steps) + 1
            assert since >= CALM_ANSWERS
        if state.steps != before.steps:
            since = 0


@given(Rules, st.floats(0, 20))
def test_a_way_that_stays_the_same_is_not_gone_to_and_fro(rule: StepRule, bend: float) -> None:
    taken = course(rule, [bend] * (len(rule.steps) * CALM_ANSWERS + 2))
    assert taken == sorted(taken, reverse=True)
    assert rule.miss(bend, taken[-1]) <= rule.tolerance + 1e-12


@given(Rules, st.floats(0, 20), st.floats(1.0, 5.0))
def test_more_tolerance_never_asks_for_more_steps(rule: StepRule, bend: float, factor: float) -> None:
    assert StepRule(rule.steps, rule.tolerance * factor).needed(bend) <= rule.needed(bend)
