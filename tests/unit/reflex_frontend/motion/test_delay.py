"""How long an answer will take: neither the first answers nor single slow ones say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_frontend.motion.delay import LATEST, POLICIES, WARM_UP, DelayEstimate, Delays


def after(*seconds: float) -> float:
    estimate = DelayEstimate()
    for one in seconds:
        estimate.note(one)
    return estimate.expected_s


def test_nothing_measured_is_no_delay() -> None:
    assert after() == 0


@pytest.mark.parametrize("first", [(9.0,), (9.0, 0.1), (30.0, 9.0, 0.2)])
def test_while_a_policy_warms_up_its_quickest_answer_counts(first: tuple[float, ...]) -> None:
    assert after(*first) == min(first)


def test_once_it_is_warm_the_first_answers_are_forgotten() -> None:
    assert after(*[30.0] * WARM_UP, 0.1) == 0.1
    assert after(*[0.001] * WARM_UP, 0.1) == 0.1


@pytest.mark.parametrize("outlier", [10.0, 1e6, 0.0])
def test_every_tenth_answer_may_be_an_outlier(outlier: float) -> None:
    answers = [0.1] * WARM_UP + ([0.1] * 9 + [outlier]) * 8
    for count in range(WARM_UP + 5, len(answers)):
        assert after(*answers[:count]) == 0.1


def test_a_policy_that_has_become_slower_is_believed_within_the_window_and_so_is_a_quicker_one() -> None:
    assert after(*[0.1] * 100, *[0.3] * (LATEST // 4)) == 0.3
    assert after(*[0.3] * 100, *[0.1] * LATEST) == 0.1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_it_is_always_one_of_the_measured_ones(seconds: list[float]) -> None:
    assert after(*seconds) in seconds


def test_policies_do_not_share_an_estimate_and_only_so_many_are_remembered() -> None:
    delays = Delays()
    for number in range(3 * POLICIES):
        delays.of("kept").note(0.1)
        delays.of(number).note(0.1 + number)
    assert delays.of("kept").expected_s == 0.1
    assert delays.of(3 * POLICIES - 1).expected_s == 0.1 + 3 * POLICIES - 1
    assert delays.of(0).expected_s == 0
