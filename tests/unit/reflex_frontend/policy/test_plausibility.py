"""A chunk of which the guard had to change too much is refused, and an instance of such chunks says so."""

from __future__ import annotations

import numpy as np
import pytest

from reflex.errors import InferenceError
from reflex.guard import GuardResult, Violation
from reflex_frontend.policy.plausibility import Plausibility
from support.clock import Clock

STEPS, AXES = 20, 4
CLEAN = GuardResult(np.zeros((STEPS, AXES), np.float32))


@pytest.fixture
def plausibility(clock: Clock) -> Plausibility:
    return Plausibility(clock)


def changed(*steps_of_axis: int) -> GuardResult:
    """So many steps of each axis were held at its limit of 1, where 57.3 was wanted."""
    violations = [
        Violation(step, axis, f"joint{axis}", 57.3, 1.0, "above_range")
        for axis, steps in enumerate(steps_of_axis)
        for step in range(steps)
    ]
    return GuardResult(CLEAN.actions, tuple(sorted(violations)))


def refused(plausibility: Plausibility, result: GuardResult) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        plausibility.check(result)
    assert caught.value.code == "implausible_action"
    assert caught.value.status == 500
    return caught.value


@pytest.mark.parametrize("steps", [(0, 0, 0, 0), (10, 0, 0, 0), (5, 5, 5, 5), (0, 0, 10, 10)])
def test_a_chunk_up_to_both_shares_passes(plausibility: Plausibility, steps: tuple[int, ...]) -> None:
    plausibility.check(changed(*steps))


@pytest.mark.parametrize(("steps", "axis"), [((11, 0, 0, 0), 0), ((0, 0, 0, 20), 3), ((5, 5, 5, 6), 3)])
def test_a_chunk_beyond_either_share_is_refused(plausibility: Plausibility, steps: tuple[int, ...], axis: int) -> None:
    error = refused(plausibility, changed(*steps))

    assert error.context == {"axis": axis, "name": f"joint{axis}", "max_clamped_share": 50.0}


def test_the_refusal_names_the_axis_the_figures_and_the_likely_cause(plausibility: Plausibility) -> None:
    error = refused(plausibility, changed(0, 12, 3, 0))

    assert error.message == (
        "ActionGuard would have changed 12 of 20 steps of joint1, and 15 of all 80 values; the first wanted 57.3 where "
        "1 is the limit; the chunk is refused. The likely cause is a wrong unit, of the state or of the policy "
        "(degrees for radians, say), or an embodiment that the policy was not trained for"
    )


@pytest.mark.parametrize(("percent", "passing", "beyond"), [(20.0, 4, 5), (0.0, 0, 1), (90.0, 18, 19)])
def test_the_share_can_be_set(clock: Clock, percent: float, passing: int, beyond: int) -> None:
    plausibility = Plausibility(clock, percent)

    plausibility.check(changed(passing, 0, 0, 0))
    refused(plausibility, changed(beyond, 0, 0, 0))


def test_the_share_is_a_percentage_of_the_steps_however_many_there_are(plausibility: Plausibility) -> None:
    def of_200(steps: int) -> GuardResult:
        violations = tuple(Violation(step, 0, "joint0", 57.3, 1.0, "above_range") for step in range(steps))
        return GuardResult(np.zeros((200, 8), np.float32), violations)

    plausibility.check(of_200(100))
    refused(plausibility, of_200(101))


def test_at_100_percent_nothing_is_refused(clock: Clock) -> None:
    Plausibility(clock, 100.0).check(changed(STEPS, STEPS, STEPS, STEPS))


def test_five_in_a_row_are_a_problem_that_one_plausible_chunk_ends(plausibility: Plausibility) -> None:
    for _ in range(4):
        refused(plausibility, changed(20))
    assert plausibility.problem is None

    refused(plausibility, changed(20))
    assert plausibility.problem == (
        "the latest chunks are implausible: ActionGuard would have changed 20 of 20 steps of joint0, and 20 of all 80 "
        "values; the first wanted 57.3 where 1 is the limit"
    )

    plausibility.check(CLEAN)
    assert plausibility.problem is None


def test_more_than_half_of_the_last_twenty_are_a_problem(plausibility: Plausibility) -> None:
    for _ in range(9):
        plausibility.check(CLEAN)
        refused(plausibility, changed(20))
    refused(plausibility, changed(20))
    assert plausibility.problem is None, "only 19 answers are known"

    refused(plausibility, changed(20))
    assert plausibility.problem is not None

    plausibility.check(CLEAN)
    plausibility.check(CLEAN)
    assert plausibility.problem is None


def test_an_instance_without_traffic_is_tried_again(clock: Clock, plausibility: Plausibility) -> None:
    for _ in range(5):
        refused(plausibility, changed(20))
    clock.now_s += 30
    assert plausibility.problem is not None

    clock.now_s += 0.1
    assert plausibility.problem is None
    refused(plausibility, changed(20))
    assert plausibility.problem is None, "what was forgotten counts no more"
